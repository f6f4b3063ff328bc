//! Setting up a front.

use std::io;

use super::operation::Trips;
use super::ring::RingSettings;
use super::{Fs, FsLimits};
use crate::request::LoopPool;

/// Sets up an [`Fs`]. Made by [`Fs::builder`].
///
/// # Examples
/// ```
/// # use fs_pool::{fs::{Fs, FsLimits}, pool::Pool, request::LoopPool};
/// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
/// let limits = FsLimits { file_len_max: 1 << 20, ..FsLimits::default() };
/// let fs = Fs::builder(&LoopPool::new(&lp, &pool)).limits(limits).build()?;
/// assert!(!fs.uses_io_uring());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it makes nothing until `build`"]
pub struct FsBuilder {
    pool: LoopPool,
    limits: FsLimits,
    pub(super) ring: RingSettings,
}

impl Fs {
    /// Starts setting up a front.
    pub fn builder(pool: &LoopPool) -> FsBuilder {
        FsBuilder { pool: pool.clone(), limits: FsLimits::default(), ring: RingSettings::default() }
    }

    /// Whether what can be done by io_uring is: see `FsBuilder::io_uring`, which the feature `io-uring` adds.
    pub fn uses_io_uring(&self) -> bool {
        self.trips.ring.is_some()
    }
}

impl FsBuilder {
    /// Sets bounds other than the default ones.
    pub fn limits(mut self, limits: FsLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Makes the front.
    ///
    /// # Errors
    /// Only if io_uring is required and is not to be had: the system's error, whose text says so.
    pub fn build(self) -> io::Result<Fs> {
        let Self { pool, limits, ring } = self;
        let ring = ring.open(pool.lp())?;
        let hops = pool.lp().schedule().file_hops;
        Ok(Fs { trips: Trips { pool, ring, gathered: None }, hops, limits })
    }
}
