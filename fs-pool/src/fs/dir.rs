//! A folder that is listed piece by piece.

use std::collections::VecDeque;
use std::fmt;
use std::fs::ReadDir;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use parking_lot::Mutex;

use super::front::subject;
use super::operation::{Subject, Trips};
use super::{DirEntry, Fs, FsError, Operation};
use crate::pool::Class;
use crate::request::LoopPool;

impl Fs {
    /// Opens a folder to list it piece by piece, in the order in which the system keeps it.
    ///
    /// For folders with more entries than one wants to hold; [`readdir`](Self::readdir) sorts and is simpler.
    #[track_caller]
    pub fn opendir(&self, path: impl AsRef<Path>) -> Operation<Dir> {
        let subject = subject("opendir", path);
        let path = Arc::clone(&subject.path);
        Operation::start(&self.trips, subject, |chain| {
            chain.step(
                move |_| std::fs::read_dir(path),
                |chain, lp, folder| chain.finish(lp, Ok(Dir::new(chain.pool(), chain.path(), folder))),
            );
        })
    }
}

/// An open folder. Made by [`Fs::opendir`].
///
/// A [`Stream`] of entries that fetches 32 at a time; or [`read`](Self::read) fetches as many as one says. Both go on
/// where the other stopped. Dropping it closes the folder on the pool.
///
/// # Examples
/// ```
/// # use fs_pool::{fs::Fs, pool::Pool, request::LoopPool};
/// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
/// # let fs = Fs::new(&LoopPool::new(&lp, &pool));
/// lp.block_on(async {
///     let mut folder = fs.opendir("src").await?;
///     let mut names = Vec::new();
///     while let Some(entry) = folder.next_entry().await {
///         names.push(entry?.name().to_owned());
///     }
///     assert!(names.contains(&"lib.rs".into()));
///     folder.close().await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Dir {
    pool: LoopPool,
    path: Arc<Path>,
    /// `None` once it is closed or a listing has come to its end.
    folder: Option<Shared>,
    /// Entries that were fetched for the stream, and the next ones on their way.
    fetched: VecDeque<DirEntry>,
    fetching: Option<Operation<Vec<DirEntry>>>,
    is_over: bool,
}

/// Shared with the job under way.
type Shared = Arc<Mutex<ReadDir>>;

/// Entries that the stream fetches at a time. Source: Node, `opendir`, `bufferSize`.
const FETCH_LEN: usize = 32;

impl Dir {
    fn new(pool: &LoopPool, path: &Arc<Path>, folder: ReadDir) -> Self {
        Self {
            pool: pool.clone(),
            path: Arc::clone(path),
            folder: Some(Arc::new(Mutex::new(folder))),
            fetched: VecDeque::new(),
            fetching: None,
            is_over: false,
        }
    }

    /// The path with which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fetches up to `len` entries: fewer at the end, and none after it.
    ///
    /// # Cancel safety
    /// If the operation is dropped while its job runs, the entries are lost.
    #[track_caller]
    pub fn read(&mut self, len: usize) -> Operation<Vec<DirEntry>> {
        let folder = self.folder.clone();
        let ready: Vec<_> = self.fetched.drain(..len.min(self.fetched.len())).collect();
        let subject = Subject { operation: "readdir", path: Arc::clone(&self.path), to: None };
        Operation::single(&Trips::single(&self.pool), subject, move |_| {
            let mut entries = ready;
            let Some(folder) = folder else { return Ok(entries) };
            let mut folder = folder.lock();
            while entries.len() < len {
                match next(&mut folder)? {
                    Some(entry) => entries.push(entry),
                    None => break,
                }
            }
            Ok(entries)
        })
    }

    /// The next entry, or `None` at the end.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next_entry(&mut self) -> Option<Result<DirEntry, FsError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Closes the folder.
    #[track_caller]
    pub fn close(mut self) -> Operation<()> {
        let folder = self.folder.take();
        let subject = Subject { operation: "closedir", path: Arc::clone(&self.path), to: None };
        Operation::single(&Trips::single(&self.pool), subject, move |_| {
            drop(folder);
            Ok(())
        })
    }
}

fn next(folder: &mut ReadDir) -> io::Result<Option<DirEntry>> {
    folder.next().transpose()?.as_ref().map(DirEntry::of).transpose()
}

impl Stream for Dir {
    type Item = Result<DirEntry, FsError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(entry) = this.fetched.pop_front() {
                return Poll::Ready(Some(Ok(entry)));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            if this.fetching.is_none() {
                this.fetching = Some(this.read(FETCH_LEN));
            }
            let Some(fetching) = &mut this.fetching else { continue };
            let fetched = ready!(Pin::new(fetching).poll(cx));
            this.fetching = None;
            match fetched {
                Ok(entries) => {
                    this.is_over = entries.len() < FETCH_LEN;
                    this.fetched = entries.into();
                }
                Err(error) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take() {
            // A refused job is dropped here, and the descriptor with it.
            let _ = self.pool.request(Class::FS).forget(move |_| drop(folder));
        }
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dir").field("path", &self.path).finish_non_exhaustive()
    }
}
