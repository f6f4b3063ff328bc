//! Watching a file by its metadata, in virtual time.
#![allow(clippy::unwrap_used)]

#[path = "support/on_loop.rs"]
mod on_loop;
mod support;

use std::fs as blocking;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use fs_pool::pool::Class;
use fs_pool::request::LoopPool;
use fs_pool::watch_file::{FileState, WatchFile};
use on_loop::{Log, run};
use phaseloop::EventLoop;
use support::pool;

struct World {
    lp: EventLoop,
    pool: LoopPool,
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        blocking::remove_dir_all(&self.folder).ok();
    }
}

fn world(name: &str) -> World {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let pool = LoopPool::new(&lp, &pool(1));
    let folder = std::env::temp_dir().join(format!("phaseloop-watch-file-{name}-{}", std::process::id()));
    blocking::create_dir(&folder).unwrap();
    World { lp, pool, folder }
}

fn text(state: &FileState) -> String {
    match state {
        Ok(metadata) => metadata.len().to_string(),
        Err(error) if error.kind() == ErrorKind::NotFound => "missing".into(),
        Err(error) => format!("{error}"),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_missing_file_is_told_at_first_and_then_what_changes() {
    let world = world("missing");
    let (path, log, start) = (world.folder.join("file"), Log::default(), world.lp.now());
    let (lines, file) = (log.clone(), path.clone());
    WatchFile::new(&path).interval(SECOND).start(&world.pool, move |watcher, current, previous| {
        let at = (watcher.lp().now() - start).as_secs();
        lines.add(format!("{at} {} {}", text(previous), text(current)));
        match at {
            0 => blocking::write(&file, "abc").unwrap(),
            1 => blocking::write(&file, "abcdef").unwrap(),
            2 => blocking::remove_file(&file).unwrap(),
            _ => watcher.close(),
        }
    });
    run(&world.lp);
    assert_eq!(log.take(), ["0 missing missing", "1 missing 3", "2 3 6", "3 6 missing"]);
}

#[test]
fn what_stays_as_it_is_is_not_told_and_is_looked_at_once_an_interval() {
    let world = world("same");
    let path = world.folder.join("file");
    blocking::write(&path, "x").unwrap();
    let watcher =
        WatchFile::new(&path).interval(SECOND).start(&world.pool, |_, _, _| panic!("nothing changed"));
    let close = watcher.clone();
    world.lp.timer(SECOND * 10 + SECOND / 2, move |_| close.close());
    run(&world.lp);
    // At 0 s, 1 s, and so on to 10 s.
    assert_eq!(world.pool.pool().snapshot().class(Class::FS).submitted, 11);
    assert_eq!(watcher.path(), path);
}

#[test]
fn closing_ends_it_at_once_wherever_it_is() {
    let (world, log) = (world("close"), Log::default());
    let path = world.folder.join("missing");
    // While the first look is under way:
    let closed = log.clone();
    let watcher = WatchFile::new(&path).start(&world.pool, |_, _, _| panic!("it was closed"));
    assert!(watcher.close_with(move |_| closed.add("closed")));
    assert!(!watcher.close_with(|_| ()) && watcher.is_closing());
    // In its callback, and twice:
    let calls = log.clone();
    WatchFile::new(&path).start(&world.pool, move |watcher, _, _| {
        calls.add("told");
        watcher.close();
        watcher.close();
    });
    run(&world.lp);
    let mut lines = log.take();
    lines.sort_unstable();
    assert_eq!(lines, ["closed", "told"]);
}

#[test]
fn one_that_is_unreferenced_lets_the_loop_end() {
    let world = world("unref");
    let path = world.folder.join("file");
    blocking::write(&path, "x").unwrap();
    let watcher = WatchFile::new(&path).unref().start(&world.pool, |_, _, _| ());
    run(&world.lp);
    watcher.ref_();
    assert!(world.lp.is_alive());
    watcher.unref();
    assert!(!world.lp.is_alive());
    watcher.close();
    run(&world.lp);
}
