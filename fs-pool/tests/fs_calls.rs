//! Files: calls that change what a file is, several buffers, positions, folders by pieces, temporary names, batches.
#![allow(clippy::unwrap_used)]

#[path = "support/by_pool.rs"]
mod front;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "support/world.rs"]
mod world;

use std::fs as blocking;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, UNIX_EPOCH};

use fs_pool::fs::{CopyOptions, FsLimits, Metadata, Reflink, SetTime, WriteOptions};
use fs_pool::pool::{Class, Shutdown};
use futures::StreamExt;
use on_loop::{Gate, Log, run, settle};
use phaseloop::RunMode;
use support::PATIENCE;
use world::{descriptors, world};

// --- what a file is ---------------------------------------------------------------------------------------------------

#[test]
fn times_are_set_kept_and_taken_from_the_clock() {
    let world = world();
    let (fs, path, link) = (&world.fs, world.path("file"), world.path("link"));
    world.ok(fs.write_file(&path, "x"));
    world.ok(fs.symlink("file", &link));
    let (early, late) = (UNIX_EPOCH + Duration::new(7, 123_456_789), UNIX_EPOCH + Duration::from_secs(9));
    world.ok(fs.utimes(&link, early, late));
    let times = |metadata: Metadata| (metadata.accessed(), metadata.modified());
    assert_eq!(times(world.ok(fs.stat(&path))), (early, late), "links are followed, nanoseconds are kept");
    world.ok(fs.utimes(&path, SetTime::Keep, SetTime::At(early)));
    assert_eq!(times(world.ok(fs.stat(&path))), (early, early));
    world.ok(fs.utimes(&path, late, SetTime::Now));
    let (accessed, modified) = times(world.ok(fs.stat(&path)));
    assert!(accessed == late && modified > UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    world.ok(fs.lutimes(&link, early, late));
    assert_eq!(times(world.ok(fs.lstat(&link))), (early, late));
    assert_eq!(times(world.ok(fs.stat(&path))), (accessed, modified), "only the link was changed");
    let file = world.ok(fs.open(&path));
    world.ok(file.utimes(early, SetTime::Keep));
    assert_eq!(times(world.ok(file.stat())), (early, modified));
}

#[test]
fn permissions_and_owners_are_set() {
    let world = world();
    let (fs, path, link) = (&world.fs, world.path("file"), world.path("link"));
    let file = world.ok(fs.create(&path));
    world.ok(fs.symlink("file", &link));
    world.ok(file.chmod(0o604));
    assert_eq!(world.ok(file.stat()).mode() & 0o777, 0o604);
    let owner = world.ok(fs.stat(&path)).uid();
    world.ok(file.chown(Some(owner), None));
    world.ok(fs.chown(&path, None, None));
    world.ok(fs.lchown(&link, Some(owner), None));
    assert_eq!(world.fails(fs.chown(world.path("gone"), None, None)).kind(), ErrorKind::NotFound);
    if owner != 0 {
        assert_eq!(world.fails(fs.chown(&path, Some(0), None)).kind(), ErrorKind::PermissionDenied);
        eprintln!("SKIPPED: only root may give files away");
        return;
    }
    world.ok(fs.lchown(&link, Some(5), Some(6)));
    world.ok(file.chown(Some(7), Some(8)));
    let owners = |metadata: Metadata| (metadata.uid(), metadata.gid());
    assert_eq!(owners(world.ok(fs.lstat(&link))), (5, 6));
    assert_eq!(owners(world.ok(fs.stat(&path))), (7, 8));
    world.ok(fs.chown(&link, None, Some(9)));
    assert_eq!(owners(world.ok(fs.stat(&link))), (7, 9), "links are followed");
}

#[test]
fn a_file_is_cut_and_filled_by_its_path() {
    let world = world();
    let path = world.path("file");
    world.ok(world.fs.write_file(&path, "12345"));
    world.ok(world.fs.truncate(&path, 2));
    world.ok(world.fs.truncate(&path, 4));
    assert_eq!(world.ok(world.fs.read_file(&path)), b"12\0\0");
    assert_eq!(world.fails(world.fs.truncate(world.path("gone"), 0)).kind(), ErrorKind::NotFound);
    assert_eq!(world.fails(world.fs.truncate(&world.folder, 0)).kind(), ErrorKind::IsADirectory);
}

#[test]
fn a_file_system_says_how_much_it_holds() {
    let world = world();
    let stat = world.ok(world.fs.statfs(&world.folder));
    assert!(
        stat.block_len > 0 && stat.blocks >= stat.blocks_free && stat.blocks_free >= stat.blocks_available
    );
    assert_eq!(world.ok(world.fs.statfs("/proc")).kind, 0x9fa0, "statfs(2), PROC_SUPER_MAGIC");
    let error = world.fails(world.fs.statfs(world.path("gone")));
    assert_eq!((error.operation, error.kind()), ("statfs", ErrorKind::NotFound));
}

#[test]
fn what_exists_is_told_and_what_can_not_be_known_is_an_error() {
    let world = world();
    let fs = &world.fs;
    assert!(world.ok(fs.exists(&world.folder)));
    assert!(!world.ok(fs.exists(world.path("gone"))));
    world.ok(fs.symlink("gone", world.path("link")));
    assert!(!world.ok(fs.exists(world.path("link"))), "links are followed");
    world.ok(fs.symlink("circle", world.path("circle")));
    assert_eq!(world.fails(fs.exists(world.path("circle"))).source.raw_os_error(), Some(40), "ELOOP");
}

#[test]
fn too_many_links_and_too_long_names_are_the_systems_errors() {
    let world = world();
    let fs = &world.fs;
    for number in 0..50 {
        world.ok(fs.symlink(format!("{}", number + 1), world.path(number.to_string())));
    }
    world.ok(fs.write_file(world.path("50"), "x"));
    assert_eq!(world.ok(fs.read_file(world.path("30"))), b"x", "20 links");
    let error = world.fails(fs.read_file(world.path("0")));
    assert_eq!((error.operation, error.source.raw_os_error()), ("read_file", Some(40)), "ELOOP");
    assert_eq!(world.fails(fs.realpath(world.path("0"))).source.raw_os_error(), Some(40));
    let long = world.path("x".repeat(256));
    for error in
        [world.fails(fs.mkdir(&long)), world.fails(fs.stat(&long)), world.fails(fs.rename("gone", &long))]
    {
        assert!(error.kind() == ErrorKind::InvalidFilename || error.kind() == ErrorKind::NotFound, "{error}");
        assert!(error.path == long || error.to == Some(long.clone()));
    }
    let deep = PathBuf::from("x/".repeat(3000));
    assert_eq!(world.fails(fs.stat(deep)).kind(), ErrorKind::InvalidFilename);
}

// --- bytes ------------------------------------------------------------------------------------------------------------

#[test]
fn several_buffers_are_read_and_written_with_and_without_a_position() {
    let world = world();
    let path = world.path("file");
    let file = world.ok(world.fs.create(&path));
    let bufs = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(world.ok(file.write_vectored(bufs(&["he", "", "llo"]))), 5);
    assert_eq!(world.ok(file.write_vectored(bufs(&[" world"]))), 6);
    assert_eq!(world.ok(file.write_vectored_at(bufs(&["J", "u"]), 0)), 2);
    assert_eq!(world.ok(file.write_vectored(vec![])), 0);
    assert_eq!(world.ok(world.fs.read_file(&path)), b"Jullo world");
    assert_eq!(world.ok(file.read_vectored(vec![vec![0; 3]])).0, 0, "the position is at the end");
    let (len, read) = world.ok(file.read_vectored_at(vec![vec![0; 2], vec![0; 5], vec![9; 9]], 3));
    assert_eq!(
        (len, &read[0][..], &read[1][..], &read[2][..2]),
        (8, &b"lo"[..], &b" worl"[..], &b"d\x09"[..])
    );
    let file = world.ok(world.fs.open(&path));
    let (len, read) = world.ok(file.read_vectored(vec![vec![0; 5], vec![0; 1]]));
    assert_eq!((len, &read[0][..], &read[1][..]), (6, &b"Jullo"[..], &b" "[..]));
    let (len, read) = world.ok(file.read_into(vec![7; 10]));
    assert_eq!((len, &read[..]), (5, &b"world\x07\x07\x07\x07\x07"[..]));
    assert_eq!(world.ok(file.read_into_at(vec![0; 2], 1)), (2, b"ul".to_vec()));
    let error = world.fails(file.write_vectored(bufs(&["x"])));
    assert_eq!((error.operation, error.source.raw_os_error()), ("write_vectored", Some(9)));
}

#[test]
fn more_buffers_than_the_system_takes_at_a_time() {
    let world = world();
    let file = world.ok(world.fs.create(world.path("file")));
    let bufs: Vec<Vec<u8>> = (0..5000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
    assert_eq!(world.ok(file.write_vectored(bufs.clone())), 20_000);
    assert_eq!(world.ok(file.write_vectored_at(bufs.clone(), 20_000)), 20_000);
    let empty = || vec![vec![0; 4]; 5000];
    assert!(world.ok(file.read_vectored_at(empty(), 0)) == (20_000, bufs.clone()));
    let file = world.ok(world.fs.open(world.path("file")));
    assert!(world.ok(file.read_vectored(empty())) == (20_000, bufs.clone()));
    assert!(world.ok(file.read_vectored(empty())) == (20_000, bufs));
    assert_eq!(world.ok(file.read_vectored(empty())).0, 0);
}

#[test]
fn a_sparse_file_above_four_gib_is_read_and_written_at_its_offsets() {
    let world = world();
    let path = world.path("huge");
    let file = world.ok(world.fs.create(&path));
    let far = (5 << 30) + 3;
    world.ok(file.truncate(far + 100));
    world.ok(file.write_all_at("far", far));
    assert_eq!(world.ok(file.write_vectored_at(vec![b"ther".to_vec()], far + 3)), 4);
    assert_eq!(world.ok(file.read_at(8, far - 1)), b"\0farther");
    assert_eq!(world.ok(file.read_vectored_at(vec![vec![0; 2]], far)).1, [b"fa"]);
    assert_eq!(world.ok(world.fs.stat(&path)).len(), far + 100);
    assert_eq!(world.fails(world.fs.read_file(&path)).kind(), ErrorKind::FileTooLarge);
    let other = world.ok(world.fs.create(world.path("small")));
    assert_eq!(world.ok(file.sendfile(&other, far, 7)), 7);
    assert_eq!(world.ok(world.fs.read_file(world.path("small"))), b"farther");
}

#[test]
fn the_system_sends_a_file_to_another() {
    let world = world();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    world.ok(world.fs.write_file(world.path("a"), bytes.clone()));
    let (a, b) = (world.ok(world.fs.open(world.path("a"))), world.ok(world.fs.create(world.path("b"))));
    assert_eq!(world.ok(a.sendfile(&b, 0, 0)), 0);
    assert_eq!(world.ok(a.sendfile(&b, 10, u64::MAX)), 2_999_990, "as much as there is");
    assert_eq!(world.ok(a.sendfile(&b, 3_000_000, 5)), 0);
    assert!(world.ok(world.fs.read_file(world.path("b"))) == bytes[10..]);
    assert_eq!(world.ok(a.read(1)), [0], "the position has stayed");
    let empty = world.ok(world.fs.create(world.path("empty")));
    assert_eq!(world.ok(empty.sendfile(&b, 0, 100)), 0);
    let error = world.fails(b.sendfile(&a, 0, 1));
    assert_eq!((error.operation, error.to), ("sendfile", Some(world.path("a"))), "opened for reading");
}

#[test]
fn a_file_that_shrinks_or_grows_while_it_is_read_is_read_to_where_it_ends() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, vec![1; 2 << 20]).unwrap();
    let change = blocking::OpenOptions::new().write(true).open(&path).unwrap();
    let read = |to: u64| {
        let (hops, done) = (std::cell::Cell::new(0), std::rc::Rc::new(std::cell::Cell::new(None)));
        let tell = std::rc::Rc::clone(&done);
        change.set_len(2 << 20).unwrap();
        world.fs.read_file(&path).on_done(move |_, result| tell.set(Some(result.unwrap().len())));
        loop {
            settle(&world.pool);
            world.lp.run(RunMode::NoWait).unwrap();
            if let Some(len) = done.take() {
                return len;
            }
            hops.set(hops.get() + 1);
            if hops.get() == 2 {
                change.set_len(to).unwrap(); // 1 MiB is read or on its way
            }
            assert!(hops.get() < 100, "it does not end");
        }
    };
    let shrunk = read(1_200_000);
    assert!((1_048_576..=1_572_864).contains(&shrunk), "{shrunk}");
    assert_eq!(read(4 << 20), 2 << 20, "as long as it was");
    change.write_at(b"x", 0).unwrap();
}

// --- copying one file -------------------------------------------------------------------------------------------------

#[test]
fn copies_replace_refuse_or_share() {
    let world = world();
    let (fs, a, b) = (&world.fs, world.path("a"), world.path("b"));
    world.ok(fs.write_file(&a, "long enough"));
    world.ok(fs.chmod(&a, 0o640));
    world.ok(fs.write_file(&b, "something longer than that"));
    assert_eq!(world.ok(fs.copy_file(&a, &b)), 11);
    assert_eq!(world.ok(fs.read_file(&b)), b"long enough");
    assert_eq!(world.ok(fs.stat(&b)).mode() & 0o777, 0o640);
    for options in [CopyOptions::new().exclusive(true), CopyOptions::new().exclusive(true).atomic(true)] {
        let error = world.fails(fs.copy_file_with(&a, &b, options));
        assert_eq!((error.kind(), error.to.as_deref()), (ErrorKind::AlreadyExists, Some(&*b)));
        assert_eq!(world.ok(fs.copy_file_with(&a, world.path("new"), options)), 11);
        world.ok(fs.unlink(world.path("new")));
    }
    world.ok(fs.write_file(&a, "newer"));
    let inode = world.ok(fs.stat(&b)).ino();
    assert_eq!(world.ok(fs.copy_file(&a, &b)), 5);
    assert_eq!(world.ok(fs.stat(&b)).ino(), inode, "written over");
    assert_eq!(world.ok(fs.copy_file_with(&a, &b, CopyOptions::new().atomic(true))), 5);
    assert_ne!(world.ok(fs.stat(&b)).ino(), inode, "replaced");
    assert_eq!(world.ok(fs.copy_file(&a, &a)), 5, "onto itself");
    assert_eq!(world.ok(fs.read_file(&a)), b"newer");
    assert_eq!(world.fails(fs.copy_file(&world.folder, &b)).kind(), ErrorKind::IsADirectory);
    assert_eq!(world.fails(fs.copy_file(&a, &world.folder)).kind(), ErrorKind::IsADirectory);
    assert_eq!(world.ok(fs.read_file(&b)), b"newer");
    assert_eq!(world.ok(fs.copy_file_with(&a, &b, CopyOptions::new().reflink(Reflink::Never))), 5);
    let (shared, third) = (CopyOptions::new().reflink(Reflink::Always), world.path("third"));
    match world.lp.block_on(fs.copy_file_with(&a, &third, shared)).unwrap() {
        Ok(len) => assert_eq!((len, blocking::read(&third).unwrap()), (5, b"newer".to_vec())),
        Err(error) => assert!(!third.exists(), "{error}"),
    }
    assert_eq!(world.ok(fs.readdir(&world.folder)).len(), 2 + usize::from(third.exists()));
}

#[test]
fn a_file_without_a_length_is_copied_to_its_end() {
    let world = world();
    let to = world.path("copy");
    assert!(world.ok(world.fs.copy_file("/proc/self/status", &to)) > 100);
    assert!(blocking::read(&to).unwrap().starts_with(b"Name:"));
}

#[test]
fn a_copy_that_is_given_up_leaves_no_half_file() {
    let world = world();
    let (from, to) = (world.path("from"), world.path("to"));
    blocking::File::create(&from).unwrap().set_len(1 << 40).unwrap(); // a tebibyte of nothing: it can not end
    blocking::write(&to, "old").unwrap();
    for atomic in [true, false] {
        let copy =
            world.fs.copy_file_with(&from, &to, CopyOptions::new().atomic(atomic).reflink(Reflink::Never));
        let began = || match atomic {
            true => blocking::read_dir(&world.folder).unwrap().count() == 3,
            false => blocking::metadata(&to).unwrap().len() != 3,
        };
        let deadline = Instant::now() + PATIENCE;
        while !began() {
            assert!(Instant::now() < deadline, "the worker does not begin");
            std::thread::yield_now();
        }
        drop(copy);
        settle(&world.pool);
        assert_eq!(blocking::read(&to).ok(), atomic.then(|| b"old".to_vec()));
    }
    assert_eq!(blocking::read_dir(&world.folder).unwrap().count(), 1, "the source");
}

// --- writing in another way -------------------------------------------------------------------------------------------

#[test]
fn a_whole_file_is_written_as_the_options_say() {
    let world = world();
    let (fs, path) = (&world.fs, world.path("file"));
    let new = WriteOptions::new;
    world.ok(fs.write_file_with(&path, "first", new().exclusive().mode(0o600).sync(true)));
    assert_eq!(world.ok(fs.stat(&path)).mode() & 0o777, 0o600);
    for atomic in [false, true] {
        let error = world.fails(fs.write_file_with(&path, "x", new().exclusive().atomic(atomic)));
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
    world.ok(fs.write_file_with(&path, ", then", new().append()));
    world.ok(fs.write_file_with(&path, "F", new().keep()));
    assert_eq!(world.ok(fs.read_file(&path)), b"First, then");
    let inode = world.ok(fs.stat(&path)).ino();
    world.ok(fs.write_file_with(&path, "whole", new().atomic(true)));
    let metadata = world.ok(fs.stat(&path));
    assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, 5), "permissions are kept");
    assert_ne!(metadata.ino(), inode);
    world.ok(fs.write_file_with(world.path("new"), "x", new().atomic(true).exclusive()));
    for options in [new().append().atomic(true), new().keep().atomic(true)] {
        assert_eq!(world.fails(fs.write_file_with(&path, "x", options)).kind(), ErrorKind::InvalidInput);
    }
    let error = world.fails(fs.write_file_with(&world.folder, "x", new().atomic(true)));
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
    assert_eq!(world.ok(fs.readdir(&world.folder)).len(), 2, "nothing else is left");
}

// --- folders by pieces ------------------------------------------------------------------------------------------------

#[test]
fn a_folder_is_listed_by_pieces_and_as_a_stream() {
    let world = world();
    for number in 0..100 {
        blocking::write(world.path(number.to_string()), "").unwrap();
    }
    let mut folder = world.ok(world.fs.opendir(&world.folder));
    let mut names: Vec<_> = world.ok(folder.read(7)).iter().map(|entry| entry.name().to_owned()).collect();
    assert_eq!(names.len(), 7);
    assert!(world.ok(folder.read(0)).is_empty());
    let entry = world.lp.block_on(folder.next_entry()).unwrap().unwrap().unwrap();
    names.push(entry.name().to_owned());
    names.extend(world.ok(folder.read(3)).iter().map(|entry| entry.name().to_owned()));
    assert_eq!(names.len(), 11, "the stream has fetched more, and they are not lost");
    let rest =
        world.lp.block_on(folder.by_ref().map(|entry| entry.unwrap().name().to_owned()).collect::<Vec<_>>());
    names.extend(rest.unwrap());
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 100);
    assert!(world.ok(folder.read(10)).is_empty(), "it is over");
    world.ok(folder.close());
    assert_eq!(descriptors(&world.folder), 0);
    assert_eq!(world.fails(world.fs.opendir(world.path("0"))).kind(), ErrorKind::NotADirectory);
}

#[test]
fn a_folder_that_is_dropped_is_closed_early() {
    let world = world();
    for number in 0..100 {
        blocking::write(world.path(number.to_string()), "").unwrap();
    }
    let mut folder = world.ok(world.fs.opendir(&world.folder));
    world.lp.block_on(folder.next_entry()).unwrap();
    assert_eq!(descriptors(&world.folder), 1);
    let read = folder.read(50);
    drop((folder, read));
    settle(&world.pool);
    world.lp.set_immediate(|_| {}); // or there would be no turn, and a cancelled job comes back in one
    run(&world.lp);
    assert_eq!(descriptors(&world.folder), 0);
}

// --- temporary names --------------------------------------------------------------------------------------------------

#[test]
fn temporary_files_have_new_names_and_stay() {
    let world = world();
    let first = world.ok(world.fs.mkstemp(world.path("t-")));
    let second = world.ok(world.fs.mkstemp(world.path("t-")));
    assert_ne!(first.path(), second.path());
    world.ok(first.write_all("x"));
    assert_eq!(world.ok(first.stat()).mode() & 0o777, 0o600);
    let path = first.path().to_owned();
    world.ok(first.close());
    assert_eq!(blocking::read(path).unwrap(), b"x");
    assert_eq!(world.fails(world.fs.mkstemp(world.path("gone/t-"))).kind(), ErrorKind::NotFound);
}

#[test]
fn files_and_folders_vanish_with_whoever_holds_them_or_are_kept() {
    let world = world();
    let count = || blocking::read_dir(&world.folder).unwrap().count();
    let file = world.ok(world.fs.temp_file(world.path("t-")));
    world.ok(file.write_all("text"));
    let folder = world.ok(world.fs.temp_folder(world.path("t-")));
    world.ok(world.fs.mkdir(folder.path().join("below")));
    assert_eq!(count(), 2);
    drop((file, folder));
    run(&world.lp);
    assert_eq!(count(), 0, "the loop has waited for it");
    let file = world.ok(world.fs.temp_file(world.path("t-")));
    world.ok(file.write_all("kept"));
    world.ok(file.keep(world.path("file")));
    let folder = world.ok(world.fs.temp_folder(world.path("t-"))).keep();
    assert!(folder.is_dir());
    assert_eq!((count(), blocking::read(world.path("file")).unwrap()), (2, b"kept".to_vec()));
    let file = world.ok(world.fs.temp_file(world.path("t-")));
    let error = world.fails(file.keep(world.path("gone/file")));
    assert_eq!((error.operation, error.to), ("keep", Some(world.path("gone/file"))));
    assert_eq!(count(), 2, "what could not be kept is gone");
    // Where the pool takes no more, it is done at once; an operation that is given up leaves nothing either.
    let file = world.ok(world.fs.temp_file(world.path("t-")));
    let (gate, job) = Gate::new();
    world.fs.pool().run(Class::FS, job, |_, _| {}).unwrap();
    gate.wait_started();
    drop(world.fs.temp_folder(world.path("t-")));
    let given_up = world.fs.temp_file(world.path("t-"));
    gate.open();
    settle(&world.pool);
    drop(given_up);
    settle(&world.pool);
    world.pool.shutdown(Shutdown::Finish);
    drop(file);
    run(&world.lp);
    assert_eq!(count(), 2);
}

// --- batches ----------------------------------------------------------------------------------------------------------

#[test]
fn a_batch_is_one_job_and_each_operation_has_its_own_result() {
    let world = world();
    let file = world.ok(world.fs.create(world.path("file")));
    let before = world.jobs();
    let (made, gone, read, text) = world.fs.batch(|fs| {
        let file = fs.file(&file);
        let made = fs.mkdir(world.path("folder"));
        let gone = fs.stat(world.path("gone"));
        drop(fs.mkdir(world.path("dropped")));
        drop(file.write_all("not this"));
        let write = file.write_all("text");
        write.on_done(|_, result| result.unwrap());
        (made, gone, file.read_at(9, 0), fs.read_file(world.path("file")))
    });
    world.ok(made);
    let error = world.fails(gone);
    assert_eq!(
        (error.operation, error.kind(), error.path),
        ("stat", ErrorKind::NotFound, world.path("gone"))
    );
    assert_eq!(world.ok(read), b"text", "in order, and what was dropped did not begin");
    assert_eq!(world.ok(text), b"text");
    assert!(!world.path("dropped").exists());
    assert_eq!(world.jobs() - before, 1);
    assert!(world.lp.block_on(world.fs.batch(|fs| fs.stat("."))).unwrap().is_ok());
    world.fs.batch(|_| ());
    drop(file);
    settle(&world.pool);
    assert_eq!(descriptors(&world.path("file")), 0);
}

#[test]
fn callbacks_of_a_batch_have_checkpoints_of_their_own_in_one_turn() {
    let world = world();
    let log = Log::default();
    world.fs.batch(|fs| {
        for number in 0..3 {
            let (log, tick) = (log.clone(), log.clone());
            fs.stat(&world.folder).on_done(move |lp, result| {
                log.add(format!("{number} {}", result.is_ok()));
                lp.next_tick(move |_| tick.add(format!("tick {number}")));
            });
        }
    });
    settle(&world.pool);
    assert!(log.take().is_empty());
    world.lp.run(RunMode::NoWait).unwrap();
    assert_eq!(log.take(), ["0 true", "tick 0", "1 true", "tick 1", "2 true", "tick 2"]);
}

#[test]
fn a_batch_is_bounded_and_a_pool_that_refuses_it_is_told_to_each() {
    let world = world();
    let fs = world.with_limits(FsLimits { batch_len_max: 2, ..FsLimits::default() });
    let three = fs.batch(|fs| [fs.stat("."), fs.stat("."), fs.stat(".")]);
    let results: Vec<_> = three.into_iter().map(|stat| world.lp.block_on(stat).unwrap()).collect();
    assert!(results[0].is_ok() && results[1].is_ok());
    assert_eq!(
        results[2].as_ref().unwrap_err().to_string(),
        "stat \".\": a batch takes at most 2 operations"
    );
    world.pool.shutdown(Shutdown::Finish);
    let two = fs.batch(|fs| [fs.stat("."), fs.stat(".")]);
    for stat in two {
        assert!(world.fails(stat).to_string().contains("shut down"));
    }
}

#[test]
fn an_operation_of_several_jobs_goes_on_after_its_batch() {
    let world = world();
    blocking::write(world.path("file"), vec![1; 600_000]).unwrap();
    let (read, made) =
        world.fs.batch(|fs| (fs.read_file(world.path("file")), fs.mkdir_recursive(world.path("a/b"))));
    assert_eq!(world.ok(read).len(), 600_000);
    world.ok(made);
    assert!(world.path("a/b").is_dir());
}

// --- the life of an operation -----------------------------------------------------------------------------------------

#[test]
fn an_operation_that_is_unreferenced_lets_the_loop_end() {
    let world = world();
    let (gate, job) = Gate::new();
    world.fs.pool().request(Class::FS).forget(move |cx| _ = job(cx)).unwrap();
    gate.wait_started();
    let read = world.fs.read_file(world.path("gone"));
    read.unref();
    assert!(!read.is_referenced());
    run(&world.lp);
    assert!(!read.is_ready());
    read.ref_();
    gate.open();
    run(&world.lp);
    assert!(read.is_ready());
    read.unref(); // it has ended
    assert_eq!(world.fails(read).kind(), ErrorKind::NotFound);
}

#[test]
fn the_pool_names_the_lines_that_started_operations() {
    let world = world();
    if world.by_ring() {
        return; // it is the pool that measures
    }
    let here = line!();
    let operations = (
        world.fs.stat("."),
        world.fs.write_file(world.path("file"), "x"),
        world.fs.batch(|fs| fs.stat(".")),
        world.fs.rm(world.path("gone")),
    );
    world.ok(operations.0);
    world.ok(operations.1);
    world.ok(operations.2);
    world.fails(operations.3);
    let slowest = world.pool.snapshot().slowest;
    let mine: Vec<_> = slowest.iter().filter(|job| job.site.file().ends_with("fs_calls.rs")).collect();
    let mut lines: Vec<_> = mine.iter().map(|job| job.site.line() - here).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 3, 4, 5]);
}
