//! A job: what is to be run, and what the pool has to know of it. One allocation, from submitting to completion.

use std::any::Any;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::port::Port;
use super::{Class, JobContext, Outcome, Priority, Ticket};

/// What a worker runs. Closures come in through [`Job::new`]; a type of one's own avoids a result slot beside it.
///
/// The value goes to the worker and comes back in the [`Completed`](super::Completed), so that it is made and dropped
/// on the submitter's side, and may hold the result in place.
///
/// ```
/// use std::any::Any;
/// use fs_pool::pool::{Class, Job, JobContext, Pool, Work};
///
/// struct Sum { input: Vec<u64>, sum: u64 }
///
/// impl Work for Sum {
///     fn run(&mut self, _: &JobContext<'_>) {
///         self.sum = self.input.iter().sum();
///     }
///     fn output(&mut self) -> Option<&mut dyn Any> {
///         Some(self)
///     }
/// }
///
/// let pool = Pool::builder().build()?;
/// let mut submitter = pool.submitter(|| {});
/// submitter.submit(Job::from_work(Class::CPU, Sum { input: vec![1, 2, 3], sum: 0 }))?;
/// let mut done = submitter.wait()?;
/// let sum = done[0].output().and_then(|it| it.downcast_mut::<Sum>()).map(|it| it.sum);
/// assert_eq!(sum, Some(6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Work: Send + 'static {
    /// Does the work. Called at most once, on a worker; not at all if the job is cancelled before it starts.
    fn run(&mut self, cx: &JobContext<'_>);

    /// Called once, instead of [`run`](Self::run), when the job is cancelled before it starts: lets go of what only running
    /// needs. On the thread that cancels, with no lock held; a panic in it is ignored. Does nothing by default.
    ///
    /// The value itself comes back in the completion, which may be taken late.
    fn cancelled(&mut self) {}

    /// Where the result is, for who knows its type.
    fn output(&mut self) -> Option<&mut dyn Any> {
        None
    }
}

/// A closure to run, with its class, priority and token. Given to a [`Submitter`](super::Submitter).
pub struct Job {
    // One box holds the header and the work, so that queues move two words and the whole is freed by the thread that
    // made it.
    cell: Box<Cell<dyn Work>>,
}

struct Cell<W: ?Sized> {
    header: Header,
    work: W,
}

pub(crate) struct Header {
    /// The place in the order of submission; 0 until the job is accepted.
    pub(crate) seq: u64,
    pub(crate) token: u64,
    pub(crate) class: Class,
    pub(crate) priority: Priority,
    pub(crate) pool: u32,
    pub(crate) site: &'static Location<'static>,
    /// When it was queued, in ns of the pool's clock.
    pub(crate) queued_ns: u64,
    pub(crate) wait_ns: u64,
    pub(crate) run_ns: u64,
    pub(crate) outcome: Option<Outcome>,
    /// Where its completion goes.
    pub(crate) port: Option<Arc<Port>>,
}

impl Job {
    /// A job of `class` that runs `run` and keeps what it returns for [`Completed::take`](super::Completed::take).
    ///
    /// The calling line is kept and shown among the slowest jobs.
    #[track_caller]
    pub fn new<T, F>(class: Class, run: F) -> Self
    where
        F: FnOnce(&JobContext<'_>) -> T + Send + 'static,
        T: Send + 'static,
    {
        Self::from_work(class, Closure::Ready(run))
    }

    /// A job of `class` that runs `work`.
    #[track_caller]
    pub fn from_work(class: Class, work: impl Work) -> Self {
        // The memory first, so that all is written where it stays: to copy what was just written field by field would make
        // the processor wait.
        let cell = Box::new_uninit();
        let header = Header {
            seq: 0,
            token: 0,
            class,
            priority: Priority::Normal,
            pool: 0,
            site: Location::caller(),
            queued_ns: 0,
            wait_ns: 0,
            run_ns: 0,
            outcome: None,
            port: None,
        };
        let cell = Box::write(cell, Cell { header, work });
        Self { cell }
    }

    /// Sets the priority inside the class.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.cell.header.priority = priority;
        self
    }

    /// Sets a number that comes back with the completion; a loop keeps the key of its request in it. The default is 0.
    pub fn token(mut self, token: u64) -> Self {
        self.cell.header.token = token;
        self
    }

    /// Names another line as the one that made the job. For libraries whose callers want to see their own lines.
    pub fn site(mut self, site: &'static Location<'static>) -> Self {
        self.cell.header.site = site;
        self
    }

    /// The class it was made for.
    pub fn class(&self) -> Class {
        self.cell.header.class
    }

    pub(crate) fn header(&self) -> &Header {
        &self.cell.header
    }

    pub(crate) fn header_mut(&mut self) -> &mut Header {
        &mut self.cell.header
    }

    pub(crate) fn ticket(&self) -> Ticket {
        let Header { seq, class, priority, pool, .. } = self.cell.header;
        Ticket { seq, class, priority, pool }
    }

    pub(crate) fn run(&mut self, cx: &JobContext<'_>) {
        self.cell.work.run(cx);
    }

    pub(crate) fn cancelled(&mut self) {
        self.cell.work.cancelled();
    }

    pub(crate) fn output(&mut self) -> Option<&mut dyn Any> {
        self.cell.work.output()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { seq, class, token, site, .. } = &self.cell.header;
        let mut out = f.debug_struct("Job");
        out.field("seq", seq).field("class", class).field("token", token).field("site", site).finish()
    }
}

/// A closure and, in the same place later, its result.
enum Closure<F, T> {
    Ready(F),
    Over(Option<T>),
}

impl<F, T> Work for Closure<F, T>
where
    F: FnOnce(&JobContext<'_>) -> T + Send + 'static,
    T: Send + 'static,
{
    fn run(&mut self, cx: &JobContext<'_>) {
        if let Self::Ready(run) = std::mem::replace(self, Self::Over(None)) {
            *self = Self::Over(Some(run(cx)));
        }
    }

    /// Drops the closure: it may own descriptors and much memory, and its completion may be taken late.
    fn cancelled(&mut self) {
        *self = Self::Over(None);
    }

    fn output(&mut self) -> Option<&mut dyn Any> {
        match self {
            Self::Ready(_) => None,
            Self::Over(result) => Some(result),
        }
    }
}
