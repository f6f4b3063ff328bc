//! Watching: what is told of files and folders, in which order, and how a watcher ends.
#![cfg(target_os = "linux")]
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
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use fs_pool::watch::{NodeEvent, Watch, WatchEvent, WatchKind, Watcher};
use on_loop::{Log, run};
use phaseloop::RunMode;
use world::{World, world};

/// One line for an event, with paths below the folder.
fn line(folder: &Path, event: &WatchEvent) -> String {
    let short = |path: &Path| match path.strip_prefix(folder) {
        Ok(below) => below.display().to_string(),
        Err(_) => path.display().to_string(),
    };
    let path = short(&event.path);
    match &event.kind {
        WatchKind::Renamed { from } => format!("Renamed {} {path}", short(from)),
        WatchKind::Failed(error) => format!("Failed {path} {:?}", error.kind()),
        kind => format!("{kind:?} {path}").trim_end().to_owned(),
    }
}

/// Watches the world's folder while `act` runs, and gives what is told of it. A file called `end` ends it.
fn told(world: &World, watch: Watch, act: impl FnOnce() + 'static) -> Vec<String> {
    let (log, folder) = (Log::default(), world.folder.clone());
    let is_recursive = format!("{watch:?}").contains("recursive: true");
    let (end, lines) = (folder.join("end"), log.clone());
    let act = move || {
        act();
        blocking::write(&end, "").unwrap();
    };
    let (now, mut later) = if is_recursive { (None, Some(act)) } else { (Some(act), None) };
    let started = watch.start(world.fs.pool(), move |watcher, event| {
        if event.path.ends_with("end") {
            return watcher.close();
        }
        lines.add(line(&folder, &event));
        if let WatchKind::Ready = event.kind
            && let Some(act) = later.take()
        {
            act();
        }
    });
    started.unwrap();
    now.into_iter().for_each(|act| act());
    run(&world.lp);
    log.take()
}

/// Makes two files and changes their permissions in turns, so that the kernel can merge no two events.
fn touch(world: &World, times: usize) {
    let files = ["a", "b"].map(|name| blocking::File::create(world.path(name)).unwrap());
    for turn in 0..times {
        let file = &files[turn % 2];
        file.set_permissions(blocking::Permissions::from_mode(0o600)).unwrap();
    }
}

// --- one folder, one file -----------------------------------------------------------------------------------------------

#[test]
fn a_file_is_created_changed_renamed_and_removed() {
    let world = world();
    let (a, b) = (world.path("a"), world.path("b"));
    let lines = told(&world, Watch::new(&world.folder), move || {
        blocking::write(&a, "x").unwrap();
        blocking::rename(&a, &b).unwrap();
        blocking::remove_file(&b).unwrap();
    });
    assert_eq!(lines, ["Created a", "Modified a", "Renamed a b", "Removed b"]);
}

#[test]
fn a_single_file_is_watched_by_its_own_path() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, "").unwrap();
    let (log, lines) = (Log::default(), Log::default());
    for log in [&log, &lines] {
        // Twice on one file: each gets every event.
        let (log, folder) = (log.clone(), world.folder.clone());
        let watch = Watch::new(&path);
        watch.start(world.fs.pool(), move |_, event| log.add(line(&folder, &event))).unwrap();
    }
    blocking::write(&path, "x").unwrap();
    blocking::remove_file(&path).unwrap();
    run(&world.lp);
    let lines = lines.take();
    assert_eq!(log.take(), lines);
    assert_eq!(lines.first().map(String::as_str), Some("Modified file"));
    assert_eq!(lines.last().map(String::as_str), Some("RootRemoved file"));
}

#[test]
fn what_can_not_be_watched_is_refused_with_its_path() {
    let world = world();
    let missing = world.path("missing");
    let error = Watch::new(&missing).start(world.fs.pool(), |_, _| ()).unwrap_err();
    assert_eq!((error.operation, &error.path, error.kind()), ("watch", &missing, ErrorKind::NotFound));
    let error = Watch::new("a\0b").stream(world.fs.pool()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("a\\0b"), "{error}");
    run(&world.lp); // nothing keeps it alive
}

#[test]
fn the_current_and_the_root_folder_can_be_watched() {
    let world = world();
    for path in [".", "/"] {
        let watcher = Watch::new(path).start(world.fs.pool(), |_, _| ()).unwrap();
        assert_eq!(watcher.path(), Path::new(path));
        watcher.close();
    }
    run(&world.lp);
}

#[test]
fn a_file_that_replaces_another_is_told_as_renamed() {
    let world = world();
    let (a, b) = (world.path("a"), world.path("b"));
    blocking::write(&a, "").unwrap();
    blocking::write(&b, "").unwrap();
    let lines = told(&world, Watch::new(&world.folder), move || blocking::rename(&a, &b).unwrap());
    assert_eq!(lines, ["Renamed a b"]);
}

#[test]
fn what_is_moved_in_is_created_and_what_is_moved_out_is_removed() {
    let (world, elsewhere) = (world(), world());
    let (inside, outside) = (world.path("a"), elsewhere.path("a"));
    let lines = told(&world, Watch::new(&world.folder), move || {
        blocking::write(&outside, "").unwrap();
        blocking::rename(&outside, &inside).unwrap();
        blocking::rename(&inside, &outside).unwrap();
        blocking::write(&inside, "").unwrap(); // not told before the other is told as gone
    });
    assert_eq!(lines, ["Created a", "Removed a", "Created a"]);
}

#[test]
fn changes_that_are_read_together_are_told_once_unless_all_are_wanted() {
    let change = |a: PathBuf, b: PathBuf| {
        move || {
            for _ in 0..3 {
                blocking::OpenOptions::new().append(true).open(&a).unwrap().write_all(b"x").unwrap();
                blocking::OpenOptions::new().append(true).open(&b).unwrap().write_all(b"x").unwrap();
            }
        }
    };
    for (is_precise, expected) in [(false, 1), (true, 3)] {
        let world = world();
        let (a, b) = (world.path("a"), world.path("b"));
        blocking::write(&a, "").unwrap();
        blocking::write(&b, "").unwrap();
        let watch = Watch::new(&world.folder);
        let watch = if is_precise { watch.precise() } else { watch };
        let lines = told(&world, watch, change(a, b));
        assert_eq!(lines.len(), 2 * expected, "{lines:?}");
    }
}

#[test]
fn attributes_are_told_and_events_have_nodes_names() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, "").unwrap();
    let lines = told(&world, Watch::new(&world.folder), move || {
        let mut permissions = blocking::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        blocking::set_permissions(&path, permissions).unwrap();
    });
    assert_eq!(lines, ["Attributes file"]);
    assert_eq!(WatchKind::Attributes.node_event(), Some(NodeEvent::Change));
    assert_eq!(WatchKind::Created.node_event(), Some(NodeEvent::Rename));
    assert_eq!(WatchKind::Overflow.node_event(), None);
}

// --- the end of a watcher -----------------------------------------------------------------------------------------------

#[test]
fn no_callback_comes_after_close_and_what_waits_is_dropped() {
    let (world, log) = (world(), Log::default());
    let (calls, closed) = (log.clone(), log.clone());
    let watcher = Watch::new(&world.folder).start(world.fs.pool(), move |_, _| calls.add("event")).unwrap();
    blocking::write(world.path("a"), "x").unwrap();
    assert!(watcher.close_with(move |_| closed.add("closed")));
    assert!(watcher.is_closing() && !watcher.close_with(|_| ()));
    run(&world.lp);
    assert_eq!(log.take(), ["closed"]);
}

#[test]
fn closing_in_the_callback_drops_the_events_behind() {
    let (world, log) = (world(), Log::default());
    let calls = log.clone();
    let watcher = Watch::new(&world.folder).start(world.fs.pool(), move |watcher, event| {
        calls.add(line(watcher.path(), &event));
        watcher.close();
    });
    let watcher: Watcher = watcher.unwrap();
    for name in ["a", "b", "c"] {
        blocking::write(world.path(name), "").unwrap();
    }
    run(&world.lp);
    assert_eq!(log.take(), ["Created a"]);
    assert!(watcher.is_closing());
}

#[test]
fn each_event_has_a_checkpoint_of_its_own() {
    let (world, log) = (world(), Log::default());
    let lines = log.clone();
    let watch = Watch::new(&world.folder).start(world.fs.pool(), move |watcher, event| {
        lines.add(line(watcher.path(), &event));
        let ticks = lines.clone();
        watcher.lp().next_tick(move |_| ticks.add("tick"));
        if event.path.ends_with("b") {
            watcher.close();
        }
    });
    watch.unwrap();
    blocking::create_dir(world.path("a")).unwrap();
    blocking::create_dir(world.path("b")).unwrap();
    run(&world.lp);
    assert_eq!(log.take(), ["Created a", "tick", "Created b", "tick"]);
}

#[test]
fn a_watcher_that_is_unreferenced_lets_the_loop_end() {
    let world = world();
    let watcher = Watch::new(&world.folder).unref().recursive().start(world.fs.pool(), |_, _| ()).unwrap();
    run(&world.lp);
    watcher.ref_();
    world.lp.run(RunMode::NoWait).unwrap();
    assert!(world.lp.is_alive());
    watcher.unref();
    run(&world.lp);
    watcher.close();
    run(&world.lp);
}

#[test]
fn the_watched_folder_itself_is_moved_and_removed() {
    let world = world();
    let (root, moved) = (world.path("root"), world.path("moved"));
    blocking::create_dir(&root).unwrap();
    let (log, folder) = (Log::default(), world.folder.clone());
    let lines = log.clone();
    let ended = Rc::new(Cell::new(false));
    let held = Rc::clone(&ended);
    let watch = Watch::new(&root).start(world.fs.pool(), move |_, event| {
        lines.add(line(&folder, &event));
        held.set(true);
    });
    watch.unwrap();
    blocking::rename(&root, &moved).unwrap();
    blocking::write(moved.join("a"), "").unwrap();
    blocking::remove_dir_all(&moved).unwrap();
    run(&world.lp); // until the watcher has ended, since it holds the loop
    assert_eq!(log.take(), ["RootMoved root", "Created root/a", "Removed root/a", "RootRemoved root"]);
    assert!(ended.get());
    assert_eq!(Rc::strong_count(&ended), 1, "the callback was dropped");
}

// --- trees --------------------------------------------------------------------------------------------------------------

#[test]
fn a_recursive_watcher_sees_new_folders_and_loses_nothing_in_them() {
    let world = world();
    blocking::create_dir_all(world.path("old/deep")).unwrap();
    let root = world.folder.clone();
    let lines = told(&world, Watch::new(&world.folder).recursive(), move || {
        blocking::write(root.join("old/deep/a"), "").unwrap();
        // Faster than any watch can be set.
        blocking::create_dir_all(root.join("new/x/y")).unwrap();
        blocking::write(root.join("new/x/y/b"), "").unwrap();
        blocking::write(root.join("new/c"), "").unwrap();
    });
    let mut lines: Vec<_> = lines.into_iter().filter(|line| !line.starts_with("Modified")).collect();
    assert_eq!(lines[0], "Ready");
    lines.sort_unstable();
    let names = ["new", "new/c", "new/x", "new/x/y", "new/x/y/b", "old/deep/a"];
    let mut expected: Vec<_> = names.iter().map(|name| format!("Created {name}")).collect();
    expected.push("Ready".into());
    assert_eq!(lines, expected);
}

#[test]
fn in_a_storm_of_new_folders_every_name_is_told_exactly_once() {
    let world = world();
    let log = Log::default();
    let (lines, folder) = (log.clone(), world.folder.clone());
    let watch = Watch::new(&world.folder).recursive().start(world.fs.pool(), move |watcher, event| {
        if event.path.ends_with("end") {
            return watcher.close();
        }
        lines.add(line(&folder, &event));
        if let WatchKind::Ready = event.kind {
            let root = folder.clone();
            // On a thread of its own, so that folders come and go beside the scans.
            std::thread::spawn(move || {
                for a in 0..20 {
                    for b in 0..10 {
                        let folder = root.join(format!("{a}/{b}"));
                        blocking::create_dir_all(&folder).unwrap();
                        blocking::write(folder.join("file"), "").unwrap();
                    }
                }
                blocking::write(root.join("end"), "").unwrap();
            });
        }
    });
    watch.unwrap();
    run(&world.lp);
    let lines = log.take();
    let mut created: Vec<_> = lines.iter().filter(|line| line.starts_with("Created")).collect();
    assert_eq!(created.len(), 20 + 200 + 200);
    created.sort_unstable();
    created.dedup();
    assert_eq!(created.len(), 420, "none twice");
}

#[test]
fn events_below_a_renamed_folder_have_its_new_path() {
    let world = world();
    blocking::create_dir_all(world.path("a/deep")).unwrap();
    let root = world.folder.clone();
    let lines = told(&world, Watch::new(&world.folder).recursive(), move || {
        blocking::rename(root.join("a"), root.join("b")).unwrap();
        blocking::write(root.join("b/deep/file"), "").unwrap();
        blocking::remove_dir_all(root.join("b")).unwrap();
    });
    assert_eq!(
        lines,
        ["Ready", "Renamed a b", "Created b/deep/file", "Removed b/deep/file", "Removed b/deep", "Removed b"]
    );
}

#[test]
fn a_folder_that_is_moved_out_is_watched_no_more() {
    let (world, elsewhere) = (world(), world());
    blocking::create_dir_all(world.path("a/deep")).unwrap();
    let (inside, outside) = (world.path("a"), elsewhere.path("a"));
    let lines = told(&world, Watch::new(&world.folder).recursive(), move || {
        blocking::rename(&inside, &outside).unwrap();
    });
    assert_eq!(lines, ["Ready", "Removed a"]);
}

#[test]
fn a_link_to_a_folder_is_not_followed() {
    let (world, elsewhere) = (world(), world());
    std::os::unix::fs::symlink(&elsewhere.folder, world.path("link")).unwrap();
    let outside = elsewhere.path("file");
    let lines = told(&world, Watch::new(&world.folder).recursive(), move || {
        blocking::write(&outside, "").unwrap();
    });
    assert_eq!(lines, ["Ready"]);
}

#[test]
fn a_folder_that_can_not_be_watched_is_told_and_the_rest_is_watched() {
    let world = world();
    // Deeper than a path can name: made of two halves, one of which is moved below the other.
    let name = "x".repeat(250);
    let half = |top: &str| {
        let mut path = world.path(top);
        (0..9).for_each(|_| path.push(&name));
        path
    };
    let (upper, lower) = (half("upper"), half("lower"));
    blocking::create_dir_all(&upper).unwrap();
    blocking::create_dir_all(&lower).unwrap();
    blocking::rename(world.path("lower"), upper.join("lower")).unwrap();
    let path = world.path("file");
    let lines = told(&world, Watch::new(&world.folder).recursive(), move || {
        blocking::write(&path, "").unwrap();
    });
    assert!(lines[0].starts_with("Failed upper/") && lines[0].ends_with("InvalidFilename"), "{}", lines[0]);
    assert_eq!(lines[1..], ["Ready", "Created file"]);
}

#[test]
fn an_overflow_of_the_kernels_queue_is_told() {
    let world = world();
    let most = blocking::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let most: usize = most.trim().parse().unwrap();
    if most > 100_000 {
        return; // somebody raised it beyond what a test may spend
    }
    let log = Log::default();
    let (lines, folder) = (log.clone(), world.folder.clone());
    let watch = Watch::new(&world.folder).start(world.fs.pool(), move |watcher, event| {
        if matches!(event.kind, WatchKind::Overflow) {
            lines.add(line(&folder, &event));
            watcher.close();
        }
    });
    watch.unwrap();
    touch(&world, most + 1);
    run(&world.lp);
    assert_eq!(log.take(), ["Overflow"]);
}

// --- the stream ---------------------------------------------------------------------------------------------------------

#[test]
fn a_stream_gives_the_events_and_ends_with_the_root() {
    let world = world();
    let root = world.path("root");
    blocking::create_dir(&root).unwrap();
    let lines = world.lp.block_on(async {
        let mut stream = Watch::new(&root).stream(world.fs.pool()).unwrap();
        blocking::write(root.join("a"), "").unwrap();
        blocking::remove_dir_all(&root).unwrap();
        let mut lines = Vec::new();
        while let Some(event) = stream.next().await {
            lines.push(line(&world.folder, &event));
        }
        assert!(stream.next().await.is_none());
        lines
    });
    assert_eq!(lines.unwrap(), ["Created root/a", "Removed root/a", "RootRemoved root"]);
}

#[test]
fn a_stream_that_nobody_reads_holds_back_and_loses_nothing() {
    let world = world();
    let mut stream = Watch::new(&world.folder).precise().queue_len_max(10).stream(world.fs.pool()).unwrap();
    touch(&world, 5000);
    let count = world.lp.block_on(async {
        // Turns in which it could read more than it should.
        world.lp.sleep(Duration::from_millis(5)).await;
        assert!(stream.waiting() < 5000, "{} wait", stream.waiting());
        // Both files were created before they were touched.
        for _ in 0..5002 {
            stream.next().await.unwrap();
        }
        stream.watcher().close();
        stream.next().await.is_none()
    });
    assert!(count.unwrap());
}
