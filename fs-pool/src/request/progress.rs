//! How far a long job is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count that a long job moves on and anybody may read, from any thread, while it runs. Clones are the same count.
///
/// # Examples
/// ```
/// use fs_pool::request::Progress;
///
/// let (progress, shown) = (Progress::default(), Progress::default());
/// progress.add(512);
/// assert_eq!((progress.count(), shown.count()), (512, 0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Progress {
    // Relaxed throughout: it is a number to show, and nothing is read because of it.
    count: Arc<AtomicU64>,
}

impl Progress {
    /// How much is done. The job says what is counted: bytes of input, for those of this library.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Moves it on. Called by the job.
    pub fn add(&self, more: u64) {
        self.count.fetch_add(more, Ordering::Relaxed);
    }
}
