//! Faults: a disk that is full, files that may not grow, too many open files, what can not be read or vanishes. The error is clear,
//! and no half file stays where none is promised.
//!
//! What changes the whole process runs in a child: this binary again, behind a shell that sets the limit.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr)] // what is skipped is said loudly, and a child tells its parent

#[path = "support/by_pool.rs"]
mod front;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "support/world.rs"]
mod world;

use std::fs as blocking;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_pool::fs::{
    CopyOptions, CpOptions, OpenOptions, PipelineEnd, ReadOptions, RmOptions, WriteOptions, pipeline,
};
use on_loop::{Log, run, settle};
use world::{World, descriptors, world};

// --- children ---------------------------------------------------------------------------------------------------------

/// True in the child; the parent starts it behind `prelude`, waits, and gets false.
#[track_caller]
fn in_child(test: &str, folder: &Path, shell: &[&str], prelude: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    // This file may be a module of another one.
    let module = module_path!().split_once("::").map_or(String::new(), |(_, module)| format!("{module}::"));
    let script = format!("{prelude} || exit {SKIP}; exec \"$0\" --exact {module}{test} --nocapture");
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg("-c").arg(script).arg(std::env::current_exe().unwrap());
    let Ok(output) = command.env(CHILD, "1").env(FOLDER, folder).output() else {
        eprintln!("SKIPPED: there is no {}", shell[0]);
        return false;
    };
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(SKIP)
        || shell.len() > 1 && output.status.code() == Some(1) && !told.contains(RAN)
    {
        eprintln!("SKIPPED: `{prelude}` is not permitted here: {told}");
        return false;
    }
    assert!(output.status.success() && told.contains(RAN), "{told}");
    false
}

const CHILD: &str = "PHASELOOP_TEST_CHILD";
const FOLDER: &str = "PHASELOOP_TEST_FOLDER";
const RAN: &str = "the child has done its part";
const SKIP: i32 = 77;

/// The folder that the parent has made.
fn given_folder() -> PathBuf {
    std::env::var_os(FOLDER).unwrap().into()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = blocking::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

// --- no room ----------------------------------------------------------------------------------------------------------

/// Sources of 8 MiB and of a few bytes, and a place for targets, which is made small.
fn plant(folder: &Path) {
    blocking::create_dir_all(folder.join("from/tree")).unwrap();
    blocking::create_dir(folder.join("small")).unwrap();
    blocking::write(folder.join("from/tree/a"), "fits").unwrap();
    blocking::write(folder.join("from/tree/big"), vec![7; 8 << 20]).unwrap();
}

/// A write that fits in part moves the position as far, and the next one fails there.
fn what_is_cut_short_is_gone_on_from(world: &World, path: &Path, kind: ErrorKind) {
    let file = world.ok(world.fs.create(path));
    let len = world.ok(file.write(vec![1; 8 << 20]));
    assert!((1..8 << 20).contains(&len), "what fitted");
    assert_eq!(world.fails(file.write(vec![1; 8 << 20])).kind(), kind, "it goes on where it ended");
    assert_eq!(world.fails(file.write_all(vec![1; 8 << 20])).kind(), kind);
    assert_eq!(blocking::metadata(path).unwrap().len(), len as u64);
    drop(file);
    world.ok(world.fs.rm(path));
}

/// Whatever writes 8 MiB where 1 MiB fits fails with `kind`, and leaves what it promises.
fn nothing_half_is_left(kind: ErrorKind) {
    let world = world();
    let (fs, root) = (&world.fs, given_folder());
    let (big, small) = (root.join("from/tree/big"), root.join("small"));
    let old = small.join("old");
    world.ok(fs.write_file(&old, "old"));
    let is_untouched = || {
        run(&world.lp);
        assert_eq!(names(&small), ["old"]);
        assert_eq!(blocking::read(&old).unwrap(), b"old");
    };
    let bytes = || vec![1; 8 << 20];

    let error = world.fails(fs.write_file(small.join("half"), bytes()));
    assert_eq!((error.operation, error.kind(), error.path), ("write_file", kind, small.join("half")));
    world.ok(fs.rm(small.join("half"))); // nothing was promised
    for options in [WriteOptions::new().atomic(true), WriteOptions::new().atomic(true).sync(true)] {
        assert_eq!(world.fails(fs.write_file_with(&old, bytes(), options)).kind(), kind);
        is_untouched();
    }

    what_is_cut_short_is_gone_on_from(&world, &small.join("short"), kind);
    let error = world.fails(fs.copy_file(&big, small.join("copy")));
    assert_eq!((error.operation, error.kind(), error.to), ("copy_file", kind, Some(small.join("copy"))));
    is_untouched();
    for options in [CopyOptions::new().atomic(true), CopyOptions::new().atomic(true).exclusive(true)] {
        let to = if options == CopyOptions::new().atomic(true) { &old } else { &small.join("new") };
        assert_eq!(world.fails(fs.copy_file_with(&big, to, options)).kind(), kind);
        is_untouched();
    }

    let error = world.fails(fs.cp(root.join("from/tree"), small.join("tree")));
    assert_eq!((error.operation, error.kind()), ("cp", kind));
    assert_eq!((error.path, error.to), (big.clone(), Some(small.join("tree/big"))));
    assert_eq!(names(&small.join("tree")), ["a"], "what fitted, and no half file");
    world.ok(fs.rm(small.join("tree")));
    assert_eq!(world.fails(fs.cp_with(&big, &old, CpOptions::new())).kind(), kind);
    is_untouched();

    let log = Log::default();
    let stream = fs.write_stream(&old, WriteOptions::new().atomic(true));
    let (failed, finished, closed) = (log.clone(), log.clone(), log.clone());
    stream.on_error(move |_, error| failed.add(format!("{} {}", error.operation, error.kind() == kind)));
    stream.on_finish(move |_| finished.add("finish"));
    stream.on_close(move |_| closed.add("close"));
    stream.queue_write(bytes()).unwrap();
    stream.end();
    run(&world.lp);
    assert_eq!(log.take(), ["write true", "close"]);
    is_untouched();

    let source = fs.read_stream(&big, ReadOptions::new());
    let flow = pipeline(source).run(fs.write_stream(&old, WriteOptions::new().atomic(true)));
    let error = world.lp.block_on(flow).unwrap().unwrap_err();
    assert_eq!((error.end, error.source.kind()), (PipelineEnd::Sink, kind));
    is_untouched();
    settle(&world.pool);
    assert_eq!(descriptors(&big), 0);
    eprintln!("{RAN}");
}

#[test]
fn no_half_file_is_left_where_files_may_not_grow() {
    let parent = world();
    if std::env::var_os(CHILD).is_none() {
        plant(&parent.folder);
    }
    // The signal is ignored, or it would end the process: setrlimit(2). Shells count blocks of 512 or of 1024 bytes.
    let test = "no_half_file_is_left_where_files_may_not_grow";
    if in_child(test, &parent.folder, &["sh"], "trap '' XFSZ; ulimit -f 2048") {
        nothing_half_is_left(ErrorKind::FileTooLarge);
    }
}

#[test]
fn no_half_file_is_left_on_a_disk_that_is_full() {
    let parent = world();
    if std::env::var_os(CHILD).is_none() {
        plant(&parent.folder);
    }
    let test = "no_half_file_is_left_on_a_disk_that_is_full";
    let mount = format!("mount -t tmpfs -o size=1m none \"${FOLDER}/small\"");
    if in_child(test, &parent.folder, &["unshare", "--mount", "sh"], &mount) {
        nothing_half_is_left(ErrorKind::StorageFull);
    }
}

#[test]
fn a_device_that_is_full_says_so_and_stays() {
    let world = world();
    let (fs, full) = (&world.fs, Path::new("/dev/full"));
    blocking::write(world.path("file"), "text").unwrap();
    assert_eq!(world.fails(fs.write_file(full, "x")).kind(), ErrorKind::StorageFull);
    assert_eq!(world.fails(fs.append_file(full, "x")).kind(), ErrorKind::StorageFull);
    let error = world.fails(fs.copy_file(world.path("file"), full));
    assert_eq!((error.kind(), error.to.as_deref()), (ErrorKind::StorageFull, Some(full)));
    assert!(blocking::metadata(full).unwrap().file_type().is_char_device(), "it is not ours to remove");
    let file = world.ok(fs.open_with(full, OpenOptions::new().write(true)));
    assert_eq!(world.fails(file.write_all("x")).kind(), ErrorKind::StorageFull);
    assert_eq!(world.fails(file.write_vectored(vec![vec![1; 3]; 2000])).kind(), ErrorKind::StorageFull);
}

// --- too many open files ----------------------------------------------------------------------------------------------

#[test]
fn too_many_open_files_are_an_error_that_passes() {
    let parent = world();
    let test = "too_many_open_files_are_an_error_that_passes";
    if !in_child(test, &parent.folder, &["sh"], "ulimit -n 64") {
        return;
    }
    let world = world();
    let (fs, path) = (&world.fs, world.path("file"));
    world.ok(fs.write_file(&path, "text"));
    let mut deep = world.path("deep");
    (0..100).for_each(|_| deep.push("x"));
    world.ok(fs.mkdir_recursive(&deep));
    let error = world.fails(fs.rm(world.path("deep")));
    assert_eq!(
        (error.operation, error.source.raw_os_error()),
        ("rm", Some(24)),
        "EMFILE: one for each level"
    );
    assert!(error.path.starts_with(world.path("deep/x/x")), "{error}");
    let mut open = Vec::new();
    let error = loop {
        match world.lp.block_on(fs.open(&path)).unwrap() {
            Ok(file) => open.push(file),
            Err(error) => break error,
        }
        assert!(open.len() < 64);
    };
    assert_eq!((error.operation, error.source.raw_os_error(), &error.path), ("open", Some(24), &path));
    let code = |error: fs_pool::fs::FsError| error.source.raw_os_error();
    assert_eq!(code(world.fails(fs.read_file(&path))), Some(24));
    assert_eq!(code(world.fails(fs.copy_file(&path, world.path("copy")))), Some(24));
    assert_eq!(code(world.fails(fs.readdir(&world.folder))), Some(24));
    assert_eq!(code(world.fails(fs.opendir(&world.folder))), Some(24));
    assert_eq!(code(world.fails(fs.temp_file(world.path("t-")))), Some(24));
    assert_eq!(world.ok(open[0].read_at(4, 0)), b"text", "what is open works");
    assert_eq!(world.ok(fs.stat(&path)).len(), 4);
    let mut stream = fs.read_stream(&path, ReadOptions::new());
    assert_eq!(code(world.lp.block_on(stream.next_chunk()).unwrap().unwrap().unwrap_err()), Some(24));
    open.clear();
    settle(&world.pool);
    assert_eq!(world.ok(fs.read_file(&path)), b"text");
    assert_eq!(names(&world.folder), ["deep", "file"], "nothing was left behind");
    let retried = RmOptions::new().recursive(true).retries_max(1);
    let error = world.fails(fs.rm_with(world.path("deep"), retried));
    assert_eq!(error.source.raw_os_error(), Some(24));
    eprintln!("{RAN}");
}

// --- what can not be read, and what vanishes --------------------------------------------------------------------------

#[test]
fn what_can_not_be_read_is_the_systems_error() {
    let world = world();
    let fs = &world.fs;
    let error = world.fails(fs.read_file("/proc/self/mem"));
    assert_eq!((error.operation, error.source.raw_os_error()), ("read_file", Some(5)), "EIO at address 0");
    let error = world.fails(fs.copy_file("/proc/self/mem", world.path("copy")));
    assert_eq!(error.source.raw_os_error(), Some(5));
    assert!(names(&world.folder).is_empty(), "no half copy");
    let mut stream = fs.read_stream("/proc/self/mem", ReadOptions::new());
    let error = world.lp.block_on(stream.next_chunk()).unwrap().unwrap().unwrap_err();
    assert_eq!((error.operation, error.source.raw_os_error()), ("read", Some(5)));
}

#[test]
fn what_vanishes_while_it_is_used_is_read_on_or_named() {
    let world = world();
    let (fs, path) = (&world.fs, world.path("file"));
    blocking::write(&path, vec![3; 1 << 20]).unwrap();
    let file = world.ok(fs.open(&path));
    let mut stream = fs.read_stream(&path, ReadOptions::new());
    assert_eq!(world.lp.block_on(stream.next_chunk()).unwrap().unwrap().unwrap().len(), 65_536);
    world.ok(fs.unlink(&path));
    assert_eq!(world.ok(file.read_at(2, 1 << 19)), [3, 3], "an open file stays");
    let mut all = 65_536;
    while let Some(chunk) = world.lp.block_on(stream.next_chunk()).unwrap() {
        all += chunk.unwrap().len();
    }
    assert_eq!(all, 1 << 20);
    assert_eq!(world.fails(fs.open(&path)).kind(), ErrorKind::NotFound);
    // A folder that goes while something is written in it.
    world.ok(fs.mkdir(world.path("folder")));
    let target = world.path("folder/file");
    let mut stream = fs.write_stream(&target, WriteOptions::new().atomic(true));
    world.lp.block_on(stream.write_chunk("text")).unwrap().unwrap();
    world.lp.block_on(futures::AsyncWriteExt::flush(&mut stream)).unwrap().unwrap();
    world.ok(fs.rm(world.path("folder")));
    let error = world.lp.block_on(stream.finish()).unwrap().unwrap_err();
    assert_eq!((error.operation, error.kind(), error.path), ("close", ErrorKind::NotFound, target));
    run(&world.lp);
    assert!(names(&world.folder).is_empty());
}

#[test]
fn a_world_of_faults_leaves_no_descriptor() {
    let before = blocking::read_dir("/proc/self/fd").unwrap().count();
    let leaks = |world: &World| {
        for path in ["/proc/self/mem", "/dev/full", "/proc/self/fdinfo"] {
            assert_eq!(descriptors(Path::new(path)), 0, "{path}");
        }
        assert_eq!(world.lp.request_count(), 0);
    };
    let world = world();
    for _ in 0..50 {
        world.fails(world.fs.read_file("/proc/self/mem"));
        world.fails(world.fs.write_file("/dev/full", "x"));
        world.fails(world.fs.rm("/proc/self/fdinfo"));
        world.fails(world.fs.opendir("/dev/full"));
        drop(world.fs.read_stream("/proc/self/mem", ReadOptions::new()));
        drop(world.fs.write_stream("/dev/full", WriteOptions::new()));
    }
    run(&world.lp);
    settle(&world.pool);
    leaks(&world);
    // Other tests of this process open and close files, too, but not hundreds.
    assert!(blocking::read_dir("/proc/self/fd").unwrap().count() < before + 100);
}
