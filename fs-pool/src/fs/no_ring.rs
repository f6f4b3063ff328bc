//! Stands for `ring` where there is no io_uring: nothing of it can be made, so nothing of it is ever called.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use phaseloop::LoopHandle;

use super::operation::Subject;
use super::sys::Links;
use super::{Fs, FsLimits, Metadata, OpenOptions, Operation};

/// A ring that there is not.
#[derive(Clone)]
pub(super) struct Ring(Infallible);

/// The settings of no ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RingSettings(());

/// A file in the hands of no job.
pub(super) struct RingFile(Infallible);

pub(super) type RingId = Infallible;

/// A job of no ring.
pub(super) struct RingJob<T>(Infallible, std::marker::PhantomData<T>);

impl RingSettings {
    pub(super) fn open(self, _: &LoopHandle) -> io::Result<Option<Ring>> {
        Ok(None)
    }
}

impl RingFile {
    pub(super) fn into_shared(self) -> Arc<File> {
        match self.0 {}
    }
}

impl Ring {
    pub(super) fn start<T: 'static>(
        &self,
        _: RingJob<T>,
        _: bool,
        _: impl FnOnce(&LoopHandle, io::Result<T>) + 'static,
    ) -> io::Result<RingId> {
        match self.0 {}
    }

    pub(super) fn abandon(&self, _: RingId) {
        match self.0 {}
    }

    pub(super) fn set_referenced(&self, _: RingId, _: bool) -> bool {
        match self.0 {}
    }

    pub(super) fn open_file(&self, _: Arc<Path>, _: OpenOptions) -> RingJob<RingFile> {
        match self.0 {}
    }

    pub(super) fn stat(&self, _: Arc<Path>, _: Links) -> RingJob<Metadata> {
        match self.0 {}
    }

    pub(super) fn file_stat(&self, _: Arc<File>) -> RingJob<Metadata> {
        match self.0 {}
    }

    pub(super) fn read(&self, _: Arc<File>, _: usize, _: Option<u64>) -> RingJob<Vec<u8>> {
        match self.0 {}
    }

    pub(super) fn read_into(&self, _: Arc<File>, _: Vec<u8>, _: Option<u64>) -> RingJob<(usize, Vec<u8>)> {
        match self.0 {}
    }

    pub(super) fn write(&self, _: Arc<File>, _: Vec<u8>, _: Option<u64>) -> RingJob<usize> {
        match self.0 {}
    }

    pub(super) fn write_all(&self, _: Arc<File>, _: Vec<u8>, _: Option<u64>) -> RingJob<()> {
        match self.0 {}
    }

    pub(super) fn sync(&self, _: Arc<File>, _: bool) -> RingJob<()> {
        match self.0 {}
    }

    pub(super) fn close(&self, _: Arc<File>) -> RingJob<()> {
        match self.0 {}
    }

    pub(super) fn close_unheard(&self, _: Arc<File>) {
        match self.0 {}
    }
}

impl Fs {
    pub(super) fn read_file_by(&self, ring: &Ring, _: Subject, _: FsLimits) -> Operation<Vec<u8>> {
        match ring.0 {}
    }

    pub(super) fn write_whole_by(
        &self,
        ring: &Ring,
        _: Subject,
        _: Vec<u8>,
        _: OpenOptions,
    ) -> Operation<()> {
        match ring.0 {}
    }
}
