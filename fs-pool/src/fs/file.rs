//! An open file.

use std::fmt;
use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::Operation;
use super::operation::Subject;
use super::whole::retry;
use crate::pool::Class;
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
    pool: LoopPool,
    path: Arc<Path>,
    /// Shared with the jobs under way, so that none ever meets a descriptor that was closed or given to another file.
    file: Option<Arc<std::fs::File>>,
}

impl File {
    pub(super) fn new(pool: &LoopPool, path: &Arc<Path>, file: std::fs::File) -> Self {
        Self { pool: pool.clone(), path: Arc::clone(path), file: Some(Arc::new(file)) }
    }

    /// The path with which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads up to `len` bytes from the position on, with one call of the system. Empty at the end of the file.
    ///
    /// # Cancel safety
    /// If the operation is dropped while its job runs, the position has moved and the bytes are lost.
    pub fn read(&self, len: usize) -> Operation<Vec<u8>> {
        self.call("read", move |file| read_with(len, |bytes| (&*file).read(bytes)))
    }

    /// Reads up to `len` bytes at `offset`, and leaves the position alone. Empty at the end of the file.
    pub fn read_at(&self, len: usize, offset: u64) -> Operation<Vec<u8>> {
        self.call("read_at", move |file| read_with(len, |bytes| file.read_at(bytes, offset)))
    }

    /// Writes from the position on, with one call of the system. Gives how many of the bytes were written.
    pub fn write(&self, bytes: impl Into<Vec<u8>>) -> Operation<usize> {
        let bytes = bytes.into();
        self.call("write", move |file| retry(|| (&*file).write(&bytes)))
    }

    /// Writes all bytes from the position on, in one job.
    ///
    /// # Cancel safety
    /// If the operation is dropped while its job runs, all is written all the same.
    pub fn write_all(&self, bytes: impl Into<Vec<u8>>) -> Operation<()> {
        let bytes = bytes.into();
        self.call("write_all", move |file| (&*file).write_all(&bytes))
    }

    /// Writes at `offset`, with one call of the system. Gives how many of the bytes were written.
    pub fn write_at(&self, bytes: impl Into<Vec<u8>>, offset: u64) -> Operation<usize> {
        let bytes = bytes.into();
        self.call("write_at", move |file| retry(|| file.write_at(&bytes, offset)))
    }

    /// Writes all bytes at `offset`, in one job.
    pub fn write_all_at(&self, bytes: impl Into<Vec<u8>>, offset: u64) -> Operation<()> {
        let bytes = bytes.into();
        self.call("write_all_at", move |file| file.write_all_at(&bytes, offset))
    }

    /// Has the system bring contents and metadata to the device.
    pub fn sync_all(&self) -> Operation<()> {
        self.call("sync_all", |file| file.sync_all())
    }

    /// Has the system bring the contents to the device, and of the metadata only what is needed to find them.
    pub fn sync_data(&self) -> Operation<()> {
        self.call("sync_data", |file| file.sync_data())
    }

    /// Cuts the file to `len` bytes, or fills it up with zeros. The position stays.
    pub fn truncate(&self, len: u64) -> Operation<()> {
        self.call("truncate", move |file| file.set_len(len))
    }

    /// What is known of the file.
    pub fn stat(&self) -> Operation<Metadata> {
        self.call("stat", |file| file.metadata())
    }

    /// Closes the file, once the operations under way have ended. Errors of the system are lost, as in dropping it.
    pub fn close(mut self) -> Operation<()> {
        let closed = self.call("close", |file| {
            drop(file);
            Ok(())
        });
        // The job has the descriptor now; if it was refused, it is closed here.
        self.file = None;
        closed
    }

    fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        job: impl FnOnce(Arc<std::fs::File>) -> io::Result<T> + Send + 'static,
    ) -> Operation<T> {
        let subject = Subject { operation, path: Arc::clone(&self.path), to: None };
        let file = self.file.clone().expect("it is taken only where the `File` ends");
        Operation::single(&self.pool, subject, move |_| job(file))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // A refused job is dropped here, and the descriptor with it.
            let _ = self.pool.request(Class::FS).forget(move |_| drop(file));
        }
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
