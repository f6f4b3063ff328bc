//! Tasks as a leaf: cells for user code, and the queue they wait in. Knows neither the loop nor a driver.
//!
//! `raw` erases types, `stage` keeps a future and then its outcome, `queue` keeps order, `waiters` keeps who waits, `thread`
//! numbers threads, `sync` stands between us and loom.

pub(crate) mod queue;
pub(crate) mod raw;
pub(crate) mod stage;
pub(crate) mod sync;
pub(crate) mod thread;
pub(crate) mod waiters;

#[cfg(all(test, loom))]
mod raw_loom_tests;
#[cfg(all(test, not(loom)))]
mod raw_tests;
