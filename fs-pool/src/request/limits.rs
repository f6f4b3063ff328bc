//! How long a loop may hold jobs back.

/// The bounds within which a [`LoopPool`](super::LoopPool) gathers jobs before it queues them.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Jobs a worker has before it while jobs are queued at once: 2, one to run and one to go on with. Above it a job
    /// would have to wait anyway, so it may as well be queued with others, under one lock.
    pub prompt_jobs_per_worker: usize,
    /// Jobs that are gathered before they are queued: 32, a bite of the pool. More saves next to nothing.
    pub stage_len_max: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { prompt_jobs_per_worker: 2, stage_len_max: 32 }
    }
}
