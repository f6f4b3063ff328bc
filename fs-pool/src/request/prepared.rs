//! A job whose work is known and which was not given to the pool yet.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use phaseloop::LoopHandle;

use super::{JobId, JobRequest, LoopPool, PoolFuture, RequestError};
use crate::pool::{Class, JobContext, Priority, SubmitError};

/// A piece of work for the pool: set it up, then await it, [`spawn`](Self::spawn) it, or [`run`](Self::run) it with a
/// callback. Until then nothing happens.
///
/// What libraries give to their users where the work is theirs, and when and how it runs the user's.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// use fs_pool::pool::{Class, JobContext, Pool};
/// use fs_pool::request::{LoopPool, PreparedJob, RequestError};
/// # use phaseloop::EventLoop;
///
/// fn answer(pool: &LoopPool) -> PreparedJob<u32, RequestError> {
///     PreparedJob::new(pool, Class::CPU, |_: &JobContext<'_>| Ok(42))
/// }
///
/// let (lp, pool) = (EventLoop::new()?, Pool::builder().build()?);
/// let pool = LoopPool::new(&lp, &pool);
/// let number = lp.block_on(async move { answer(&pool).timeout(Duration::from_secs(60)).await })??;
/// assert_eq!(number, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing happens until it is awaited, spawned or run"]
pub struct PreparedJob<T, E> {
    pool: LoopPool,
    class: Class,
    priority: Priority,
    timeout: Option<Duration>,
    referenced: bool,
    site: &'static Location<'static>,
    start: Box<dyn FnOnce() -> Start<T, E>>,
}

/// How a [`PreparedJob`] begins.
pub enum Start<T, E> {
    /// It was so small that it is done already.
    Done(Result<T, E>),
    /// The pool is to do it, or the rest of it.
    Submit(BoxedWork<T, E>),
}

/// What is done on the pool.
pub type BoxedWork<T, E> = Box<dyn FnOnce(&JobContext<'_>) -> Result<T, E> + Send>;

impl<T: Send + 'static, E: From<RequestError> + Send + 'static> PreparedJob<T, E> {
    /// Work that the pool does.
    #[track_caller]
    pub fn new(
        pool: &LoopPool,
        class: Class,
        work: impl FnOnce(&JobContext<'_>) -> Result<T, E> + Send + 'static,
    ) -> Self {
        Self::starting(pool, class, move || Start::Submit(Box::new(work)))
    }

    /// Work that decides when it is started whether it needs the pool. `start` runs on the loop's thread.
    #[track_caller]
    pub fn starting(pool: &LoopPool, class: Class, start: impl FnOnce() -> Start<T, E> + 'static) -> Self {
        Self {
            pool: pool.clone(),
            class,
            priority: Priority::Normal,
            timeout: None,
            referenced: true,
            site: Location::caller(),
            start: Box::new(start),
        }
    }

    /// Puts it into another class than its usual one.
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Sets the priority inside the class.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Gives it up after this time, counted from its start. As [`JobRequest::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Lets the loop end while it is under way.
    pub fn unref(mut self) -> Self {
        self.referenced = false;
        self
    }

    /// Starts it; the future gets the result.
    ///
    /// # Panics
    /// If the class is not one of this pool's.
    ///
    /// # Cancel safety
    /// Dropping the future gives the work up, as with [`PoolFuture`].
    pub fn spawn(self) -> PreparedFuture<T, E> {
        let (request, start) = self.into_request();
        let state = match start() {
            Start::Done(result) => State::Done(Some(result)),
            Start::Submit(work) => State::Job(request.borrow().spawn(work)),
        };
        PreparedFuture { state }
    }

    /// Starts it; `on_done` gets the result, never inside this call.
    ///
    /// Returns the job's name, with which it can be cancelled; none if the work was done at once.
    ///
    /// # Ordering
    /// `on_done` runs in the poll phase, or, if the work was done at once, where deferred callbacks run
    /// ([`LoopHandle::defer`]).
    ///
    /// # Errors
    /// As [`LoopPool::run`]: `on_done` is then dropped and will not run.
    ///
    /// # Panics
    /// If the class is not one of this pool's.
    pub fn run(
        self,
        on_done: impl FnOnce(&LoopHandle, Result<T, E>) + 'static,
    ) -> Result<Option<JobId>, SubmitError> {
        let (request, start) = self.into_request();
        match start() {
            Start::Done(result) => {
                let lp = request.pool.lp();
                let on_done = lp.bind_context_once(on_done);
                lp.defer(move |lp| on_done(lp, result));
                Ok(None)
            }
            Start::Submit(work) => {
                let on_done = move |lp: &LoopHandle, result: Result<Result<T, E>, RequestError>| {
                    on_done(lp, result.unwrap_or_else(|error| Err(error.into())));
                };
                request.borrow().run(work, on_done).map(Some)
            }
        }
    }

    fn into_request(self) -> (Settings, Box<dyn FnOnce() -> Start<T, E>>) {
        let Self { pool, class, priority, timeout, referenced, site, start } = self;
        (Settings { pool, class, priority, timeout, referenced, site }, start)
    }
}

/// All of a prepared job but its work.
struct Settings {
    pool: LoopPool,
    class: Class,
    priority: Priority,
    timeout: Option<Duration>,
    referenced: bool,
    site: &'static Location<'static>,
}

impl Settings {
    fn borrow(&self) -> JobRequest<'_> {
        let mut request = self.pool.request(self.class).priority(self.priority).site(self.site);
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if self.referenced { request } else { request.unref() }
    }
}

impl<T: Send + 'static, E: From<RequestError> + Send + 'static> IntoFuture for PreparedJob<T, E> {
    type Output = Result<T, E>;
    type IntoFuture = PreparedFuture<T, E>;

    fn into_future(self) -> Self::IntoFuture {
        self.spawn()
    }
}

impl<T, E> fmt::Debug for PreparedJob<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("PreparedJob");
        out.field("class", &self.class).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl<T, E> fmt::Debug for Start<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done(_) => "Done",
            Self::Submit(_) => "Submit",
        })
    }
}

/// Awaits what a started [`PreparedJob`] comes to.
///
/// # Cancel safety
/// As [`PoolFuture`]: dropping it gives the job up.
#[must_use = "dropping it gives the work up"]
pub struct PreparedFuture<T, E> {
    state: State<T, E>,
}

enum State<T, E> {
    Done(Option<Result<T, E>>),
    Job(PoolFuture<Result<T, E>>),
}

// Nothing in it is ever pinned: a result is taken out, and a `PoolFuture` can be moved.
impl<T, E> Unpin for PreparedFuture<T, E> {}

impl<T: 'static, E: From<RequestError> + 'static> Future for PreparedFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Done(result) => {
                Poll::Ready(result.take().expect("a future that has ended is not polled again"))
            }
            State::Job(job) => {
                Pin::new(job).poll(cx).map(|ended| ended.unwrap_or_else(|error| Err(error.into())))
            }
        }
    }
}

impl<T, E> fmt::Debug for PreparedFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedFuture").finish_non_exhaustive()
    }
}
