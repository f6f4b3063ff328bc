//! What `Fs` and `File` have done by a ring.

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use super::calls::RingFile;
use super::core::Ring;
use super::sys::Room;
use crate::fs::sys::Links;
use crate::fs::{Metadata, OpenOptions};

/// What the kernel is to do: nothing is begun before the ring is given it.
pub(in crate::fs) type RingJob<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;

impl Ring {
    pub(in crate::fs) fn open_file(&self, path: Arc<Path>, options: OpenOptions) -> RingJob<RingFile> {
        let calls = self.calls();
        Box::pin(async move { calls.open(&path, &options).await })
    }

    pub(in crate::fs) fn stat(&self, path: Arc<Path>, links: Links) -> RingJob<Metadata> {
        let calls = self.calls();
        Box::pin(async move { calls.stat(&path, links).await })
    }

    pub(in crate::fs) fn file_stat(&self, file: Arc<File>) -> RingJob<Metadata> {
        let (calls, file) = (self.calls(), self.calls().hold(file));
        Box::pin(async move { calls.file_stat(&file).await })
    }

    /// Reads up to `len` bytes into a new buffer.
    pub(in crate::fs) fn read(&self, file: Arc<File>, len: usize, offset: Option<u64>) -> RingJob<Vec<u8>> {
        let (calls, file) = (self.calls(), self.calls().hold(file));
        Box::pin(async move {
            let buf = Vec::with_capacity(len);
            let (buf, read) = calls.read(&file, buf, Room { start: 0, len }, offset).await;
            read.map(|_| buf)
        })
    }

    /// Reads into a buffer, up to its length.
    pub(in crate::fs) fn read_into(
        &self,
        file: Arc<File>,
        buf: Vec<u8>,
        offset: Option<u64>,
    ) -> RingJob<(usize, Vec<u8>)> {
        let (calls, file) = (self.calls(), self.calls().hold(file));
        Box::pin(async move {
            let into = Room { start: 0, len: buf.len() };
            let (buf, read) = calls.read(&file, buf, into, offset).await;
            read.map(|read| (read, buf))
        })
    }

    pub(in crate::fs) fn write(&self, file: Arc<File>, buf: Vec<u8>, offset: Option<u64>) -> RingJob<usize> {
        let (calls, file) = (self.calls(), self.calls().hold(file));
        Box::pin(async move { calls.write(&file, buf, 0, offset).await.1 })
    }

    pub(in crate::fs) fn write_all(&self, file: Arc<File>, buf: Vec<u8>, offset: Option<u64>) -> RingJob<()> {
        let (calls, file) = (self.calls(), self.calls().hold(file));
        Box::pin(async move { calls.write_all(&file, buf, offset).await })
    }

    pub(in crate::fs) fn sync(&self, file: Arc<File>, data_only: bool) -> RingJob<()> {
        let (calls, file) = (self.calls(), self.calls().hold(file));
        Box::pin(async move { calls.sync(&file, data_only).await })
    }

    /// Closes a file, if nobody else has it.
    pub(in crate::fs) fn close(&self, file: Arc<File>) -> RingJob<()> {
        let (calls, file) = (self.calls(), self.calls().hold(file));
        Box::pin(async move {
            calls.close(file).await;
            Ok(())
        })
    }

    /// Closes a file, if nobody else has it. Nobody hears of it.
    pub(in crate::fs) fn close_unheard(&self, file: Arc<File>) {
        self.core().let_go(file);
        self.core().flush();
    }
}
