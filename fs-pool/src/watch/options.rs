//! What is to be watched, and how.

use std::path::{Path, PathBuf};
use std::time::Duration;

use phaseloop::LoopHandle;

use super::watcher::Inner;
use super::{WatchEvent, WatchStream, Watcher};
use crate::fs::FsError;
use crate::request::LoopPool;

/// Sets up a watcher of a file or a folder.
///
/// A folder is watched with what is directly in it; a [`recursive`](Self::recursive) watcher also sees all folders below.
/// Links below the path are not followed.
///
/// # Errors
/// `start` and `stream` fail with an [`FsError`] that names the path: it is not there, is unreadable, or the system has no
/// inotify instance, watch or descriptor left, and then it says which limit to raise.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `start` or `stream`"]
pub struct Watch {
    pub(super) path: PathBuf,
    pub(super) recursive: bool,
    pub(super) precise: bool,
    pub(super) referenced: bool,
    pub(super) queue_len_max: usize,
    pub(super) pair_delay: Duration,
}

impl Watch {
    /// Watches this path, which need not be absolute.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            recursive: false,
            precise: false,
            referenced: true,
            queue_len_max: 4096,
            pair_delay: Duration::from_millis(10),
        }
    }

    /// Watches all folders below as well, also those that come later. What is in them when they come is told as created.
    ///
    /// Each folder takes one of the user's inotify watches. The pool looks at the tree, in the class
    /// [`FS`](crate::pool::Class::FS); [`Ready`](super::WatchKind::Ready) tells when all of it is in view. What happens before is
    /// told where a watch stands already.
    pub fn recursive(mut self) -> Self {
        self.recursive = true;
        self
    }

    /// Tells every event of the kernel. By default a file's changes that are read together are told as one.
    ///
    /// The kernel itself merges an event with an equal one that waits unread just before it.
    pub fn precise(mut self) -> Self {
        self.precise = true;
        self
    }

    /// Lets the loop end while it watches. Node's `persistent: false`.
    pub fn unref(mut self) -> Self {
        self.referenced = false;
        self
    }

    /// How many events may wait for a stream's reader before no more are read: 4096. Beyond it they wait in the kernel, up
    /// to `fs.inotify.max_queued_events`, and then [`Overflow`](super::WatchKind::Overflow) says that some were lost. It may be
    /// passed by what one read or scan brings.
    pub fn queue_len_max(mut self, events: usize) -> Self {
        self.queue_len_max = events.max(1);
        self
    }

    /// How long the first half of a rename waits for the second before it counts as moved away: 10 ms. Events behind it
    /// wait, too, so that the order stays.
    pub fn pair_delay(mut self, delay: Duration) -> Self {
        self.pair_delay = delay;
        self
    }

    /// Calls `on_event` with each event, until the watcher is closed.
    ///
    /// # Ordering
    /// In the poll phase, each with a checkpoint of its own, in the kernel's order.
    #[track_caller]
    pub fn start(
        self,
        pool: &LoopPool,
        on_event: impl FnMut(&Watcher, WatchEvent) + 'static,
    ) -> Result<Watcher, FsError> {
        let path = self.path.clone();
        let watcher = Inner::open(self, pool).map_err(|error| failed(path, error))?;
        watcher.call(Box::new(on_event));
        Ok(watcher)
    }

    /// Gives the events as a stream.
    #[track_caller]
    pub fn stream(self, pool: &LoopPool) -> Result<WatchStream, FsError> {
        let path = self.path.clone();
        Inner::open(self, pool).map(WatchStream::new).map_err(|error| failed(path, error))
    }

    pub(super) fn checks_loop(lp: &LoopHandle) -> std::io::Result<()> {
        if lp.is_closed() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotConnected, "the loop is gone"));
        }
        Ok(())
    }
}

fn failed(path: PathBuf, source: std::io::Error) -> FsError {
    FsError { operation: "watch", path, to: None, source }
}
