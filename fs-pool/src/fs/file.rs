//! An open file.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::batch::Gathered;
use super::operation::{Subject, Trips};
use super::ring::{Ring, RingJob};
use super::whole::retry;
use super::{Fs, Operation};
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
    pub(super) fn new(trips: Trips, path: &Arc<Path>, file: impl Into<Arc<std::fs::File>>) -> Self {
        Self { trips, path: Arc::clone(path), file: Some(file.into()) }
    }

    /// Takes a file that was opened elsewhere: standard input, a descriptor that another process has passed on. Its operations
    /// block a worker as long as the system blocks them; `path` is what errors name.
    ///
    /// # Examples
    /// ```
    /// # use fs_pool::{fs::{File, Fs}, pool::Pool, request::LoopPool};
    /// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
    /// # let fs = Fs::new(&LoopPool::new(&lp, &pool));
    /// let (read, mut write) = std::io::pipe()?;
    /// let read = File::from_std(&fs, std::os::fd::OwnedFd::from(read).into(), "a pipe");
    /// std::io::Write::write_all(&mut write, b"hello")?;
    /// assert_eq!(lp.block_on(read.read(100))??, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_std(fs: &Fs, file: std::fs::File, path: impl AsRef<Path>) -> Self {
        Self::new(fs.trips.clone(), &Arc::from(path.as_ref()), file)
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
        if let Some(ring) = self.ring() {
            return self.call_ring("read", ring.read(self.shared(), len, None));
        }
        self.call("read", move |file| read_with(len, |bytes| (&*file).read(bytes)))
    }

    /// Reads up to `len` bytes at `offset`, and leaves the position alone. Empty at the end of the file.
    #[track_caller]
    pub fn read_at(&self, len: usize, offset: u64) -> Operation<Vec<u8>> {
        if let Some(ring) = self.ring() {
            return self.call_ring("read_at", ring.read(self.shared(), len, Some(offset)));
        }
        self.call("read_at", move |file| read_with(len, |bytes| file.read_at(bytes, offset)))
    }

    /// Writes from the position on, with one call of the system. Gives how many of the bytes were written.
    #[track_caller]
    pub fn write(&self, bytes: impl Into<Vec<u8>>) -> Operation<usize> {
        let bytes = bytes.into();
        if let Some(ring) = self.ring() {
            return self.call_ring("write", ring.write(self.shared(), bytes, None));
        }
        self.call("write", move |file| retry(|| (&*file).write(&bytes)))
    }

    /// Writes all bytes from the position on, in one job.
    ///
    /// # Cancel safety
    /// If the operation is dropped while its job runs, all is written all the same.
    #[track_caller]
    pub fn write_all(&self, bytes: impl Into<Vec<u8>>) -> Operation<()> {
        let bytes = bytes.into();
        if let Some(ring) = self.ring() {
            return self.call_ring("write_all", ring.write_all(self.shared(), bytes, None));
        }
        self.call("write_all", move |file| (&*file).write_all(&bytes))
    }

    /// Writes at `offset`, with one call of the system. Gives how many of the bytes were written.
    #[track_caller]
    pub fn write_at(&self, bytes: impl Into<Vec<u8>>, offset: u64) -> Operation<usize> {
        let bytes = bytes.into();
        if let Some(ring) = self.ring() {
            return self.call_ring("write_at", ring.write(self.shared(), bytes, Some(offset)));
        }
        self.call("write_at", move |file| retry(|| file.write_at(&bytes, offset)))
    }

    /// Writes all bytes at `offset`, in one job.
    #[track_caller]
    pub fn write_all_at(&self, bytes: impl Into<Vec<u8>>, offset: u64) -> Operation<()> {
        let bytes = bytes.into();
        if let Some(ring) = self.ring() {
            return self.call_ring("write_all_at", ring.write_all(self.shared(), bytes, Some(offset)));
        }
        self.call("write_all_at", move |file| file.write_all_at(&bytes, offset))
    }

    /// Closes the file, once the operations under way have ended. Errors of the system are lost, as in dropping it.
    #[track_caller]
    pub fn close(mut self) -> Operation<()> {
        let Some(ring) = self.ring() else {
            let closed = self.call("close", |file| {
                drop(file);
                Ok(())
            });
            // The job has the descriptor now; if it was refused, it is closed here.
            self.file = None;
            return closed;
        };
        let job = ring.close(self.shared());
        self.file = None; // so that the job's is the last, unless operations are under way
        self.call_ring("close", job)
    }

    /// The ring, where it does this file's calls.
    pub(super) fn ring(&self) -> Option<&Ring> {
        self.trips.ring()
    }

    #[track_caller]
    pub(super) fn call_ring<T: 'static>(&self, operation: &'static str, job: RingJob<T>) -> Operation<T> {
        let subject = Subject { operation, path: Arc::clone(&self.path), to: None };
        Operation::by_ring(&self.trips, subject, job)
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

    /// Takes the file out, to be closed by whoever gets it.
    pub(super) fn take_shared(&mut self) -> Option<Arc<std::fs::File>> {
        self.file.take()
    }

    /// The same file, with operations that are gathered.
    pub(super) fn gathering(&self, gathered: &Rc<Gathered>) -> Self {
        let trips = Trips { gathered: Some(Rc::clone(gathered)), ..self.trips.clone() };
        Self { trips, path: Arc::clone(&self.path), file: self.file.clone() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(file) = self.file.take()
            && (self.trips.gathered.is_none() || Arc::strong_count(&file) == 1)
        {
            match &self.trips.ring {
                Some(ring) => ring.close_unheard(file),
                // A refused job is dropped here, and the descriptor with it.
                None => _ = self.trips.pool.request(Class::FS).forget(move |_| drop(file)),
            }
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
