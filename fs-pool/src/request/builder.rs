//! A job with more to say than its class.

use std::panic::Location;
use std::time::Duration;

use phaseloop::LoopHandle;

use super::LoopPool;
use super::core::JobId;
use super::table::{Ended, Then};
use super::{PoolFuture, RequestError};
use crate::pool::{Class, Job, JobContext, Priority, SubmitError};

/// Sets up one job of a loop. Made by [`LoopPool::request`].
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// # use fs_pool::{pool::{Class, Pool, Priority}, request::LoopPool};
/// # use phaseloop::EventLoop;
/// let (lp, pool) = (EventLoop::new()?, Pool::builder().build()?);
/// let pool = LoopPool::new(&lp, &pool);
/// let job = pool.request(Class::USER).priority(Priority::High).timeout(Duration::from_secs(5));
/// assert_eq!(lp.block_on(job.spawn(|_| 6 * 7))??, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `run` or `spawn`"]
pub struct JobRequest<'a> {
    pool: &'a LoopPool,
    class: Class,
    pub(super) priority: Priority,
    pub(super) timeout: Option<Duration>,
    pub(super) referenced: bool,
    site: &'static Location<'static>,
}

impl<'a> JobRequest<'a> {
    pub(super) fn new(pool: &'a LoopPool, class: Class, site: &'static Location<'static>) -> Self {
        Self { pool, class, priority: Priority::Normal, timeout: None, referenced: true, site }
    }

    /// Sets the priority inside the class.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Gives the job up after this time, counted from now: it ends as [`RequestError::TimedOut`], in the timers phase.
    ///
    /// If it has started by then, it ends alone, is told so by its context, and its result is dropped on the pool.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Lets the loop end while the job is under way.
    pub fn unref(mut self) -> Self {
        self.referenced = false;
        self
    }

    /// Names another line as the one that made the job. For libraries whose callers want to see their own lines.
    pub fn site(mut self, site: &'static Location<'static>) -> Self {
        self.site = site;
        self
    }

    /// Gives the job to the pool; `on_done` gets what it returns. As [`LoopPool::run`].
    ///
    /// # Errors
    /// As [`LoopPool::run`].
    pub fn run<T: Send + 'static>(
        self,
        job: impl FnOnce(&JobContext<'_>) -> T + Send + 'static,
        on_done: impl FnOnce(&LoopHandle, Result<T, RequestError>) + 'static,
    ) -> Result<JobId, SubmitError> {
        let on_ended = move |lp: &LoopHandle, ended: Ended| on_done(lp, ended.into_result());
        let memory = Box::new_uninit(); // first, as in `Job::from_work`
        let on_ended = Box::write(memory, self.pool.lp().bind_context_once(on_ended));
        let job = Job::new(self.class, job).site(self.site);
        self.pool.core().submit(&self, job, Then::Call(on_ended))
    }

    /// Gives the job to the pool; nobody hears of its end, and it does not keep the loop alive. For tidying up.
    ///
    /// # Errors
    /// As [`LoopPool::run`].
    pub fn forget(self, job: impl FnOnce(&JobContext<'_>) + Send + 'static) -> Result<(), SubmitError> {
        let job = Job::new(self.class, job).site(self.site).priority(self.priority);
        self.pool.core().submit_unheard(job)
    }

    /// Gives the job to the pool; the future gets what it returns. As [`LoopPool::spawn`].
    pub fn spawn<T: Send + 'static>(
        self,
        job: impl FnOnce(&JobContext<'_>) -> T + Send + 'static,
    ) -> PoolFuture<T> {
        let job = Job::new(self.class, job).site(self.site);
        let submitted = self.pool.core().submit(&self, job, Then::Wake(None));
        PoolFuture::new(self.pool.core(), submitted)
    }
}
