//! The numbers behind a snapshot: those that workers write for each job, and those that are written now and then.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use super::Histogram;

/// What one worker has counted for one class. INVARIANT single-writer, as in [`Histogram`].
pub(crate) struct ClassStats {
    pub(crate) completed: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) detached: AtomicU64,
    pub(crate) wait: Histogram,
    pub(crate) run: Histogram,
}

/// What one worker has counted, by class; made when the worker first runs a job of the class. It outlives the thread
/// and is handed, under the state's lock, to the next that works under the same index.
pub(crate) struct WorkerStats(Box<[OnceLock<Box<ClassStats>>]>);

impl WorkerStats {
    pub(crate) fn new(classes: usize) -> Self {
        Self((0..classes).map(|_| OnceLock::new()).collect())
    }

    pub(crate) fn class(&self, class: usize) -> &ClassStats {
        self.0[class].get_or_init(|| {
            let (wait, run) = (Histogram::new(), Histogram::new());
            let [completed, panicked, detached] = [const { AtomicU64::new(0) }; 3];
            Box::new(ClassStats { completed, panicked, detached, wait, run })
        })
    }

    /// The class's numbers, if the worker has run a job of it.
    pub(crate) fn peek(&self, class: usize) -> Option<&ClassStats> {
        self.0[class].get().map(Box::as_ref)
    }
}

/// What all threads count for one class, outside of the path of each job. Relaxed: they publish nothing.
#[derive(Debug, Default)]
pub(crate) struct ClassCounts {
    pub(crate) rejected: AtomicU64,
    pub(crate) cancelled: AtomicU64,
}
