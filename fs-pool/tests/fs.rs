//! Files: what each operation does, and how it fails.
#![allow(clippy::unwrap_used)]

#[path = "support/by_pool.rs"]
mod front;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "support/world.rs"]
mod world;

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs as blocking;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use fs_pool::fs::{Access, Fs, FsLimits, Operation};
use fs_pool::pool::{Class, ClassSpec, Shutdown};
use fs_pool::request::LoopPool;
use on_loop::{Gate, Log, run, settle};
use phaseloop::{EventLoop, RunMode, Schedule};
use support::{Dice, builder, pool};
use world::{World, descriptors, world};

// --- hops -------------------------------------------------------------------------------------------------------------

/// How many poll phases an operation takes, with one worker and nothing else to do: as many as it submits jobs, since the
/// completion of each submits the next. Turns can not be counted instead, for poll may also wake for nothing.
fn hops<T: 'static>(world: &World, operation: impl FnOnce(&Fs) -> Operation<T>) -> u64 {
    let submitted = || world.jobs();
    let before = submitted();
    operation(&world.fs).on_done(|_, result| drop(result.unwrap()));
    run(&world.lp);
    submitted() - before
}

/// The bytes of a file, and the hops of reading it under node26, node22 and node10.
const READ_HOPS: [(usize, u64, u64, u64); 7] = [
    (0, 1, 4, 4),
    (64, 1, 4, 4),
    (8 * 1024, 1, 4, 4),
    (16_385, 1, 4, 6),
    (512 * 1024, 1, 4, 67), // SEMANTICS: more than 40
    (512 * 1024 + 1, 4, 5, 68),
    (1024 * 1024, 4, 5, 131),
];

#[test]
fn reading_a_file_takes_the_hops_of_the_schedule() {
    let worlds = [world(), World::new(Schedule::node22()), World::new(Schedule::node10())];
    for (len, new, old, oldest) in READ_HOPS {
        for (world, expected) in worlds.iter().zip([new, old, oldest]) {
            let path = world.path("file");
            blocking::write(&path, vec![b'x'; len]).unwrap();
            assert_eq!(hops(world, |fs| fs.read_file(&path)), expected, "{world:?}, {len} bytes");
        }
    }
}

#[test]
fn hops_are_poll_phases_one_after_the_other() {
    for (schedule, expected) in
        [(Schedule::node26(), 1), (Schedule::node22(), 4), (Schedule::node12(), 4), (Schedule::node10(), 6)]
    {
        let world = World::new(schedule);
        let path = world.path("file");
        blocking::write(&path, vec![b'x'; 16_385]).unwrap();
        let ended = Rc::new(Cell::new(false));
        let tell = Rc::clone(&ended);
        world.fs.read_file(&path).on_done(move |_, result| tell.set(result.is_ok()));
        let mut phases = 0;
        while !ended.get() {
            assert!(phases < 100, "it does not end");
            let before = world.jobs();
            world.turn();
            phases += 1;
            let more = world.jobs() - before;
            assert_eq!(more, u64::from(!ended.get()), "each phase ends one job and begins the next");
        }
        assert_eq!(phases, expected);
    }
}

#[test]
fn a_file_that_was_opened_by_a_job_is_closed_by_one_before_an_error_is_told() {
    for (schedule, expected) in [(Schedule::node26(), 1), (Schedule::node22(), 4), (Schedule::node10(), 4)] {
        let world = World::new(schedule);
        let before = world.jobs();
        assert_eq!(world.fails(world.fs.read_file(&world.folder)).kind(), ErrorKind::IsADirectory);
        assert_eq!(world.jobs() - before, expected);
        assert_eq!(descriptors(&world.folder), 0);
    }
}

#[test]
fn writing_a_file_takes_one_hop_or_three() {
    for (schedule, expected) in [
        (Schedule::node26(), 1),
        (Schedule::node22(), 3),
        (Schedule::node12(), 3),
        (Schedule::node10(), 3),
        (Schedule::libuv(), 1),
        (Schedule::libuv_1_44(), 1),
    ] {
        let world = World::new(schedule);
        let path = world.path("file");
        for len in [0, 64, 1024 * 1024] {
            assert_eq!(hops(&world, |fs| fs.write_file(&path, vec![1; len])), expected, "{len} bytes");
            assert_eq!(hops(&world, |fs| fs.append_file(&path, vec![2; len])), expected);
            assert_eq!(blocking::metadata(&path).unwrap().len(), 2 * len as u64);
        }
    }
}

#[test]
fn other_calls_take_one_hop_and_three_new_levels_take_five() {
    for schedule in [Schedule::node26(), Schedule::node22()] {
        let world = World::new(schedule);
        let path = world.path("file");
        blocking::write(&path, "x").unwrap();
        assert_eq!(hops(&world, |fs| fs.stat(&path)), 1);
        assert_eq!(hops(&world, |fs| fs.access(&path, Access::READ)), 1);
        assert_eq!(hops(&world, |fs| fs.readdir(&world.folder)), 1);
        assert_eq!(hops(&world, |fs| fs.copy_file(&path, world.path("copy"))), 1);
        assert_eq!(hops(&world, |fs| fs.realpath(&path)), 1);
        assert_eq!(hops(&world, |fs| fs.mkdir_recursive(world.path("a/b/c"))), 5);
        assert_eq!(hops(&world, |fs| fs.unlink(&path)), 1);
    }
}

// --- whole files ------------------------------------------------------------------------------------------------------

#[test]
fn what_is_written_is_read_whatever_the_hops_and_the_length() {
    for schedule in [Schedule::node26(), Schedule::node20(), Schedule::node10(), Schedule::textbook()] {
        let world = World::new(schedule);
        let path = world.path("file");
        for len in [0, 1, 512 * 1024, 512 * 1024 + 1, 1024 * 1024] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            world.ok(world.fs.write_file(&path, bytes.clone()));
            assert!(world.ok(world.fs.read_file(&path)) == bytes, "{len} bytes");
        }
        world.ok(world.fs.append_file(&path, "end"));
        assert!(world.ok(world.fs.read_file(&path)).ends_with(b"end"));
    }
}

#[test]
fn a_file_without_a_length_is_read_to_its_end() {
    for schedule in [Schedule::node26(), Schedule::node22()] {
        let world = World::new(schedule);
        let text = world.ok(world.fs.read_file("/proc/self/status"));
        assert!(text.starts_with(b"Name:") && text.ends_with(b"\n"));
    }
}

#[test]
fn a_file_that_says_it_is_longer_than_it_is_is_read_to_its_end() {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let Ok(expected) = blocking::read(path) else { return eprintln!("SKIPPED: there is no {path}") };
    assert!(blocking::metadata(path).unwrap().len() > expected.len() as u64);
    for schedule in [Schedule::node26(), Schedule::node22()] {
        let world = World::new(schedule);
        assert_eq!(world.ok(world.fs.read_file(path)), expected);
        assert_eq!(world.ok(world.ok(world.fs.open(path)).read(1 << 16)), expected);
    }
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let world = world();
    let limits = FsLimits { file_len_max: 10, ..FsLimits::default() };
    let fs = world.with_limits(limits);
    world.ok(fs.write_file(world.path("file"), "0123456789"));
    world.ok(fs.read_file(world.path("file")));
    world.ok(fs.append_file(world.path("file"), "!"));
    assert_eq!(world.fails(fs.read_file(world.path("file"))).kind(), ErrorKind::FileTooLarge);
    // One that does not tell its length is stopped on the way.
    assert_eq!(world.fails(fs.read_file("/proc/self/status")).kind(), ErrorKind::FileTooLarge);
}

// --- paths ------------------------------------------------------------------------------------------------------------

#[test]
fn folders_are_made_listed_and_removed() {
    let world = world();
    let fs = &world.fs;
    world.ok(fs.mkdir(world.path("b")));
    world.ok(fs.write_file(world.path("a"), ""));
    world.ok(fs.symlink("a", world.path("c")));
    let entries = world.ok(fs.readdir(&world.folder));
    let listed: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry.name().to_str().unwrap(), entry.file_type().is_dir(), entry.file_type().is_symlink())
        })
        .collect();
    assert_eq!(listed, [("a", false, false), ("b", true, false), ("c", false, true)]);
    assert_eq!(world.fails(fs.mkdir(world.path("b"))).kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.fails(fs.rmdir(&world.folder)).kind(), ErrorKind::DirectoryNotEmpty);
    assert_eq!(world.fails(fs.mkdir(world.path("x/y"))).kind(), ErrorKind::NotFound);
    world.ok(fs.rmdir(world.path("b")));
    world.ok(fs.mkdir_recursive(world.path("x/y/z")));
    world.ok(fs.mkdir_recursive(world.path("x/y/z")));
    assert!(world.path("x/y/z").is_dir());
    assert_eq!(world.fails(fs.mkdir_recursive(world.path("a/b"))).kind(), ErrorKind::NotADirectory);
    assert_eq!(world.fails(fs.mkdir_recursive(world.path("a"))).kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.fails(fs.mkdir_recursive("")).kind(), ErrorKind::NotFound);
}

#[test]
fn temporary_folders_have_new_names_and_belong_to_their_owner() {
    let world = world();
    let names: Vec<_> = (0..5).map(|_| world.ok(world.fs.mkdtemp(world.path("t-")))).collect();
    for name in &names {
        assert_eq!(blocking::metadata(name).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(name.file_name().unwrap().len(), "t-123456".len());
    }
    assert_eq!(world.fails(world.fs.mkdtemp(world.path("gone/t-"))).kind(), ErrorKind::NotFound);
}

#[test]
fn links_lead_where_they_were_told() {
    let world = world();
    let (fs, file, link) = (&world.fs, world.path("file"), world.path("link"));
    world.ok(fs.write_file(&file, "12345"));
    world.ok(fs.symlink("file", &link));
    assert_eq!(world.ok(fs.readlink(&link)), Path::new("file"));
    assert_eq!(world.ok(fs.realpath(&link)), blocking::canonicalize(&file).unwrap());
    assert_eq!(world.ok(fs.stat(&link)).len(), 5);
    assert!(world.ok(fs.lstat(&link)).is_symlink());
    world.ok(fs.link(&file, world.path("second")));
    assert_eq!(world.ok(fs.stat(&file)).nlink(), 2);
    world.ok(fs.unlink(&file));
    assert_eq!(world.fails(fs.stat(&link)).kind(), ErrorKind::NotFound, "the link dangles");
    assert_eq!(world.fails(fs.readlink(world.path("second"))).kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_file_is_renamed_copied_and_changed() {
    let world = world();
    let (fs, a, b) = (&world.fs, world.path("a"), world.path("b"));
    world.ok(fs.write_file(&a, "text"));
    world.ok(fs.chmod(&a, 0o640));
    assert_eq!(world.ok(fs.copy_file(&a, &b)), 4);
    assert_eq!(world.ok(fs.stat(&b)).permissions().mode() & 0o777, 0o640);
    let (accessed, modified) =
        (UNIX_EPOCH - Duration::from_millis(1500), UNIX_EPOCH + Duration::from_nanos(7));
    world.ok(fs.utimes(&a, accessed, modified));
    let metadata = world.ok(fs.stat(&a));
    assert_eq!((metadata.accessed(), metadata.modified()), (accessed, modified));
    world.ok(fs.rename(&a, &b));
    let error = world.fails(fs.rename(&a, &b));
    assert_eq!((error.operation, error.path.as_path(), error.to.as_deref()), ("rename", &*a, Some(&*b)));
    assert!(error.to_string().starts_with(&format!("rename {a:?} to {b:?}: No such file")), "{error}");
}

#[test]
fn names_may_be_of_any_bytes() {
    let world = world();
    let name = OsStr::from_bytes(b"\xff\xfe\n");
    world.ok(world.fs.write_file(world.path(name), "x"));
    assert_eq!(world.ok(world.fs.readdir(&world.folder))[0].name(), name);
    world.ok(world.fs.unlink(world.path(name)));
    let error = world.fails(world.fs.stat(world.path(name)));
    assert!(error.to_string().contains(r"\xFF\xFE\n"), "{error}");
    assert_eq!(world.fails(world.fs.stat("a\0b")).kind(), ErrorKind::InvalidInput);
    assert_eq!(world.fails(world.fs.access("a\0b", Access::EXISTS)).kind(), ErrorKind::InvalidInput);
}

#[test]
fn permissions_are_asked_for_and_refused() {
    let world = world();
    let path = world.path("file");
    world.ok(world.fs.write_file(&path, "x"));
    world.ok(world.fs.access(&path, Access::READ | Access::WRITE));
    let error = world.fails(world.fs.access(&path, Access::EXECUTE));
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "nobody may execute it, root neither");
    assert_eq!(world.fails(world.fs.access(world.path("gone"), Access::EXISTS)).kind(), ErrorKind::NotFound);
    world.ok(world.fs.chmod(&path, 0));
    if blocking::read(&path).is_ok() {
        eprintln!("SKIPPED: root may read every file");
        return;
    }
    assert_eq!(world.fails(world.fs.read_file(&path)).kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_folder_is_no_file_and_what_vanished_is_named() {
    for schedule in [Schedule::node26(), Schedule::node22()] {
        let world = World::new(schedule);
        let fs = &world.fs;
        assert_eq!(world.fails(fs.read_file(&world.folder)).kind(), ErrorKind::IsADirectory);
        assert_eq!(world.fails(fs.write_file(&world.folder, "x")).kind(), ErrorKind::IsADirectory);
        assert_eq!(world.fails(fs.unlink(world.path("gone"))).kind(), ErrorKind::NotFound);
        assert_eq!(world.fails(fs.rmdir(world.path("gone"))).kind(), ErrorKind::NotFound);
        let error = world.fails(fs.read_file(world.path("gone")));
        assert_eq!((error.operation, error.kind()), ("read_file", ErrorKind::NotFound));
        assert_eq!(error.source.raw_os_error(), Some(2));
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::NotFound);
    }
}

// --- open files -------------------------------------------------------------------------------------------------------

#[test]
fn an_open_file_is_read_and_written_with_and_without_a_position() {
    let world = world();
    let file = world.ok(world.fs.create(world.path("file")));
    assert_eq!(world.ok(file.write("hello")), 5);
    world.ok(file.write_all(" world"));
    assert_eq!(world.ok(file.write_at("J", 0)), 1);
    world.ok(file.write_all_at("!", 11));
    assert_eq!(world.ok(file.read(10)), b"!", "the position is where write_all left it");
    assert_eq!(world.ok(file.read(10)), b"");
    assert_eq!(world.ok(file.read_at(5, 0)), b"Jello");
    assert_eq!(world.ok(file.read_at(5, 100)), b"");
    assert_eq!(world.ok(file.read_at(0, 0)), b"");
    world.ok(file.truncate(3));
    world.ok(file.sync_all());
    world.ok(file.sync_data());
    assert_eq!(world.ok(file.stat()).len(), 3);
    world.ok(file.close());
    let file = world.ok(world.fs.open(world.path("file")));
    let error = world.fails(file.write("x"));
    assert_eq!((error.operation, error.source.raw_os_error()), ("write", Some(9)), "opened for reading");
    assert_eq!(error.path, world.path("file"));
}

#[test]
fn a_descriptor_is_closed_on_the_pool_and_never_under_an_operation() {
    let world = world();
    let path = world.path("file");
    let file = world.ok(world.fs.create(&path));
    let (gate, job) = Gate::new();
    world.fs.pool().run(Class::FS, job, |_, _| {}).unwrap();
    gate.wait_started();
    let write = file.write_all("late");
    drop(file);
    assert_eq!(descriptors(&path), 1, "the worker is busy");
    gate.open();
    world.ok(write);
    settle(&world.pool);
    assert_eq!((descriptors(&path), blocking::read(&path).unwrap().len()), (0, 4));
}

#[test]
fn no_descriptor_is_left_wherever_an_operation_is_dropped() {
    let world = World::new(Schedule::node22());
    let path = world.path("file");
    blocking::write(&path, vec![0; 2 << 20]).unwrap();
    for turns in 0..6 {
        let read = world.fs.read_file(&path);
        let open = world.fs.open(&path);
        for _ in 0..turns {
            settle(&world.pool);
            world.lp.run(RunMode::NoWait).unwrap();
        }
        drop((read, open));
        settle(&world.pool);
        settle(&world.pool); // closing may have been given while the first was on its way
        world.lp.set_immediate(|_| {}); // or there would be no turn
        world.lp.run(RunMode::NoWait).unwrap();
        assert_eq!((descriptors(&path), world.lp.request_count()), (0, 0), "after {turns} turns");
    }
}

#[test]
fn a_file_that_outlives_its_pool_or_loop_is_closed_where_it_is_dropped() {
    let world = world();
    if world.by_ring() {
        return; // it needs no pool; that it outlives the loop has a test with the ring's own
    }
    let path = world.path("file");
    let (first, second) = (world.ok(world.fs.create(&path)), world.ok(world.fs.create(&path)));
    world.pool.shutdown(Shutdown::Finish);
    assert_eq!(world.fails(first.read(1)).kind(), ErrorKind::Other);
    drop(first);
    assert_eq!(descriptors(&path), 1);
    let closed = world.fails(second.close());
    assert!(closed.to_string().ends_with("the pool has been shut down, or the loop is gone"), "{closed}");
    assert_eq!(descriptors(&path), 0);
}

// --- callbacks and cancelling -----------------------------------------------------------------------------------------

#[test]
fn a_callback_never_runs_inside_the_call_that_names_it() {
    let world = world();
    let log = Log::default();
    let stat = world.fs.stat(&world.folder);
    let (early, late) = (log.clone(), log.clone());
    // The result is there already.
    let ready = world.fs.stat(&world.folder);
    while !ready.is_ready() {
        world.turn();
    }
    ready.on_done(move |_, result| early.add(format!("ready {}", result.is_ok())));
    stat.on_done(move |_, result| late.add(format!("stat {}", result.is_ok())));
    // A pool that refuses is no exception.
    world.pool.shutdown(Shutdown::Finish);
    let refused = log.clone();
    world
        .fs
        .stat(&world.folder)
        .on_done(move |_, result| refused.add(format!("refused {}", result.is_err())));
    assert!(log.take().is_empty());
    run(&world.lp);
    let refused = format!("refused {}", !world.by_ring());
    assert_eq!(log.take(), ["ready true", "stat true", &refused]);
}

#[test]
fn a_loop_that_goes_tells_who_awaits_and_drops_callbacks_uncalled() {
    let lp = EventLoop::new().unwrap();
    let pool = pool(1);
    let fs = Fs::new(&LoopPool::new(&lp, &pool));
    let (gate, job) = Gate::new();
    fs.pool().run(Class::FS, job, |_, _| {}).unwrap();
    gate.wait_started();
    let mut awaited = Box::pin(fs.stat("."));
    let own = fs.clone();
    fs.stat(".").on_done(move |_, _| unreachable!("{own:?}"));
    drop(lp);
    let other = EventLoop::new().unwrap();
    let error = other.block_on(&mut awaited).unwrap().unwrap_err();
    assert!(error.to_string().ends_with("or the loop is gone"), "{error}");
    assert!(other.block_on(fs.stat(".")).unwrap().is_err());
    gate.open();
}

#[test]
fn a_full_queue_is_an_error_of_the_operation() {
    let lp = EventLoop::new().unwrap();
    let pool = builder().workers(1).class(ClassSpec::new("fs").queue_len_max(1)).build().unwrap();
    let fs = Fs::new(&LoopPool::new(&lp, &pool));
    let (gate, job) = Gate::new();
    fs.pool().run(Class::FS, job, |_, _| {}).unwrap();
    gate.wait_started();
    let (queued, refused) = (fs.stat("."), fs.stat("."));
    assert_eq!(lp.block_on(refused).unwrap().unwrap_err().kind(), ErrorKind::ResourceBusy);
    gate.open();
    lp.block_on(queued).unwrap().unwrap();
}

#[test]
fn a_dropped_operation_does_not_begin_and_one_with_a_callback_goes_on() {
    let world = world();
    let (gate, job) = Gate::new();
    world.fs.pool().run(Class::FS, job, |_, _| {}).unwrap();
    gate.wait_started();
    drop(world.fs.mkdir(world.path("dropped")));
    world.fs.mkdir(world.path("kept")).on_done(|_, result| result.unwrap());
    gate.open();
    run(&world.lp);
    assert!(!world.path("dropped").exists() && world.path("kept").exists());
}

#[test]
fn ten_thousand_operations_with_drops_leave_nothing_behind() {
    let lp = EventLoop::new().unwrap();
    let pool = pool(3);
    let fs = crate::front::front(&LoopPool::new(&lp, &pool), FsLimits::default());
    let folder = lp.block_on(fs.mkdtemp(std::env::temp_dir().join("phaseloop-"))).unwrap().unwrap();
    let (mut dice, ended, mut given) = (Dice(42), Rc::new(Cell::new(0)), 0);
    let paths: Vec<_> = (0..8).map(|name| folder.join(name.to_string())).collect();
    for _ in 0..10_000 {
        let path = &paths[dice.roll(8) as usize];
        match dice.roll(6) {
            0 => drop(fs.write_file(path, "text")),
            1 => drop(lp.spawn(fs.read_file(path))),
            2 => drop(fs.open(path)),
            operation => {
                given += 1;
                let ended = Rc::clone(&ended);
                let count = move || ended.set(ended.get() + 1);
                match operation {
                    3 => fs.append_file(path, "more").on_done(move |_, _| count()),
                    4 => fs.create(path).on_done(move |_, _| count()),
                    _ => fs.unlink(path).on_done(move |_, _| count()),
                }
            }
        }
        if dice.roll(40) == 0 {
            lp.run(RunMode::NoWait).unwrap();
        }
    }
    run(&lp);
    assert_eq!((ended.get(), lp.request_count()), (given, 0));
    drop(fs);
    pool.shutdown(Shutdown::Finish);
    lp.run(RunMode::NoWait).unwrap();
    lp.close().expect("nothing is left");
    assert_eq!(paths.iter().map(|path| descriptors(path)).sum::<usize>(), 0);
    blocking::remove_dir_all(folder).unwrap();
}
