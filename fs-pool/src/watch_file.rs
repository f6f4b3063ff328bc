//! Watching a file by asking for its metadata again and again: where the kernel tells nothing, as on network file systems.
//!
//! Where it does, `watch` is quicker and costs nothing while nothing happens.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phaseloop::{LoopHandle, Timer};

use crate::fs::Metadata;
use crate::pool::Class;
use crate::request::{JobId, LoopPool};

/// What is known of a file: its metadata, or why there is none.
pub type FileState = io::Result<Metadata>;

type OnChange = Box<dyn FnMut(&FileWatcher, &FileState, &FileState)>;

/// Sets up a watcher that asks for a file's metadata at an interval. Node's `fs.watchFile`, libuv's `uv_fs_poll_t`.
///
/// # Examples
/// ```
/// # use fs_pool::{fs::Fs, pool::Pool, request::LoopPool, watch_file::WatchFile};
/// # use phaseloop::{EventLoop, RunMode};
/// # use std::time::Duration;
/// # let lp = EventLoop::builder().virtual_time(true).build()?;
/// # let pool = LoopPool::new(&lp, &Pool::builder().build()?);
/// let path = "no/such/file";
/// WatchFile::new(path).interval(Duration::from_secs(1)).start(&pool, |watcher, current, _previous| {
///     assert!(current.is_err()); // told once, since it is not there
///     watcher.close();
/// });
/// lp.run(RunMode::Default)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `start`"]
pub struct WatchFile {
    path: PathBuf,
    interval: Duration,
    referenced: bool,
}

impl WatchFile {
    /// Watches this path; links are followed. The interval is 5007 ms, as in Node.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), interval: Duration::from_millis(5007), referenced: true }
    }

    /// How often to ask: from the beginning of one look to that of the next, at least 1 ms. A look that takes longer skips.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Lets the loop end while it watches. Node's `persistent: false`.
    pub fn unref(mut self) -> Self {
        self.referenced = false;
        self
    }

    /// Calls `on_change` with the current and the previous state whenever they differ.
    ///
    /// The first look is at once, and is told only if it fails: then both states are the same error. A state differs if
    /// times, size, mode, owner, inode or device do, or the error. A job that the pool does not take is such an error.
    ///
    /// # Ordering
    /// In the poll phase. Each look is one job of the class [`FS`](Class::FS).
    #[track_caller]
    pub fn start(
        self,
        pool: &LoopPool,
        on_change: impl FnMut(&FileWatcher, &FileState, &FileState) + 'static,
    ) -> FileWatcher {
        let timer = Timer::new(pool.lp());
        if !self.referenced {
            timer.unref();
        }
        let inner = Inner {
            pool: pool.clone(),
            path: self.path.into(),
            interval: self.interval,
            referenced: Cell::new(self.referenced),
            timer,
            job: Cell::new(None),
            began: Cell::new(pool.lp().now()),
            previous: RefCell::default(),
            on_change: Cell::new(Some(Box::new(on_change))),
            closed: Cell::new(false),
        };
        let watcher = FileWatcher { inner: Rc::new(inner) };
        watcher.look();
        watcher
    }
}

/// A file that is being watched. Made by [`WatchFile::start`].
///
/// Cheap to clone; clones are the same. It goes on when they are dropped, until it is closed.
#[derive(Clone)]
pub struct FileWatcher {
    inner: Rc<Inner>,
}

struct Inner {
    pool: LoopPool,
    path: Arc<Path>,
    interval: Duration,
    referenced: Cell<bool>,
    timer: Timer,
    job: Cell<Option<JobId>>,
    /// When the running or last look began.
    began: Cell<Instant>,
    /// None before the first look.
    previous: RefCell<Option<FileState>>,
    on_change: Cell<Option<OnChange>>,
    closed: Cell<bool>,
}

impl FileWatcher {
    /// The watched path, as it was given.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The loop it belongs to.
    pub fn lp(&self) -> &LoopHandle {
        self.inner.pool.lp()
    }

    /// Ends the watch: nothing is called from here on.
    pub fn close(&self) {
        if self.end() {
            self.inner.timer.close();
        }
    }

    /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if it was closed
    /// before.
    pub fn close_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> bool {
        self.end() && self.inner.timer.close_with(on_close)
    }

    /// True once it was closed.
    pub fn is_closing(&self) -> bool {
        self.inner.closed.get()
    }

    /// Lets it keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.set_referenced(true);
    }

    /// Lets the loop end while it watches.
    pub fn unref(&self) {
        self.set_referenced(false);
    }

    fn set_referenced(&self, referenced: bool) {
        let inner = &self.inner;
        inner.referenced.set(referenced);
        if referenced {
            inner.timer.ref_()
        } else {
            inner.timer.unref()
        }
        if let Some(job) = inner.job.get() {
            // False is for a job that has ended: its completion is on its way.
            let _ = if referenced { inner.pool.ref_(job) } else { inner.pool.unref(job) };
        }
    }

    fn look(&self) {
        let inner = &self.inner;
        inner.began.set(self.lp().now());
        let mut job = inner.pool.request(Class::FS);
        if !inner.referenced.get() {
            job = job.unref();
        }
        let (path, watcher) = (Arc::clone(&inner.path), self.clone());
        let looked = job.run(
            move |_| std::fs::metadata(path).map(Metadata::from),
            move |_, state| {
                watcher.inner.job.set(None);
                watcher.looked(state.map_err(io::Error::from).and_then(|state| state));
            },
        );
        match looked {
            Ok(id) => inner.job.set(Some(id)),
            // Perhaps there is room the next time.
            Err(_) => self.look_later(),
        }
    }

    fn looked(&self, current: FileState) {
        let inner = &self.inner;
        let previous = inner.previous.replace(None);
        let is_news = match &previous {
            None => current.is_err(),
            Some(previous) => differ(previous, &current),
        };
        if is_news {
            let same = current.as_ref().err().map(|error| Err(same_error(error)));
            if let Some(previous) = previous.or(same) {
                self.call(&current, &previous);
            }
        }
        if !inner.closed.get() {
            inner.previous.replace(Some(current));
            self.look_later();
        }
    }

    fn call(&self, current: &FileState, previous: &FileState) {
        let mut running = PutBack { inner: &self.inner, on_change: self.inner.on_change.take() };
        if let Some(on_change) = &mut running.on_change {
            on_change(self, current, previous);
        }
    }

    /// Source: libuv, `poll_cb` of fs-poll.c, for the rhythm that a slow look does not shift.
    fn look_later(&self) {
        let inner = &self.inner;
        let (interval, passed) =
            (inner.interval.as_nanos(), (self.lp().now() - inner.began.get()).as_nanos());
        let rest = u64::try_from(interval - passed % interval).unwrap_or(u64::MAX);
        let watcher = self.clone();
        // It fails only for a timer that is closed, and so is the watcher then.
        let _ = inner.timer.start(Duration::from_nanos(rest), move |_| watcher.look());
    }

    fn end(&self) -> bool {
        let inner = &self.inner;
        if inner.closed.replace(true) {
            return false;
        }
        if let Some(job) = inner.job.take() {
            inner.pool.abandon(job);
        }
        drop(inner.on_change.take());
        true
    }
}

/// Puts the callback back after its call, also if it panicked, unless the watcher was closed in it.
struct PutBack<'a> {
    inner: &'a Inner,
    on_change: Option<OnChange>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if !self.inner.closed.get() {
            self.inner.on_change.set(self.on_change.take());
        }
    }
}

/// Source: libuv, `statbuf_eq`.
fn differ(a: &FileState, b: &FileState) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => key(a) != key(b),
        (Err(a), Err(b)) => (a.raw_os_error(), a.kind()) != (b.raw_os_error(), b.kind()),
        _ => true,
    }
}

fn key(it: &Metadata) -> ([i64; 4], [u64; 3], [u32; 3]) {
    (
        [it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()],
        [it.size(), it.ino(), it.dev()],
        [it.mode(), it.uid(), it.gid()],
    )
}

fn same_error(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

impl fmt::Debug for FileWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatcher").field("path", &self.path()).finish_non_exhaustive()
    }
}
