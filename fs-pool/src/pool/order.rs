//! How the next job is chosen among classes.

/// Which class is served next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one that has used least of the workers' time for its weight. The default with more than one worker.
    Fair,
    /// The one with the oldest job, whatever its weight. The default with exactly one worker: jobs of all classes then
    /// run in the order they were submitted, as in Node.js. Jobs of high priority still pass the normal ones of their
    /// class.
    Submission,
}

impl Order {
    /// What a pool of so many workers does if it was not told.
    pub(crate) fn natural(workers: usize) -> Self {
        if workers == 1 { Self::Submission } else { Self::Fair }
    }
}
