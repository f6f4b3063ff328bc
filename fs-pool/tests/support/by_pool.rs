//! Files by the pool.
#![allow(dead_code)] // each test file uses a part

use fs_pool::fs::{Fs, FsLimits};
use fs_pool::request::LoopPool;

pub(crate) fn front(pool: &LoopPool, limits: FsLimits) -> Fs {
    Fs::with_limits(pool, limits)
}

/// Jobs that a front has begun besides those of its pool.
pub(crate) fn ring_jobs(_: &Fs) -> u64 {
    0
}
