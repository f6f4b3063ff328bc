//! The front: what can be done to a path.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use phaseloop::FileHops;

use super::operation::{Subject, Trips};
use super::{Access, DirEntry, File, FsLimits, Metadata, OpenOptions, Operation, entry, sys};
use crate::pool::JobContext;
use crate::request::LoopPool;

/// File operations for one loop, done by a pool.
///
/// Cheap to clone; clones are the same. Paths are relative to the process's folder, and may be of any bytes. See the
/// [module](super) for order, errors and an example.
///
/// # Errors
/// Every operation ends in an [`FsError`](super::FsError) that names the operation and the path. One that the pool
/// refuses ends so, too: nothing panics and no callback is lost.
#[derive(Clone)]
pub struct Fs {
    pub(super) trips: Trips,
    pub(super) hops: FileHops,
    pub(super) limits: FsLimits,
}

impl Fs {
    /// Makes a front. Whole files take as many hops as the loop's schedule says
    /// ([`Schedule::file_hops`](phaseloop::Schedule::file_hops)).
    pub fn new(pool: &LoopPool) -> Self {
        Self::with_limits(pool, FsLimits::default())
    }

    /// As `new`, with bounds other than the default ones.
    pub fn with_limits(pool: &LoopPool, limits: FsLimits) -> Self {
        Self { trips: Trips::single(pool), hops: pool.lp().schedule().file_hops, limits }
    }

    /// The pool's side of the loop.
    pub fn pool(&self) -> &LoopPool {
        &self.trips.pool
    }

    // --- asking ---

    /// What is known of a file; links are followed.
    #[track_caller]
    pub fn stat(&self, path: impl AsRef<Path>) -> Operation<Metadata> {
        if let Some(ring) = self.trips.ring() {
            let subject = subject("stat", path);
            let job = ring.stat(Arc::clone(&subject.path), sys::Links::Follow);
            return Operation::by_ring(&self.trips, subject, job);
        }
        self.call("stat", path, |path| std::fs::metadata(path).map(Metadata::from))
    }

    /// What is known of a file, or of the link itself.
    #[track_caller]
    pub fn lstat(&self, path: impl AsRef<Path>) -> Operation<Metadata> {
        if let Some(ring) = self.trips.ring() {
            let subject = subject("lstat", path);
            let job = ring.stat(Arc::clone(&subject.path), sys::Links::Change);
            return Operation::by_ring(&self.trips, subject, job);
        }
        self.call("lstat", path, |path| std::fs::symlink_metadata(path).map(Metadata::from))
    }

    /// Asks whether the process's real user may do this. By the time of the answer it may have changed: to try is better.
    #[track_caller]
    pub fn access(&self, path: impl AsRef<Path>, access: Access) -> Operation<()> {
        self.call("access", path, move |path| sys::access(path, access))
    }

    /// Whether there is something at the path; links are followed.
    ///
    /// # Errors
    /// If that can not be told: a folder on the way may not be entered, or links lead in a circle.
    #[track_caller]
    pub fn exists(&self, path: impl AsRef<Path>) -> Operation<bool> {
        self.call("exists", path, |path| path.try_exists())
    }

    /// The path without links, `.` and `..`.
    #[track_caller]
    pub fn realpath(&self, path: impl AsRef<Path>) -> Operation<PathBuf> {
        self.call("realpath", path, |path| std::fs::canonicalize(path))
    }

    /// Where a link leads.
    #[track_caller]
    pub fn readlink(&self, path: impl AsRef<Path>) -> Operation<PathBuf> {
        self.call("readlink", path, |path| std::fs::read_link(path))
    }

    /// Lists a folder, sorted by name, without `.` and `..`. Source: libuv, `uv_fs_scandir`.
    #[track_caller]
    pub fn readdir(&self, path: impl AsRef<Path>) -> Operation<Vec<DirEntry>> {
        self.call("readdir", path, entry::list)
    }

    // --- opening ---

    /// Opens a file for reading.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> Operation<File> {
        self.open_with(path, OpenOptions::new().read(true))
    }

    /// Opens a file for reading and writing: a new one, or one that is emptied.
    #[track_caller]
    pub fn create(&self, path: impl AsRef<Path>) -> Operation<File> {
        self.open_with(path, OpenOptions::new().read(true).write(true).create(true).truncate(true))
    }

    /// Opens a file in another way.
    #[track_caller]
    pub fn open_with(&self, path: impl AsRef<Path>, options: &OpenOptions) -> Operation<File> {
        let (subject, options) = (subject("open", path), options.clone());
        let path = Arc::clone(&subject.path);
        Operation::start(&self.trips, subject, |chain| match self.trips.ring() {
            Some(ring) => chain.ring_step(ring.open_file(path, options), |chain, lp, file| {
                chain.finish(lp, Ok(File::new(chain.trips(), chain.path(), file.into_shared())));
            }),
            None => chain.step(
                move |_| options.open(path),
                |chain, lp, file| {
                    chain.finish(lp, Ok(File::new(chain.trips(), chain.path(), file)));
                },
            ),
        })
    }

    // --- changing ---

    /// Makes a folder, whose parent must be there.
    #[track_caller]
    pub fn mkdir(&self, path: impl AsRef<Path>) -> Operation<()> {
        self.call("mkdir", path, |path| std::fs::create_dir(path))
    }

    /// Removes a file or a link.
    #[track_caller]
    pub fn unlink(&self, path: impl AsRef<Path>) -> Operation<()> {
        self.call("unlink", path, |path| std::fs::remove_file(path))
    }

    /// Removes an empty folder.
    #[track_caller]
    pub fn rmdir(&self, path: impl AsRef<Path>) -> Operation<()> {
        self.call("rmdir", path, |path| std::fs::remove_dir(path))
    }

    /// Gives a file another path. A file that is there is replaced.
    #[track_caller]
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Operation<()> {
        self.call_two("rename", from, to, |from, to, _| std::fs::rename(from, to))
    }

    /// Gives a file a second path.
    #[track_caller]
    pub fn link(&self, original: impl AsRef<Path>, to: impl AsRef<Path>) -> Operation<()> {
        self.call_two("link", original, to, |original, to, _| std::fs::hard_link(original, to))
    }

    /// Makes a link at `to` that leads to `target`, which need not be there.
    #[track_caller]
    pub fn symlink(&self, target: impl AsRef<Path>, to: impl AsRef<Path>) -> Operation<()> {
        self.call_two("symlink", target, to, |target, to, _| std::os::unix::fs::symlink(target, to))
    }

    // --- how ---

    #[track_caller]
    pub(super) fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: impl AsRef<Path>,
        job: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Operation<T> {
        let subject = subject(operation, path);
        let path = Arc::clone(&subject.path);
        Operation::single(&self.trips, subject, move |_| job(&path))
    }

    #[track_caller]
    pub(super) fn call_two<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: impl AsRef<Path>,
        to: impl AsRef<Path>,
        job: impl FnOnce(&Path, &Path, &JobContext<'_>) -> io::Result<T> + Send + 'static,
    ) -> Operation<T> {
        let to = to.as_ref().to_path_buf();
        let subject = Subject { to: Some(to.clone()), ..subject(operation, path) };
        let path = Arc::clone(&subject.path);
        Operation::single(&self.trips, subject, move |cx| job(&path, &to, cx))
    }
}

impl fmt::Debug for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fs").field("hops", &self.hops).finish_non_exhaustive()
    }
}

pub(super) fn subject(operation: &'static str, path: impl AsRef<Path>) -> Subject {
    Subject { operation, path: Arc::from(path.as_ref()), to: None }
}
