//! Watching where the system has nothing left: the error says which limit was met, and nothing is left behind.
//!
//! Each test runs itself again as a child in a user namespace, whose limits are its own.
#![cfg(any(target_os = "linux", target_os = "android"))]
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr)] // what is skipped is said loudly

#[path = "support/by_pool.rs"]
mod front;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "support/world.rs"]
mod world;

use std::fs as blocking;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_pool::fs::FsError;
use fs_pool::watch::{Watch, WatchKind, Watcher};
use on_loop::{Log, run, settle};
use phaseloop::RunMode;
use world::{World, world};

/// True in the child. The parent starts it behind `prelude`, waits, and gets false.
#[track_caller]
fn in_child(test: &str, prelude: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let script = format!("{prelude} || exit {SKIP}; exec \"$0\" --exact {test} --nocapture");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c"]).arg(script).arg(std::env::current_exe().unwrap());
    let (told, is_success) = match command.env(CHILD, "1").output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            (String::from_utf8_lossy(&said).into_owned(), output.status.success())
        }
        Err(error) => (format!("there is no unshare: {error}"), false),
    };
    if told.contains(RAN) {
        assert!(is_success, "{told}");
    } else {
        assert!(!told.contains("running 1 test"), "{told}");
        eprintln!("SKIPPED: `{prelude}` in a user namespace is not permitted here: {told}");
    }
    false
}

const CHILD: &str = "PHASELOOP_TEST_CHILD";
const RAN: &str = "the child has done its part";
const SKIP: i32 = 77;

fn start(world: &World, path: &Path) -> Result<Watcher, FsError> {
    Watch::new(path).start(world.fs.pool(), |_, _| ())
}

/// Watchers of the folder, as many as there can be, and why there is not one more.
fn exhaust(world: &World) -> (Vec<Watcher>, FsError) {
    let mut watchers = Vec::new();
    loop {
        match start(world, &world.folder) {
            Ok(watcher) => watchers.push(watcher),
            Err(error) => return (watchers, error),
        }
        assert!(watchers.len() < 1000, "there is no limit");
    }
}

/// inotify descriptors of this process.
fn instances() -> usize {
    let fds = blocking::read_dir("/proc/self/fd").unwrap().flatten();
    fds.filter(|fd| blocking::read_link(fd.path()).is_ok_and(|to| to == Path::new("anon_inode:inotify")))
        .count()
}

/// Closes the watchers, and has the loop let go of them.
fn close(world: &World, watchers: Vec<Watcher>) {
    watchers.iter().for_each(Watcher::close);
    drop(watchers);
    run(&world.lp);
    assert_eq!((instances(), world.lp.request_count()), (0, 0));
}

#[test]
fn too_many_instances_name_the_limit_and_closing_one_makes_room() {
    if !in_child(
        "too_many_instances_name_the_limit_and_closing_one_makes_room",
        "echo 3 > /proc/sys/user/max_inotify_instances",
    ) {
        return;
    }
    let world = world();
    for _ in 0..3 {
        let (watchers, error) = exhaust(&world);
        assert_eq!((watchers.len(), instances()), (3, 3));
        assert_eq!(
            (error.operation, &error.path, error.kind()),
            ("watch", &world.folder, ErrorKind::QuotaExceeded)
        );
        assert!(error.to_string().contains("raise fs.inotify.max_user_instances"), "{error}");
        close(&world, watchers);
    }
    eprintln!("{RAN}");
}

#[test]
fn too_many_open_files_are_told_from_too_many_instances() {
    if !in_child("too_many_open_files_are_told_from_too_many_instances", "ulimit -n 40") {
        return;
    }
    let world = world();
    let files: Vec<_> = std::iter::from_fn(|| blocking::File::open("/").ok()).collect();
    for _ in 0..3 {
        let error = start(&world, &world.folder).unwrap_err();
        assert_eq!(
            (error.operation, &error.path, error.kind()),
            ("watch", &world.folder, ErrorKind::QuotaExceeded)
        );
        assert!(error.to_string().contains("too many files are open: raise RLIMIT_NOFILE"), "{error}");
    }
    drop(files);
    let watcher = start(&world, &world.folder).unwrap();
    close(&world, vec![watcher]);
    eprintln!("{RAN}");
}

#[test]
fn too_many_watches_name_the_limit_and_what_is_in_view_is_told() {
    if !in_child(
        "too_many_watches_name_the_limit_and_what_is_in_view_is_told",
        "echo 10 > /proc/sys/user/max_inotify_watches",
    ) {
        return;
    }
    let world = world();
    let folders: Vec<PathBuf> = (0..30).map(|number| world.path(format!("{number:02}"))).collect();
    folders.iter().for_each(|folder| blocking::create_dir(folder).unwrap());
    for round in 0..2 {
        let (log, lines) = (Log::default(), Log::default());
        let (seen, said) = (log.clone(), lines.clone());
        let watch = Watch::new(&world.folder).recursive();
        let watcher = watch.start(world.fs.pool(), move |_, event| match event.kind {
            WatchKind::Failed(error) => said.add(format!("{:?} {error}", error.kind())),
            kind => seen.add(format!("{kind:?}")),
        });
        while log.take() != ["Ready"] {
            settle(&world.pool);
            world.lp.run(RunMode::NoWait).unwrap();
        }
        let failures = lines.take();
        assert_eq!(failures.len(), 1, "trying the rest would be in vain: {failures:?}");
        assert!(
            failures[0].starts_with("QuotaExceeded")
                && failures[0].contains("raise fs.inotify.max_user_watches")
        );
        // The root and nine of its folders are in view.
        folders.iter().for_each(|folder| blocking::write(folder.join(format!("new{round}")), "").unwrap());
        while log.take().iter().filter(|kind| *kind == "Created").count() < 9 {
            world.lp.run(RunMode::Once).unwrap();
        }
        let error = start(&world, &world.folder).unwrap_err();
        assert!(error.to_string().contains("raise fs.inotify.max_user_watches"), "{error}");
        assert_eq!(instances(), 1, "the one that failed has left none");
        close(&world, vec![watcher.unwrap()]);
    }
    eprintln!("{RAN}");
}
