//! An open file.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::Operation;
use super::batch::Gathered;
use super::operation::{Subject, Trips};
use super::whole::retry;
use crate::pool::{Class, JobContext};
use crate::request::LoopPool;

/// An open file of one loop. Made by [`Fs::open`](super::Fs::open) and its kin.
///
/// Dropping it closes the descriptor on the pool, once the operations under way have ended; where the pool takes no more
/// jobs it is closed at once. Neither tells of errors: call [`sync_all`](Self::sync_all) before.
///
/// # Ordering
/// `read` and `write` share one position, which the system keeps. Operations that are under way together take it in the
/// order in which workers reach them, which is any order with more than one: await each, or give positions with
/// `read_at` and `write_at`. Source: Node, `filehandle.write`.
///
/// # Examples
/// ```
/// # use fs_pool::{fs::Fs, pool::Pool, request::LoopPool};
/// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
/// # let fs = Fs::new(&LoopPool::new(&lp, &pool));
/// # let folder = lp.block_on(fs.mkdtemp(std::env::temp_dir().join("phaseloop-")))??;
/// # let path = folder.join("log");
/// lp.block_on(async {
///     let file = fs.create(&path).await?;
///     file.write_all("hello, world").await?;
///     assert_eq!(file.read_at(5, 7).await?, b"world");
///     file.close().await
/// })??;
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct File {
    trips: Trips,
    path: Arc<Path>,
    /// Shared with the jobs under way, so that none ever meets a descriptor that was closed or given to another file.
    file: Option<Arc<std::fs::File>>,
}

impl File {
    pub(super) fn new(pool: &LoopPool, path: &Arc<Path>, file: std::fs::File) -> Self {
        Self { trips: Trips::single(pool), path: Arc::clone(path), file: Some(Arc::new(file)) }
    }

    /// Takes over a file that was opened elsewhere, such as in a job of its own. `path` is for errors.
    pub fn from_std(pool: &LoopPool, path: impl AsRef<Path>, file: std::fs::File) -> Self {
        Self::new(pool, &Arc::from(path.as_ref()), file)
    }

    /// The path with which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads up to `len` bytes from the position on, with one call of the system. Empty at the end of the file.
    ///
    /// # Cancel safety
    /// If the operation is dropped while its job runs, the position has moved and the bytes are lost.
    #[track_caller]
    pub fn read(&self, len: usize) -> Operation<Vec<u8>> {
        self.call("read", move |file| read_with(len, |bytes| (&*file).read(bytes)))
    }

    /// Reads up to `len` bytes at `offset`, and leaves the position alone. Empty at the end of the file.
    #[track_caller]
    pub fn read_at(&self, len: usize, offset: u64) -> Operation<Vec<u8>> {
        self.call("read_at", move |file| read_with(len, |bytes| file.read_at(bytes, offset)))
    }

    /// Writes from the position on, with one call of the system. Gives how many of the bytes were written.
    #[track_caller]
    pub fn write(&self, bytes: impl Into<Vec<u8>>) -> Operation<usize> {
        let bytes = bytes.into();
        self.call("write", move |file| retry(|| (&*file).write(&bytes)))
    }

    /// Writes all bytes from the position on, in one job.
    ///
    /// # Cancel safety
    /// If the operation is dropped while its job runs, all is written all the same.
    #[track_caller]
    pub fn write_all(&self, bytes: impl Into<Vec<u8>>) -> Operation<()> {
        let bytes = bytes.into();
        self.call("write_all", move |file| (&*file).write_all(&bytes))
    }

    /// Writes at `offset`, with one call of the system. Gives how many of the bytes were written.
    #[track_caller]
    pub fn write_at(&self, bytes: impl Into<Vec<u8>>, offset: u64) -> Operation<usize> {
        let bytes = bytes.into();
        self.call("write_at", move |file| retry(|| file.write_at(&bytes, offset)))
    }

    /// Writes all bytes at `offset`, in one job.
    #[track_caller]
    pub fn write_all_at(&self, bytes: impl Into<Vec<u8>>, offset: u64) -> Operation<()> {
        let bytes = bytes.into();
        self.call("write_all_at", move |file| file.write_all_at(&bytes, offset))
    }

    /// Closes the file, once the operations under way have ended. Errors of the system are lost, as in dropping it.
    #[track_caller]
    pub fn close(mut self) -> Operation<()> {
        let closed = self.call("close", |file| {
            drop(file);
            Ok(())
        });
        // The job has the descriptor now; if it was refused, it is closed here.
        self.file = None;
        closed
    }

    #[track_caller]
    pub(super) fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        job: impl FnOnce(Arc<std::fs::File>) -> io::Result<T> + Send + 'static,
    ) -> Operation<T> {
        self.call_long(operation, None, move |file, _| job(file))
    }

    /// A call that looks whether it was given up, and may name a second path.
    #[track_caller]
    pub(super) fn call_long<T: Send + 'static>(
        &self,
        operation: &'static str,
        to: Option<&Self>,
        job: impl FnOnce(Arc<std::fs::File>, &JobContext<'_>) -> io::Result<T> + Send + 'static,
    ) -> Operation<T> {
        let to = to.map(|to| to.path.to_path_buf());
        let subject = Subject { operation, path: Arc::clone(&self.path), to };
        let file = self.shared();
        Operation::single(&self.trips, subject, move |cx| job(file, cx))
    }

    pub(super) fn loop_pool(&self) -> &LoopPool {
        &self.trips.pool
    }

    pub(super) fn shared(&self) -> Arc<std::fs::File> {
        self.file.clone().expect("it is taken only where the `File` ends")
    }

    /// The same file, with operations that are gathered.
    pub(super) fn gathering(&self, gathered: &Rc<Gathered>) -> Self {
        let trips = Trips { pool: self.trips.pool.clone(), gathered: Some(Rc::clone(gathered)) };
        Self { trips, path: Arc::clone(&self.path), file: self.file.clone() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(file) = self.file.take()
            && (self.trips.gathered.is_none() || Arc::strong_count(&file) == 1)
        {
            // A refused job is dropped here, and the descriptor with it.
            let _ = self.trips.pool.request(Class::FS).forget(move |_| drop(file));
        } // else the file it was made from is still open
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Makes a buffer for `read`, and cuts it to what was read. Blocks.
fn read_with(len: usize, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = retry(|| read(&mut bytes))?;
    bytes.truncate(read);
    Ok(bytes)
}
