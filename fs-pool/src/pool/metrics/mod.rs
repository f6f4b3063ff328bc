//! What a pool knows of its own work: counts, gauges, times, and the slowest jobs.

mod histogram;
mod slow;
mod snapshot;
mod stats;

pub use histogram::Times;
pub(crate) use histogram::{Histogram, add};
pub use slow::SlowJob;
pub(crate) use slow::SlowList;
pub use snapshot::{ClassSnapshot, Snapshot};
pub(crate) use stats::{ClassCounts, WorkerStats};
