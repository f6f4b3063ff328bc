//! Trees: listed, removed and copied, in pieces, with what may stand in the way.
#![allow(clippy::unwrap_used)]

#[path = "support/by_pool.rs"]
mod front;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "support/world.rs"]
mod world;

use std::cell::Cell;
use std::fs as blocking;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use fs_pool::fs::{CpOptions, Fs, FsLimits, Reflink, RmOptions};
use fs_pool::pool::Class;
use fs_pool::request::{LoopPool, Progress};
use on_loop::{run, settle};
use phaseloop::{EventLoop, RunMode};
use support::pool;
use world::{World, descriptors, world};

/// Folders, files and links below `root`: 3 folders, 3 files, 3 links.
fn plant(root: &Path) {
    blocking::create_dir_all(root.join("a/b")).unwrap();
    blocking::write(root.join("one"), "1").unwrap();
    blocking::write(root.join("a/two"), "22").unwrap();
    blocking::write(root.join("a/b/three"), "333").unwrap();
    symlink("a/two", root.join("to_two")).unwrap();
    symlink("gone", root.join("a/dangling")).unwrap();
    symlink("..", root.join("a/up")).unwrap();
}

fn names(world: &World, folder: &Path) -> Vec<String> {
    let entries = world.ok(world.fs.readdir_recursive(folder));
    entries.iter().map(|entry| entry.path().to_str().unwrap().to_owned()).collect()
}

const PLANTED: [&str; 8] = ["a", "one", "to_two", "a/b", "a/dangling", "a/two", "a/up", "a/b/three"];

fn small_jobs(world: &World) -> Fs {
    world.with_limits(FsLimits { entries_per_job: 2, ..FsLimits::default() })
}

// --- listing ----------------------------------------------------------------------------------------------------------

#[test]
fn a_tree_is_listed_folders_first_and_links_are_not_followed() {
    let world = world();
    plant(&world.folder);
    assert_eq!(names(&world, &world.folder), PLANTED);
    let entries = world.ok(world.fs.readdir_recursive(&world.folder));
    assert!(entries[0].file_type().is_dir() && entries[1].file_type().is_file());
    assert!(entries[6].file_type().is_symlink());
    let before = world.jobs();
    assert_eq!(world.ok(small_jobs(&world).readdir_recursive(&world.folder)).len(), 8);
    assert!(world.jobs() - before > 1, "others get their turn");
    let error = world.fails(world.fs.readdir_recursive(world.path("gone")));
    assert_eq!((error.kind(), error.path), (ErrorKind::NotFound, world.path("gone")));
    assert_eq!(world.fails(world.fs.readdir_recursive(world.path("one"))).kind(), ErrorKind::NotADirectory);
}

#[test]
fn a_tree_that_is_too_large_to_list_is_an_error() {
    let world = world();
    plant(&world.folder);
    for (len, fits) in [(8, true), (7, false)] {
        let fs = world.with_limits(FsLimits { tree_len_max: len, ..FsLimits::default() });
        let listed = world.lp.block_on(fs.readdir_recursive(&world.folder)).unwrap();
        assert_eq!(listed.is_ok(), fits, "{listed:?}");
        if let Err(error) = listed {
            assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
            assert!(error.to_string().ends_with("there are more than 7 entries"), "{error}");
        }
    }
}

// --- removing ---------------------------------------------------------------------------------------------------------

#[test]
fn a_tree_is_removed_and_links_are_not_followed() {
    let world = world();
    for fs in [world.fs.clone(), small_jobs(&world)] {
        plant(&world.path("tree"));
        blocking::create_dir(world.path("outside")).unwrap();
        blocking::write(world.path("outside/file"), "x").unwrap();
        symlink(world.path("outside"), world.path("tree/a/link")).unwrap();
        world.ok(fs.rm(world.path("tree")));
        assert!(!world.path("tree").exists() && world.path("outside/file").exists());
        symlink(world.path("outside"), world.path("link")).unwrap();
        world.ok(fs.rm(world.path("link")));
        assert!(world.path("outside/file").exists(), "only the link went");
        world.ok(fs.rm(world.path("outside")));
        assert_eq!(blocking::read_dir(&world.folder).unwrap().count(), 0);
    }
}

#[test]
fn removing_is_as_careful_as_it_was_told_to_be() {
    let world = world();
    let fs = &world.fs;
    plant(&world.path("tree"));
    let error = world.fails(fs.rm_with(world.path("tree"), RmOptions::new()));
    assert_eq!((error.operation, error.kind()), ("rm", ErrorKind::IsADirectory));
    world.ok(fs.rm_with(world.path("tree/one"), RmOptions::new()));
    assert_eq!(world.fails(fs.rm(world.path("gone"))).kind(), ErrorKind::NotFound);
    world.ok(fs.rm_with(world.path("gone"), RmOptions::new().force(true)));
    assert_eq!(
        world.fails(fs.rm_with(world.path("tree/to_two/x"), RmOptions::new().force(true))).kind(),
        ErrorKind::NotADirectory
    );
    assert_eq!(world.ok(fs.readdir_recursive(world.path("tree"))).len(), 7);
}

#[test]
fn a_tree_of_many_entries_and_levels_is_removed() {
    let world = world();
    let mut deep = world.path("deep");
    for _ in 0..100 {
        deep.push("x");
    }
    blocking::create_dir_all(&deep).unwrap();
    for number in 0..2000 {
        blocking::write(world.path("deep").join(number.to_string()), "").unwrap();
    }
    world.ok(world.fs.rm(world.path("deep")));
    assert!(!world.path("deep").exists());
}

#[test]
fn removing_is_tried_again_after_longer_and_longer_waits() {
    // A folder on a file system of the kernel is busy for ever: it can not be removed, by nobody.
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let pool = pool(1);
    let fs = Fs::new(&LoopPool::new(&lp, &pool));
    let begun = lp.now();
    let options = RmOptions::new().recursive(true).retries_max(3).retry_delay(Duration::from_millis(100));
    let error = lp.block_on(fs.rm_with("/proc/self/fdinfo", options)).unwrap().unwrap_err();
    assert_eq!(error.operation, "rm");
    assert!(error.path.starts_with("/proc/self/fdinfo"), "{error}");
    assert_eq!(lp.now() - begun, Duration::from_millis(600), "100, 200 and 300");
    assert_eq!(pool.snapshot().class(Class::FS).submitted, 4);
}

#[test]
fn a_removal_that_is_given_up_stops_between_attempts() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let pool = pool(1);
    let fs = Fs::new(&LoopPool::new(&lp, &pool));
    let options = RmOptions::new().recursive(true).retries_max(u32::MAX);
    let removal = fs.rm_with("/proc/self/fdinfo", options);
    settle(&pool);
    lp.run(RunMode::NoWait).unwrap();
    assert!(!removal.is_ready());
    removal.unref();
    assert!(!lp.is_alive(), "the wait does not hold the loop either");
    removal.ref_();
    assert!(lp.is_alive());
    drop(removal);
    assert!(!lp.is_alive());
    assert_eq!(pool.snapshot().class(Class::FS).submitted, 1);
}

#[test]
fn an_error_below_names_the_entry() {
    let world = world();
    let fs = &world.fs;
    let error = world.fails(fs.rm("/proc/self/fdinfo"));
    assert!(
        error.path.starts_with("/proc/self/fdinfo/") || error.kind() == ErrorKind::PermissionDenied,
        "{error}"
    );
    let error = world.fails(fs.cp("/proc/self/fdinfo", world.path("copy/deep")));
    drop(error);
}

// --- copying ----------------------------------------------------------------------------------------------------------

#[test]
fn a_tree_is_copied_with_its_links_and_permissions() {
    let world = world();
    let (from, to) = (world.path("from"), world.path("deep/to"));
    plant(&from);
    blocking::set_permissions(from.join("a/b"), blocking::Permissions::from_mode(0o500)).unwrap();
    blocking::set_permissions(from.join("one"), blocking::Permissions::from_mode(0o604)).unwrap();
    let copied = world.ok(small_jobs(&world).cp(&from, &to));
    assert_eq!((copied.files, copied.folders, copied.links, copied.kept, copied.bytes), (3, 3, 3, 0, 6));
    assert_eq!(names(&world, &to), PLANTED);
    assert_eq!(blocking::read(to.join("a/b/three")).unwrap(), b"333");
    let mode = |path: PathBuf| blocking::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(to.join("a/b")), mode(to.join("one"))), (0o500, 0o604));
    assert_eq!(blocking::read_link(to.join("to_two")).unwrap(), from.join("a/two"), "it leads where it led");
    assert_eq!(blocking::read_link(to.join("a/up")).unwrap(), from);
    // Into what is there.
    blocking::write(to.join("one"), "old").unwrap();
    blocking::write(to.join("new"), "mine").unwrap();
    world.ok(world.fs.cp(&from, &to));
    assert_eq!(blocking::read(to.join("one")).unwrap(), b"1");
    assert_eq!(blocking::read(to.join("new")).unwrap(), b"mine");
    for folder in [from.join("a/b"), to.join("a/b")] {
        blocking::set_permissions(folder, blocking::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_copy_does_what_its_options_say() {
    let world = world();
    let (from, to) = (world.path("from"), world.path("to"));
    plant(&from);
    let cp = |options: CpOptions| world.lp.block_on(world.fs.cp_with(&from, &to, options)).unwrap();
    let recursive = || CpOptions::new().recursive(true);
    assert_eq!(cp(CpOptions::new()).unwrap_err().kind(), ErrorKind::IsADirectory);
    let copied = cp(recursive().filter(|from, _| !from.ends_with("a"))).unwrap();
    assert_eq!((copied.files, copied.folders, copied.links), (1, 1, 1));
    assert_eq!(names(&world, &to), ["one", "to_two"]);
    blocking::write(to.join("one"), "old").unwrap();
    let copied = cp(recursive().overwrite(false)).unwrap();
    assert_eq!((copied.files, copied.kept), (2, 2));
    assert_eq!(blocking::read(to.join("one")).unwrap(), b"old");
    let error = cp(recursive().overwrite(false).error_on_exist(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        (error.operation, error.to.as_ref().unwrap().parent()),
        ("cp", error.to.as_deref().unwrap().parent())
    );
    assert!(error.path.starts_with(&from) && error.to.unwrap().starts_with(&to));
    world.ok(world.fs.rm(&to));
    let progress = Progress::default();
    let copied = cp(recursive().verbatim_symlinks(true).progress(&progress)).unwrap();
    assert!(copied.bytes > 0 && progress.count() == copied.bytes, "{copied:?}, {progress:?}");
    assert_eq!(blocking::read_link(to.join("a/up")).unwrap(), Path::new(".."));
    world.ok(world.fs.rm(&to));
    let time = UNIX_EPOCH + Duration::new(7, 9);
    world.ok(world.fs.utimes(from.join("a/two"), time, time));
    world.ok(world.fs.utimes(from.join("a"), time, time));
    cp(recursive().preserve_timestamps(true).reflink(Reflink::Never)).unwrap();
    for path in ["a", "a/two"] {
        assert_eq!(blocking::metadata(to.join(path)).unwrap().modified().unwrap(), time, "{path}");
    }
    world.ok(world.fs.rm(&to));
    blocking::remove_file(from.join("a/up")).unwrap(); // a circle
    let error = cp(recursive().dereference(true)).unwrap_err();
    assert_eq!((error.kind(), error.path), (ErrorKind::NotFound, from.join("a/dangling")));
    blocking::remove_file(from.join("a/dangling")).unwrap();
    world.ok(world.fs.rm(&to));
    cp(recursive().dereference(true)).unwrap();
    assert!(blocking::symlink_metadata(to.join("to_two")).unwrap().is_file());
}

#[test]
fn a_copy_that_makes_no_sense_is_refused() {
    let world = world();
    let (fs, from) = (&world.fs, world.path("from"));
    plant(&from);
    symlink(&from, world.path("link")).unwrap();
    let kind = |from: PathBuf, to: PathBuf| world.fails(fs.cp(from, to)).kind();
    assert_eq!(kind(from.clone(), from.join("a/inside")), ErrorKind::InvalidInput);
    assert_eq!(kind(from.clone(), world.path("link/inside")), ErrorKind::InvalidInput, "by another name");
    assert_eq!(kind(from.clone(), from.clone()), ErrorKind::InvalidInput);
    assert_eq!(kind(from.join("one"), from.join("one")), ErrorKind::InvalidInput);
    assert_eq!(kind(from.join("one"), from.join("a")), ErrorKind::IsADirectory);
    assert_eq!(kind(from.join("a"), from.join("one")), ErrorKind::NotADirectory);
    assert_eq!(kind(world.path("gone"), world.path("to")), ErrorKind::NotFound);
    assert_eq!(kind("/dev/null".into(), world.path("to")), ErrorKind::InvalidInput);
    assert_eq!(names(&world, &from), PLANTED, "nothing has changed");
    assert!(!world.path("to").exists());
}

#[test]
fn a_copy_that_is_given_up_stops_and_leaves_whole_files_only() {
    let world = world();
    let from = world.path("from");
    blocking::create_dir(&from).unwrap();
    for number in 0..50 {
        blocking::write(from.join(format!("{number:02}")), vec![1; 1000]).unwrap();
    }
    let seen = Rc::new(Cell::new(0));
    let copy = small_jobs(&world).cp(&from, world.path("to"));
    for _ in 0..5 {
        settle(&world.pool);
        world.lp.run(RunMode::NoWait).unwrap();
    }
    drop(copy);
    settle(&world.pool);
    run(&world.lp);
    for entry in blocking::read_dir(world.path("to")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().len(), 1000);
        seen.set(seen.get() + 1);
    }
    assert!((1..50).contains(&seen.get()), "{}", seen.get());
    assert_eq!(descriptors(&from), 0);
}
