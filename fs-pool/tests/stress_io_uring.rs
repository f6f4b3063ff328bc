//! The stress of all kinds of jobs once more, with files by io_uring.
#![allow(clippy::unwrap_used, clippy::duplicate_mod)]

#[path = "support/by_ring.rs"]
mod by_ring;
#[path = "stress.rs"]
mod stress;

mod front {
    use fs_pool::fs::{Fs, FsLimits, IoUringLimits};
    use fs_pool::request::LoopPool;

    pub(crate) fn front(pool: &LoopPool, limits: FsLimits) -> Fs {
        super::by_ring::front_with(pool, limits, IoUringLimits::default())
    }
}
