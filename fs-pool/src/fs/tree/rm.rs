//! Removing a tree.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::Work;
use crate::fs::error::{At, cancelled};
use crate::fs::front::subject;
use crate::fs::operation::Chain;
use crate::fs::sys::OpenFolder;
use crate::fs::{Fs, Operation};
use crate::pool::JobContext;

/// How something is removed: see [`Fs::rm_with`].
#[derive(Clone, Copy, Debug)]
pub struct RmOptions {
    recursive: bool,
    force: bool,
    retries_max: u32,
    retry_delay: Duration,
}

impl Default for RmOptions {
    fn default() -> Self {
        Self { recursive: false, force: false, retries_max: 0, retry_delay: Duration::from_millis(100) }
    }
}

impl RmOptions {
    /// Removes a file or a link, once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes a folder, too, with all that is in it.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }

    /// Takes it for success if there is nothing at the path.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Tries again up to so many times where that may help: the error is that something is busy, not empty or not
    /// permitted, or that there are too many open files. Default: never. Source: Node, `rm`, `maxRetries`.
    pub fn retries_max(mut self, retries: u32) -> Self {
        self.retries_max = retries;
        self
    }

    /// How long to wait before trying again: so long before the first time, twice as long before the second, and so on.
    /// Default: 100 ms. Source: Node, `rm`, `retryDelay`.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }
}

impl Fs {
    /// Removes a file, a link, or a folder with all that is in it. Links are not followed. It is an error if there is nothing
    /// at the path, see [`rm_with`](Self::rm_with).
    #[track_caller]
    pub fn rm(&self, path: impl AsRef<Path>) -> Operation<()> {
        self.rm_with(path, RmOptions::new().recursive(true))
    }

    /// Removes what is at the path.
    ///
    /// Names are looked up in the open folder, so nobody can lead the removal elsewhere by putting a link in the way.
    ///
    /// # Ordering
    /// One job for about [`FsLimits::entries_per_job`](crate::fs::FsLimits::entries_per_job) entries. Between attempts the
    /// loop's timers wait, not a worker.
    ///
    /// # Errors
    /// `IsADirectory` for a folder that is not to be removed recursively. The error of an entry names that entry. A tree
    /// may be so deep that the process has too many open files: one for each level.
    #[track_caller]
    pub fn rm_with(&self, path: impl AsRef<Path>, options: RmOptions) -> Operation<()> {
        let entries = self.limits.entries_per_job;
        Operation::start(&self.trips, subject("rm", path), |chain| attempt(chain, options, 0, entries))
    }
}

/// Begins to remove from the start.
fn attempt(chain: &Rc<Chain<()>>, options: RmOptions, retries: u32, entries: usize) {
    let root = chain.path().to_path_buf();
    go_on(chain, Removal { root, options, levels: Vec::new() }, retries, entries);
}

fn go_on(chain: &Rc<Chain<()>>, mut removal: Removal, retries: u32, entries: usize) {
    let options = removal.options;
    let job = move |cx: &JobContext<'_>| match removal.run(entries, cx) {
        Ok(over) => Ok((removal, Ok(over.is_some()))),
        Err(error) if retries < options.retries_max && may_pass(&error) => Ok((removal, Err(()))),
        Err(error) => Err(error),
    };
    chain.step(job, move |chain, lp, (removal, result)| match result {
        Ok(true) => chain.finish(lp, Ok(())),
        Ok(false) => go_on(chain, removal, retries, entries),
        Err(()) => {
            drop(removal); // what it has open is closed before the wait, a few descriptors at most
            let delay = options.retry_delay.saturating_mul(retries + 1);
            chain.wait(delay, move |chain, _| attempt(chain, options, retries + 1, entries));
        }
    });
}

/// Source: Node, `lib/internal/fs/rimraf.js`, `retryErrorCodes`: EBUSY, EMFILE, ENFILE, ENOTEMPTY, EPERM.
fn may_pass(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<At>()).map(|at| &at.source);
    crate::fs::sys::may_pass(inner.unwrap_or(error))
}

struct Removal {
    root: PathBuf,
    options: RmOptions,
    /// The folders that are being emptied, from the root down.
    levels: Vec<Level>,
}

struct Level {
    folder: OpenFolder,
    /// Its name in the level above; for the root nothing.
    name: OsString,
    /// Whether something was removed since it was last listed from the start: then names may have been left out.
    has_changed: bool,
}

impl Removal {
    /// Removes a file at once, and opens a folder. True if that was all.
    fn begin(&mut self) -> io::Result<bool> {
        let known = match std::fs::symlink_metadata(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.options.force => return Ok(true),
            known => known?,
        };
        if !known.is_dir() {
            std::fs::remove_file(&self.root)?;
            return Ok(true);
        }
        if !self.options.recursive {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let folder = OpenFolder::open(&self.root)?;
        self.levels.push(Level { folder, name: OsString::new(), has_changed: false });
        Ok(false)
    }

    /// Removes an entry of the last level, or makes it the last level.
    fn remove(&mut self, name: OsString, is_folder: bool) -> io::Result<()> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        level.has_changed = true;
        if !is_folder {
            match level.folder.unlink(&name) {
                // Where the system does not tell what an entry is.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
                result => return unless_gone(result).map_err(|error| self.at(error, &name)),
            }
        }
        match level.folder.open_below(&name) {
            Ok(folder) => self.levels.push(Level { folder, name, has_changed: false }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.at(error, &name)),
        }
        Ok(())
    }

    /// Removes the last level, which came to its end. True if it was the root.
    fn leave(&mut self) -> io::Result<bool> {
        let Some(mut level) = self.levels.pop() else { return Ok(true) };
        let removed = match self.levels.last() {
            Some(above) => above.folder.rmdir(&level.name),
            None => std::fs::remove_dir(&self.root),
        };
        match unless_gone(removed) {
            Ok(()) => Ok(self.levels.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && level.has_changed => {
                level.folder.rewind();
                level.has_changed = false;
                self.levels.push(level);
                Ok(false)
            }
            Err(error) => Err(self.at(error, &level.name)),
        }
    }

    /// Has an error name the entry of the last level.
    fn at(&self, error: io::Error, name: &OsString) -> io::Error {
        let mut path = self.root.clone();
        path.extend(self.levels.iter().map(|level| &level.name).filter(|name| !name.is_empty()));
        path.extend(Some(name).filter(|name| !name.is_empty()));
        At::wrap(error, &path, None)
    }
}

impl Work for Removal {
    type Output = ();

    fn run(&mut self, entries: usize, cx: &JobContext<'_>) -> io::Result<Option<()>> {
        if self.levels.is_empty() && self.begin()? {
            return Ok(Some(()));
        }
        for _ in 0..entries {
            cancelled(cx)?;
            let Some(level) = self.levels.last_mut() else { return Ok(Some(())) };
            match level.folder.next() {
                Ok(Some((name, is_folder))) => self.remove(name, is_folder)?,
                Ok(None) if self.leave()? => return Ok(Some(())),
                Ok(None) => {}
                Err(error) => return Err(self.at(error, &OsString::new())),
            }
        }
        Ok(None)
    }
}

/// Somebody else removed it: that is as good.
fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
