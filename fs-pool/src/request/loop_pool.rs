//! The loop's side of a pool, as its users hold it.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use phaseloop::LoopHandle;

use super::builder::JobRequest;
use super::core::{Core, JobId};
use super::{PoolFuture, RequestError, RequestLimits};
use crate::pool::{Cancel, Class, JobContext, Pool, SubmitError};

/// A pool for the jobs of one loop: closures go to the workers, and what they return comes back on the loop's thread.
///
/// Cheap to clone; clones are the same. Each job keeps the loop alive until it has ended, unless it was
/// [`unref`](JobRequest::unref)'d. The pool itself can be shared: by other loops, each with a `LoopPool` of its own, and
/// by threads without one.
///
/// When the last clone is dropped, jobs under way end as usual. When the loop is dropped, what is queued never runs, what
/// runs is told so, and every callback is dropped uncalled.
///
/// # Ordering
/// See the [module](super).
///
/// # Examples
/// ```
/// use fs_pool::pool::{Class, Pool};
/// use fs_pool::request::LoopPool;
/// use phaseloop::{EventLoop, RunMode};
///
/// let (lp, pool) = (EventLoop::new()?, Pool::builder().build()?);
/// let pool = LoopPool::new(&lp, &pool);
/// pool.run(Class::CPU, |_| (1..=10).product::<u64>(), |_lp, product| {
///     assert_eq!(product.expect("it neither panics nor is cancelled"), 3_628_800);
/// })?;
/// lp.run(RunMode::Default)?; // until the job is done
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LoopPool {
    front: Rc<Front>,
}

impl LoopPool {
    /// Joins `pool` with a loop.
    #[track_caller]
    pub fn new(lp: &LoopHandle, pool: &Pool) -> Self {
        Self::with_limits(lp, pool, RequestLimits::default())
    }

    /// As `new`, with bounds other than the default ones.
    #[track_caller]
    pub fn with_limits(lp: &LoopHandle, pool: &Pool, limits: RequestLimits) -> Self {
        Self { front: Rc::new(Front { core: Core::open(lp, pool, limits) }) }
    }

    /// Gives `job` to the pool; `on_done` gets what it returns, in the poll phase.
    ///
    /// # Errors
    /// If the pool does not take the job: the class is full, or the pool is shut down, or the loop is gone, or no thread
    /// could be started. `on_done` is then dropped and will not run.
    ///
    /// # Panics
    /// If the class is not one of this pool's. A panic of `job` becomes [`RequestError::Panicked`]; one of `on_done` is
    /// a panic of a callback.
    #[track_caller]
    pub fn run<T: Send + 'static>(
        &self,
        class: Class,
        job: impl FnOnce(&JobContext<'_>) -> T + Send + 'static,
        on_done: impl FnOnce(&LoopHandle, Result<T, RequestError>) + 'static,
    ) -> Result<JobId, SubmitError> {
        self.request(class).run(job, on_done)
    }

    /// Gives `job` to the pool, at once and not at the first poll; the future gets what it returns.
    ///
    /// # Errors
    /// Why there is no result, also if the pool did not take the job.
    ///
    /// # Panics
    /// If the class is not one of this pool's.
    ///
    /// # Cancel safety
    /// Dropping the future gives the job up: see [`PoolFuture`].
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        &self,
        class: Class,
        job: impl FnOnce(&JobContext<'_>) -> T + Send + 'static,
    ) -> PoolFuture<T> {
        self.request(class).spawn(job)
    }

    /// Starts setting up a job with a priority, a timeout or without keeping the loop alive.
    #[track_caller]
    pub fn request(&self, class: Class) -> JobRequest<'_> {
        JobRequest::new(self, class, Location::caller())
    }

    /// Cancels a job. If it had not started, it ends as [`RequestError::Cancelled`], in the poll phase.
    pub fn cancel(&self, id: JobId) -> Cancel {
        self.core().cancel(id)
    }

    /// Gives a job up: as `cancel`, but its callback is dropped now and will not run, whatever the job does.
    pub fn abandon(&self, id: JobId) {
        self.core().abandon(id);
    }

    /// Lets a job keep the loop alive, as it does by default. False if it has ended.
    pub fn ref_(&self, id: JobId) -> bool {
        self.core().set_referenced(id, true)
    }

    /// Lets the loop end while the job is under way. False if it has ended.
    pub fn unref(&self, id: JobId) -> bool {
        self.core().set_referenced(id, false)
    }

    /// Queues what was held back to be queued together.
    pub fn flush(&self) {
        self.core().flush();
    }

    /// How many jobs were given and have not ended, and how many of these are held back.
    pub fn under_way(&self) -> (usize, usize) {
        let core = self.core();
        (core.in_flight.get(), core.in_flight.get() - core.queued())
    }

    /// The loop that gets the completions.
    pub fn lp(&self) -> &LoopHandle {
        &self.core().lp
    }

    /// The pool behind it.
    pub fn pool(&self) -> &Pool {
        &self.core().pool
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.front.core
    }
}

impl fmt::Debug for LoopPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (under_way, held_back) = self.under_way();
        let mut out = f.debug_struct("LoopPool");
        out.field("under_way", &under_way).field("held_back", &held_back).finish_non_exhaustive()
    }
}

/// What the clones of a `LoopPool` share. Its end means that no more jobs are given.
struct Front {
    core: Rc<Core>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.core.has_front.set(false);
        self.core.close_if_over();
    }
}
