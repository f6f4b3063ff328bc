//! Files by io_uring, one operation at a time, as a pool of one worker has it.
#![allow(dead_code, clippy::print_stderr)] // each test file uses a part, and what is skipped is told

use fs_pool::fs::{Fs, FsLimits, IoUring, IoUringLimits};
use fs_pool::request::LoopPool;

pub(crate) fn front(pool: &LoopPool, limits: FsLimits) -> Fs {
    let one = IoUringLimits { in_flight_max: 1, ..IoUringLimits::default() };
    front_with(pool, limits, one)
}

/// Where there is no io_uring, the pool's front takes its place, loudly.
pub(crate) fn front_with(pool: &LoopPool, limits: FsLimits, ring: IoUringLimits) -> Fs {
    let front = || Fs::builder(pool).limits(limits).io_uring_limits(ring);
    front().io_uring(IoUring::Require).build().unwrap_or_else(|error| {
        eprintln!("SKIPPED: the tests run with the pool: {error}");
        assert!(std::env::var_os("PHASELOOP_REQUIRE_PEERS").is_none_or(|it| it != "1"), "{error}");
        front().io_uring(IoUring::Try).build().expect("the pool is there")
    })
}

/// Jobs that a front has begun besides those of its pool.
pub(crate) fn ring_jobs(fs: &Fs) -> u64 {
    fs.io_uring_stats().map_or(0, |stats| stats.jobs)
}
