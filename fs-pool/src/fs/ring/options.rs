//! Whether and how io_uring is used.

use std::io;

use phaseloop::LoopHandle;

use super::core::Ring;
use crate::fs::{Fs, FsBuilder};

/// Whether an [`Fs`](crate::fs::Fs) does what it can by io_uring: see [`FsBuilder::io_uring`](crate::fs::FsBuilder::io_uring).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IoUring {
    /// All is done by the pool.
    #[default]
    Off,
    /// By io_uring if the kernel has it and lets us; else all is done by the pool.
    Try,
    /// By io_uring, or the front is not made.
    Require,
}

/// The bounds of a front's io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoUringLimits {
    /// Places in the line to the kernel: 128, some 16 KiB. More calls than that are handed over in several goes. The kernel
    /// rounds up to a power of two.
    pub entries: u32,
    /// Operations that are in the kernel at a time: 128. With 1 they end in the order of their calls, as with a pool of one
    /// worker. At least 1.
    pub in_flight_max: usize,
    /// Operations that wait for their turn: 10,000, as jobs of a class. Each further one is refused with `ResourceBusy`.
    pub queue_len_max: usize,
}

impl Default for IoUringLimits {
    fn default() -> Self {
        Self { entries: 128, in_flight_max: 128, queue_len_max: 10_000 }
    }
}

/// What a front's io_uring has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoUringStats {
    /// Jobs that were taken: what a pool would have counted, so one for each hop of an operation.
    pub jobs: u64,
    /// Calls that were handed to the kernel for them. A read that is to close the file counts once.
    pub calls: u64,
    /// Jobs that wait for their turn.
    pub queued: usize,
    /// Calls that the kernel has, also for jobs that were given up.
    pub in_flight: usize,
}

/// What a builder was told.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::fs) struct RingSettings {
    wish: IoUring,
    limits: IoUringLimits,
}

impl RingSettings {
    pub(in crate::fs) fn open(self, lp: &LoopHandle) -> io::Result<Option<Ring>> {
        if self.wish == IoUring::Off {
            return Ok(None);
        }
        match (self.wish, Ring::open(lp, self.limits)) {
            (IoUring::Require, Err(error)) => {
                Err(io::Error::new(error.kind(), format!("io_uring is required, and there is none: {error}")))
            }
            (_, opened) => Ok(opened.ok()),
        }
    }
}

impl FsBuilder {
    /// Has files opened, read, written, asked for and closed by io_uring instead of the pool. Default: [`IoUring::Off`].
    ///
    /// What else there is stays with the pool: see README.md in the module's folder. Never with SQPOLL, which keeps a kernel thread
    /// busy for every loop.
    ///
    /// Off by default, because it is the kernel's youngest part: it is forbidden in many containers, and has had more
    /// than its share of faults. Source: libuv issue 4416. What is in the kernel's memory is copied on the loop's thread.
    ///
    /// # Ordering
    /// Hops and the places of completions are as with the pool. Operations under way at the same time end in any order, but
    /// with [`IoUringLimits::in_flight_max`] of 1 in that of their calls; among operations of the pool, in any.
    ///
    /// # Cancel safety
    /// An operation that is dropped is given up in the kernel; what it uses is kept until the kernel has let go of it. When
    /// the loop goes, it waits for that.
    ///
    /// # Platform
    /// Linux 5.6 or later, on the machines that the crate `io-uring` knows.
    ///
    /// # Examples
    /// ```
    /// # use fs_pool::{fs::{Fs, IoUring}, pool::Pool, request::LoopPool};
    /// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
    /// let fs = Fs::builder(&LoopPool::new(&lp, &pool)).io_uring(IoUring::Try).build()?;
    /// assert_eq!(fs.uses_io_uring(), fs.io_uring_stats().is_some());
    /// let manifest = lp.block_on(fs.read_file("Cargo.toml"))??;
    /// assert!(manifest.starts_with(b"[package]"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn io_uring(mut self, wish: IoUring) -> Self {
        self.ring.wish = wish;
        self
    }

    /// Sets bounds other than the default ones for io_uring.
    pub fn io_uring_limits(mut self, limits: IoUringLimits) -> Self {
        self.ring.limits = limits;
        self
    }
}

impl Fs {
    /// What its io_uring has done so far; `None` if all is done by the pool.
    pub fn io_uring_stats(&self) -> Option<IoUringStats> {
        self.trips.ring.as_ref().map(Ring::stats)
    }
}
