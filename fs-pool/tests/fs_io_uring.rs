//! Files by io_uring: the tests of files once more, with the ring in the place of the pool, and what is the ring's own.
#![allow(clippy::unwrap_used, clippy::duplicate_mod)]

#[path = "support/by_ring.rs"]
mod front;
#[path = "fs.rs"]
mod fs;
#[path = "fs_calls.rs"]
mod fs_calls;
#[path = "fs_faults.rs"]
mod fs_faults;
#[path = "fs_pipeline.rs"]
mod fs_pipeline;
#[path = "fs_streams.rs"]
mod fs_streams;
#[path = "fs_trees.rs"]
mod fs_trees;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "support/world.rs"]
mod world;

use std::cell::Cell;
use std::fs as blocking;
use std::io::{ErrorKind, PipeReader, PipeWriter, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use fs_pool::fs::{
    File, Fs, FsError, FsLimits, IoUring, IoUringLimits, IoUringStats, Metadata, OpenOptions, Operation,
};
use fs_pool::request::LoopPool;
use on_loop::{Log, run};
use phaseloop::{EventLoop, RunMode, Schedule};
use support::pool;
use world::{World, descriptors, world};

/// None where there is no io_uring; `front` says so.
fn with_ring(schedule: Schedule) -> Option<World> {
    Some(World::new(schedule)).filter(World::by_ring)
}

fn stats(fs: &Fs) -> IoUringStats {
    fs.io_uring_stats().unwrap()
}

/// A file that has nothing to read until something is written to its other end.
fn silent(fs: &Fs) -> (File, PipeWriter) {
    let (reader, writer): (PipeReader, PipeWriter) = pipe().unwrap();
    (File::from_std(fs, OwnedFd::from(reader).into(), "a pipe"), writer)
}

/// Turns until it is so.
#[track_caller]
fn turn_until(lp: &EventLoop, mut is_so: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < support::PATIENCE, "{:?}", lp.why_alive());
        lp.set_immediate(|_| {}); // or there would be no turn
        lp.run(RunMode::NoWait).unwrap();
    }
}

// --- order ------------------------------------------------------------------------------------------------------------

#[test]
fn one_at_a_time_ends_in_the_order_of_the_calls_each_with_a_checkpoint_before_immediates() {
    let Some(world) = with_ring(Schedule::node26()) else { return };
    let log = Log::default();
    let paths = [world.path("gone"), world.folder.clone(), world.path("file")];
    blocking::write(&paths[2], "text").unwrap();
    for round in 0..3 {
        for (number, path) in paths.iter().enumerate() {
            let seen = log.clone();
            let end = move |lp: &phaseloop::LoopHandle, kind: &'static str, is_ok: bool| {
                seen.add(format!("{kind} {number} {is_ok}"));
                lp.next_tick(move |_| seen.add("tick"));
            };
            let other = end.clone();
            world.fs.stat(path).on_done(move |lp, result| end(lp, "stat", result.is_ok()));
            world.fs.read_file(path).on_done(move |lp, result| other(lp, "read", result.is_ok()));
        }
        run(&world.lp);
        let expected =
            ["stat 0 false", "read 0 false", "stat 1 true", "read 1 false", "stat 2 true", "read 2 true"];
        let expected: Vec<_> = expected.iter().flat_map(|line| [*line, "tick"]).collect();
        assert_eq!(log.take(), expected, "round {round}");
    }
    let (done, immediate, tick) = (log.clone(), log.clone(), log.clone());
    world.fs.read_file(&paths[2]).on_done(move |lp, _| {
        lp.next_tick(move |_| tick.add("tick"));
        done.add("read");
    });
    world.lp.set_immediate(move |_| immediate.add("immediate"));
    world.lp.run(RunMode::NoWait).unwrap();
    turn_until(&world.lp, || world.lp.request_count() == 0);
    let order = log.take();
    let place = |line: &str| order.iter().position(|it| it == line).unwrap();
    assert_eq!(place("tick"), place("read") + 1, "{order:?}");
}

#[test]
fn the_textbook_delivers_in_pending_and_drains_after_the_phase() {
    let Some(world) = with_ring(Schedule::textbook()) else { return };
    let log = Log::default();
    let path = world.path("file");
    blocking::write(&path, "text").unwrap();
    let wide = IoUringLimits::default();
    let fs = front::front_with(world.fs.pool(), FsLimits::default(), wide);
    // All that is there is in the kernel's memory, so all end in one poll phase.
    for number in 0..3 {
        let (seen, tick) = (log.clone(), log.clone());
        fs.read_file(&path).on_done(move |lp, result| {
            seen.add(format!("read {number} {}", result.is_ok()));
            lp.next_tick(move |_| tick.add("tick"));
        });
    }
    run(&world.lp);
    assert_eq!(log.take(), ["read 0 true", "read 1 true", "read 2 true", "tick", "tick", "tick"]);
}

#[test]
fn many_small_files_in_the_kernels_memory_take_two_turns() {
    let Some(world) = with_ring(Schedule::node26()) else { return };
    let fs = front::front_with(world.fs.pool(), FsLimits::default(), IoUringLimits::default());
    let (path, ended) = (world.path("file"), Rc::new(Cell::new(0)));
    blocking::write(&path, [7; 4096]).unwrap();
    for _ in 0..1000 {
        let ended = Rc::clone(&ended);
        fs.read_file(&path).on_done(move |_, result| {
            assert_eq!(result.unwrap(), [7; 4096]);
            ended.set(ended.get() + 1);
        });
    }
    assert_eq!((stats(&fs).queued, stats(&fs).in_flight), (1000, 0), "handed over in the prepare phase");
    run(&world.lp);
    assert_eq!(
        (ended.get(), stats(&fs).jobs, stats(&fs).calls),
        (1000, 1000, 2000),
        "opened; read and closed"
    );
    assert_eq!(descriptors(&path), 0);
}

// --- the same as by the pool ------------------------------------------------------------------------------------------

#[test]
fn what_is_known_of_a_file_is_what_std_knows() {
    let Some(world) = with_ring(Schedule::node26()) else { return };
    let (file, link) = (world.path("file"), world.path("link"));
    blocking::write(&file, [1; 5000]).unwrap();
    symlink("file", &link).unwrap();
    for path in [&file, &link, &world.folder, Path::new("/dev/null"), Path::new("/proc/self/exe")] {
        let theirs = Metadata::from(blocking::symlink_metadata(path).unwrap());
        assert_eq!(world.ok(world.fs.lstat(path)), theirs, "{path:?}");
        assert_eq!(
            world.ok(world.fs.stat(path)),
            Metadata::from(blocking::metadata(path).unwrap()),
            "{path:?}"
        );
    }
    let open = world.ok(world.fs.open(&link));
    assert_eq!(world.ok(open.stat()), Metadata::from(blocking::metadata(&file).unwrap()));
}

#[test]
fn errors_say_what_they_say_by_the_pool() {
    let Some(world) = with_ring(Schedule::node26()) else { return };
    let by_pool = Fs::new(world.fs.pool());
    let file = world.path("file");
    blocking::write(&file, "text").unwrap();
    symlink("circle", world.path("circle")).unwrap();
    let paths = [
        world.path("gone"),
        world.folder.clone(),
        file.join("below"),
        world.path("circle"),
        world.path("x".repeat(300)),
        world.path("a\0b"),
        "".into(),
    ];
    let told = |error: FsError| (error.to_string(), error.kind(), error.source.raw_os_error());
    let same = |what: &str, ours: Option<FsError>, theirs: Option<FsError>| {
        assert_eq!(ours.map(told), theirs.map(told), "{what}");
    };
    let ring = &world.fs;
    for path in &paths {
        let what = format!("{path:?}");
        same(&what, failed(&world, ring.stat(path)), failed(&world, by_pool.stat(path)));
        same(&what, failed(&world, ring.lstat(path)), failed(&world, by_pool.lstat(path)));
        same(&what, failed(&world, ring.open(path)), failed(&world, by_pool.open(path)));
        same(&what, failed(&world, ring.read_file(path)), failed(&world, by_pool.read_file(path)));
        if *path != world.path("gone") {
            same(
                &what,
                failed(&world, ring.write_file(path, "x")),
                failed(&world, by_pool.write_file(path, "x")),
            );
        }
    }
    for bits in 0..1 << 6 {
        let mut options = OpenOptions::new();
        options.read(bits & 1 != 0).write(bits & 2 != 0).append(bits & 4 != 0);
        options.truncate(bits & 8 != 0).create(bits & 16 != 0).create_new(bits & 32 != 0);
        let what = format!("{options:?}");
        let [ours, theirs] = [ring, &by_pool].map(|fs| failed(&world, fs.open_with(&file, &options)));
        same(&what, ours, theirs);
    }
    let reading = world.ok(ring.open(&file));
    let by_pool = world.ok(by_pool.open(&file));
    same("a write", failed(&world, reading.write("x")), failed(&world, by_pool.write("x")));
    same(
        "a write",
        failed(&world, reading.write_all_at("x", 9)),
        failed(&world, by_pool.write_all_at("x", 9)),
    );
}

fn failed<T: 'static>(world: &World, operation: Operation<T>) -> Option<FsError> {
    world.lp.block_on(operation).unwrap().err()
}

#[test]
fn a_file_of_no_length_and_a_pipe_are_read_and_written_to_their_ends() {
    let Some(world) = with_ring(Schedule::node26()) else { return };
    let fifo = world.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| at as u8).collect();
    for is_first in [true, false] {
        let read = world.fs.read_file(&fifo);
        if is_first {
            // It waits for somebody who writes, and takes nobody for the end of the file.
            (0..10).for_each(|_| _ = world.lp.run(RunMode::NoWait).unwrap());
            assert!(!read.is_ready());
        }
        let (path, sent) = (fifo.clone(), bytes.clone());
        let writer = std::thread::spawn(move || blocking::write(path, sent).unwrap());
        assert!(world.ok(read) == bytes);
        writer.join().unwrap();
    }
    let mut options = OpenOptions::new();
    let open = world.fs.open_with(&fifo, options.write(true)); // without making it, which a worker would do
    (0..10).for_each(|_| _ = world.lp.run(RunMode::NoWait).unwrap());
    assert!(!open.is_ready(), "it waits for somebody who reads");
    let path = fifo.clone();
    let reader = std::thread::spawn(move || blocking::read(path).unwrap());
    world.ok(world.ok(open).write_all("text"));
    turn_until(&world.lp, || reader.is_finished());
    assert_eq!(reader.join().unwrap(), b"text");
    let path = fifo.clone();
    let reader = std::thread::spawn(move || blocking::read(path).unwrap());
    world.ok(world.fs.write_file(&fifo, bytes.clone()));
    assert!(reader.join().unwrap() == bytes);
}

// --- giving up --------------------------------------------------------------------------------------------------------

#[test]
fn a_dropped_operation_is_given_up_in_the_kernel_and_leaves_nothing() {
    let Some(world) = with_ring(Schedule::node26()) else { return };
    let fifo = world.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (file, mut writer) = silent(&world.fs);
    for _ in 0..100 {
        let read = file.read(1 << 16);
        world.lp.run(RunMode::NoWait).unwrap();
        assert_eq!(stats(&world.fs).in_flight, 1);
        drop(read);
        turn_until(&world.lp, || stats(&world.fs).in_flight == 0);
        let open = world.fs.open(&fifo); // waits for somebody who writes
        world.lp.run(RunMode::NoWait).unwrap();
        assert_eq!(stats(&world.fs).in_flight, 1);
        drop(open);
        turn_until(&world.lp, || stats(&world.fs).in_flight == 0);
    }
    assert_eq!((world.lp.request_count(), descriptors(&fifo)), (0, 0));
    writer.write_all(b"late").unwrap();
    assert_eq!(world.ok(file.read(10)), b"late", "no read that was given up has taken it");
}

#[test]
fn a_file_dropped_under_an_operation_is_closed_when_that_has_ended() {
    let Some(world) = with_ring(Schedule::node26()) else { return };
    let (file, mut writer) = silent(&world.fs);
    let read = file.read(10);
    world.lp.run(RunMode::NoWait).unwrap();
    drop(file);
    writer.write_all(b"text").unwrap();
    assert_eq!(world.ok(read), b"text");
    turn_until(&world.lp, || writer.write(b"x").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe));
}

#[test]
fn a_loop_that_goes_waits_for_the_kernel_and_tells_who_awaits() {
    let Some(world) = with_ring(Schedule::node26()) else { return };
    let fs = front::front_with(world.fs.pool(), FsLimits::default(), IoUringLimits::default());
    let fifo = world.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (file, mut writer) = silent(&fs);
    let (read, queued) = (file.read(1 << 20), fs.stat("."));
    fs.open(&fifo).on_done(|_, _| unreachable!("the loop is gone"));
    world.lp.run(RunMode::NoWait).unwrap();
    assert!(stats(&fs).in_flight >= 2);
    let (handle, other) = (world.lp.handle(), EventLoop::new().unwrap());
    drop(world);
    assert!(handle.is_closed());
    let error = other.block_on(read).unwrap().unwrap_err();
    assert!(error.to_string().ends_with("or the loop is gone"), "{error}");
    let _ = other.block_on(queued).unwrap(); // it may have been done before
    assert_eq!(stats(&fs).in_flight, 0);
    assert!(other.block_on(fs.stat(".")).unwrap().is_err());
    assert_eq!(descriptors(&fifo), 0);
    drop(file);
    assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe, "the file is closed");
}

#[test]
fn a_front_that_goes_lets_the_loop_close_and_the_ring_with_it() {
    let before = rings();
    let lp = EventLoop::new().unwrap();
    let fs = front::front(&LoopPool::new(&lp, &pool(1)), FsLimits::default());
    if !fs.uses_io_uring() {
        return;
    }
    assert_eq!(
        lp.block_on(fs.read_file("Cargo.toml")).unwrap().unwrap(),
        blocking::read("Cargo.toml").unwrap()
    );
    let (file, _writer) = silent(&fs);
    file.read(1).on_done(|_, _| unreachable!("it is given up with the loop"));
    lp.run(RunMode::NoWait).unwrap();
    drop((fs, file));
    lp.run(RunMode::NoWait).unwrap();
    drop(lp);
    // Other tests of this process make rings of their own, but not of this thread.
    assert!(rings() <= before + 32);
}

/// Rings of this process.
fn rings() -> usize {
    let fds = blocking::read_dir("/proc/self/fd").unwrap().flatten();
    fds.filter(|fd| blocking::read_link(fd.path()).is_ok_and(|to| to == Path::new("anon_inode:[io_uring]")))
        .count()
}

// --- bounds -----------------------------------------------------------------------------------------------------------

#[test]
fn what_is_beyond_the_bound_is_refused_and_what_was_given_up_makes_room() {
    let world = world();
    let limits = IoUringLimits { in_flight_max: 1, queue_len_max: 2, entries: 1 };
    let fs = front::front_with(world.fs.pool(), FsLimits::default(), limits);
    if !fs.uses_io_uring() {
        return;
    }
    let (file, mut writer) = silent(&fs);
    let read = file.read(10);
    world.lp.run(RunMode::NoWait).unwrap(); // it has the only place
    let (first, second) = (fs.stat("."), fs.stat("."));
    assert_eq!(world.fails(fs.stat(".")).kind(), ErrorKind::ResourceBusy);
    drop(second);
    for _ in 0..10_000 {
        drop(fs.stat("."));
    }
    assert_eq!(stats(&fs).queued, 1);
    let third = fs.stat(".");
    writer.write_all(b"x").unwrap();
    assert_eq!(world.ok(read), b"x");
    assert!(world.ok(first).is_dir() && world.ok(third).is_dir());
    assert_eq!((stats(&fs).queued, stats(&fs).in_flight), (0, 0));
}

// --- whether there is one ---------------------------------------------------------------------------------------------

#[test]
fn off_is_the_default_try_falls_back_and_require_says_why_not() {
    let world = world();
    assert!(!Fs::new(world.fs.pool()).uses_io_uring());
    assert!(!Fs::builder(world.fs.pool()).io_uring(IoUring::Off).build().unwrap().uses_io_uring());
    if std::env::var_os("PHASELOOP_TEST_NO_RING").is_none() {
        let test = "off_is_the_default_try_falls_back_and_require_says_why_not";
        let script = format!("ulimit -n 64; exec \"$0\" --exact {test} --nocapture");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap()).env("PHASELOOP_TEST_NO_RING", "1");
        let output = shell.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("the child has done its part"), "{told}");
        return;
    }
    let open: Vec<_> = std::iter::from_fn(|| blocking::File::open("Cargo.toml").ok()).collect();
    let builder = Fs::builder(world.fs.pool());
    let error = builder.clone().io_uring(IoUring::Require).build().unwrap_err();
    assert!(
        error.to_string().starts_with("io_uring is required, and there is none: Too many open files"),
        "{error}"
    );
    let fs = builder.clone().io_uring(IoUring::Try).build().unwrap();
    assert!(!fs.uses_io_uring());
    drop(open);
    assert!(world.ok(fs.stat(".")).is_dir());
    assert_eq!(builder.io_uring(IoUring::Require).build().unwrap().uses_io_uring(), world.by_ring());
    eprintln!("the child has done its part");
}
