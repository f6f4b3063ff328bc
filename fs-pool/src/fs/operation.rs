//! An operation under way: a chain of one or more jobs, and whoever waits for its end.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use phaseloop::{LoopHandle, TimerId};

use super::FsError;
use super::batch::{Gathered, Wanted};
use super::error::At;
use super::ring::{Ring, RingId, RingJob};
use crate::pool::{Class, JobContext};
use crate::request::{JobId, LoopPool, RequestError};

/// A file operation that was started: await it, or say with [`on_done`](Self::on_done) what is to be called.
///
/// # Cancel safety
/// Dropping it gives the operation up: a job that has not started never runs, one that runs ends unheard, and no further
/// one follows. What was done so far stays done: a file may be half written. One that is awaited by nobody goes on while
/// it is kept: it is started by the call that gave it.
#[must_use = "dropping it gives the operation up: await it, or call `on_done`"]
pub struct Operation<T> {
    chain: Rc<Chain<T>>,
    /// The callback has taken over: dropping this means nothing.
    is_kept: bool,
}

/// Where operations go: to the pool, each job by itself or the first jobs of several together, or to a ring.
#[derive(Clone)]
pub(super) struct Trips {
    pub(super) pool: LoopPool,
    /// What does the calls that it can, if there is one.
    pub(super) ring: Option<Ring>,
    pub(super) gathered: Option<Rc<Gathered>>,
}

impl Trips {
    pub(super) fn single(pool: &LoopPool) -> Self {
        Self { pool: pool.clone(), ring: None, gathered: None }
    }

    /// The ring, where calls go one by one.
    pub(super) fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref().filter(|_| self.gathered.is_none())
    }
}

/// What the jobs of one operation share: who waits, and what to name in an error.
pub(super) struct Chain<T> {
    pool: LoopPool,
    ring: Option<Ring>,
    subject: Subject,
    under_way: Cell<UnderWay>,
    is_referenced: Cell<bool>,
    /// The line that started it, for the pool's measurements.
    site: &'static Location<'static>,
    /// Where the first job is to go, if not to the pool.
    gathered: Cell<Option<Rc<Gathered>>>,
    end: RefCell<End<T>>,
}

/// What an operation waits for.
#[derive(Default)]
enum UnderWay {
    #[default]
    Nothing,
    Job(JobId),
    /// A job of the ring.
    Ring(RingId),
    /// A job that is done together with others.
    Gathered(Wanted),
    /// The next attempt.
    Timer(TimerId),
}

/// What an error names.
pub(super) struct Subject {
    pub(super) operation: &'static str,
    pub(super) path: Arc<Path>,
    pub(super) to: Option<PathBuf>,
}

enum End<T> {
    Awaited(Option<Waker>),
    Call(OnDone<T>),
    Ready(Result<T, FsError>),
    Taken,
}

type OnDone<T> = Box<dyn FnOnce(&LoopHandle, Result<T, FsError>)>;

impl<T: 'static> Operation<T> {
    /// Starts an operation: `first` submits its first job.
    #[track_caller]
    pub(super) fn start(trips: &Trips, subject: Subject, first: impl FnOnce(&Rc<Chain<T>>)) -> Self {
        let chain = Rc::new(Chain {
            pool: trips.pool.clone(),
            ring: trips.ring.clone(),
            subject,
            under_way: Cell::default(),
            is_referenced: Cell::new(true),
            site: Location::caller(),
            gathered: Cell::new(trips.gathered.clone()),
            end: RefCell::new(End::Awaited(None)),
        });
        first(&chain);
        Self { chain, is_kept: false }
    }

    /// Starts an operation of a single job.
    #[track_caller]
    pub(super) fn single(
        trips: &Trips,
        subject: Subject,
        job: impl FnOnce(&JobContext<'_>) -> io::Result<T> + Send + 'static,
    ) -> Self
    where
        T: Send,
    {
        Self::start(trips, subject, |chain| chain.step(job, |chain, lp, value| chain.finish(lp, Ok(value))))
    }

    /// Starts an operation of a single job of the ring.
    #[track_caller]
    pub(super) fn by_ring(trips: &Trips, subject: Subject, job: RingJob<T>) -> Self {
        Self::start(trips, subject, |chain| {
            chain.ring_step(job, |chain, lp, value| chain.finish(lp, Ok(value)));
        })
    }

    /// Has `on_done` called with the result, on the loop's thread: never inside this call, and not at all if the loop is
    /// dropped before.
    pub fn on_done(mut self, on_done: impl FnOnce(&LoopHandle, Result<T, FsError>) + 'static) {
        self.is_kept = true;
        let lp = self.chain.pool.lp();
        let on_done = lp.bind_context_once(on_done);
        let end = self.chain.end.replace(End::Taken);
        match end {
            End::Ready(result) => lp.defer(move |lp| on_done(lp, result)),
            _ => drop(self.chain.end.replace(End::Call(Box::new(on_done)))),
        }
    }

    /// True once the result is there.
    pub fn is_ready(&self) -> bool {
        matches!(*self.chain.end.borrow(), End::Ready(_))
    }

    /// Lets the operation keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.chain.set_referenced(true);
    }

    /// Lets the loop end while the operation is under way. One of a batch keeps the loop alive all the same, as long as
    /// the batch does.
    pub fn unref(&self) {
        self.chain.set_referenced(false);
    }

    /// Whether it keeps the loop alive until it has ended.
    pub fn is_referenced(&self) -> bool {
        self.chain.is_referenced.get()
    }
}

impl<T> Chain<T> {
    fn with_ring<R>(&self, f: impl FnOnce(&Ring) -> R) -> Option<R> {
        self.ring.as_ref().map(f)
    }
}

impl<T: 'static> Chain<T> {
    /// Submits the next job of the operation. What it returns goes to `then`, in its completion; an error ends the
    /// operation.
    pub(super) fn step<R: Send + 'static>(
        self: &Rc<Self>,
        job: impl FnOnce(&JobContext<'_>) -> io::Result<R> + Send + 'static,
        then: impl FnOnce(&Rc<Self>, &LoopHandle, R) + 'static,
    ) {
        let heard = Heard(Rc::clone(self));
        let ended = move |lp: &LoopHandle, result: io::Result<R>| match result {
            Ok(value) => then(&heard.0, lp, value),
            Err(error) => heard.0.fail(lp, error),
        };
        let submitted = match self.gathered.take().filter(|gathered| gathered.is_open()) {
            Some(gathered) => gathered.add(job, ended).map(UnderWay::Gathered),
            None => self.submit(job, ended).map(UnderWay::Job),
        };
        match submitted {
            Ok(under_way) => drop(self.under_way.replace(under_way)),
            Err(error) => self.fail(&self.pool.lp().clone(), error),
        }
    }

    /// As [`step`](Self::step), by the ring, which there must be.
    pub(super) fn ring_step<R: 'static>(
        self: &Rc<Self>,
        job: RingJob<R>,
        then: impl FnOnce(&Rc<Self>, &LoopHandle, R) + 'static,
    ) {
        let ring = self.ring.as_ref().expect("who has a job of a ring has a ring");
        let heard = Heard(Rc::clone(self));
        let started = ring.start(job, self.is_referenced.get(), move |lp, result| match result {
            Ok(value) => then(&heard.0, lp, value),
            Err(error) => heard.0.fail(lp, error),
        });
        match started {
            Ok(id) => drop(self.under_way.replace(UnderWay::Ring(id))),
            Err(error) => self.fail(&self.pool.lp().clone(), error),
        }
    }

    fn submit<R: Send + 'static>(
        &self,
        job: impl FnOnce(&JobContext<'_>) -> io::Result<R> + Send + 'static,
        ended: impl FnOnce(&LoopHandle, io::Result<R>) + 'static,
    ) -> io::Result<JobId> {
        let mut request = self.pool.request(Class::FS).site(self.site);
        if !self.is_referenced.get() {
            request = request.unref();
        }
        let submitted = request.run(job, move |lp, done| {
            ended(lp, done.map_err(io::Error::from).and_then(|result| result));
        });
        submitted.map_err(|refused| RequestError::from(refused).into())
    }

    /// Goes on with `then` after a delay, in the timers phase. No worker waits meanwhile.
    pub(super) fn wait(
        self: &Rc<Self>,
        delay: Duration,
        then: impl FnOnce(&Rc<Self>, &LoopHandle) + 'static,
    ) {
        let heard = Heard(Rc::clone(self));
        let timer = self.pool.lp().timer(delay, move |lp| then(&heard.0, lp));
        if !self.is_referenced.get() {
            self.pool.lp().unref_timer(timer);
        }
        self.under_way.set(UnderWay::Timer(timer));
    }

    fn set_referenced(&self, is_referenced: bool) {
        self.is_referenced.set(is_referenced);
        let under_way = self.under_way.take();
        // False is for what has ended: then there is nothing to let go of.
        let _ = match (&under_way, is_referenced) {
            (UnderWay::Job(id), true) => self.pool.ref_(*id),
            (UnderWay::Job(id), false) => self.pool.unref(*id),
            (UnderWay::Ring(id), _) => {
                self.with_ring(|ring| ring.set_referenced(*id, is_referenced)).unwrap_or(false)
            }
            (UnderWay::Timer(id), true) => self.pool.lp().ref_timer(*id),
            (UnderWay::Timer(id), false) => self.pool.lp().unref_timer(*id),
            (UnderWay::Gathered(_) | UnderWay::Nothing, _) => false,
        };
        self.under_way.set(under_way);
    }

    pub(super) fn fail(&self, lp: &LoopHandle, source: io::Error) {
        self.finish(lp, Err(self.error(source)));
    }

    fn error(&self, source: io::Error) -> FsError {
        let Subject { operation, path, to } = &self.subject;
        match source.downcast::<At>() {
            Ok(At { path, to, source }) => FsError { operation, path, to, source },
            Err(source) => FsError { operation, path: path.to_path_buf(), to: to.clone(), source },
        }
    }

    /// Ends the operation. Called in a completion; or inside the starting call, when nobody can have a callback yet.
    pub(super) fn finish(&self, lp: &LoopHandle, result: Result<T, FsError>) {
        self.under_way.take();
        let end = self.end.replace(End::Taken);
        match end {
            End::Call(on_done) => on_done(lp, result),
            End::Awaited(waker) => {
                self.end.replace(End::Ready(result));
                waker.into_iter().for_each(Waker::wake);
            }
            End::Ready(_) | End::Taken => {}
        }
    }

    pub(super) fn pool(&self) -> &LoopPool {
        &self.pool
    }

    /// Where the operations of a file that it has opened go.
    pub(super) fn trips(&self) -> Trips {
        Trips { pool: self.pool.clone(), ring: self.ring.clone(), gathered: None }
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.subject.path
    }
}

/// A step's hold on its chain. If the loop goes, it is dropped uncalled, and whoever awaits the operation is told.
struct Heard<T: 'static>(Rc<Chain<T>>);

impl<T: 'static> Drop for Heard<T> {
    fn drop(&mut self) {
        let chain = &self.0;
        // Not so where the chain goes on: it has an end, or the next job is under way.
        if chain.pool.lp().is_closed() && !matches!(chain.under_way.take(), UnderWay::Nothing) {
            // A callback is dropped here, uncalled.
            if let End::Awaited(waker) = chain.end.replace(End::Taken) {
                chain.end.replace(End::Ready(Err(chain.error(RequestError::Closed.into()))));
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }
}

impl<T: 'static> Future for Operation<T> {
    type Output = Result<T, FsError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut end = self.chain.end.borrow_mut();
        match &mut *end {
            End::Awaited(known) => {
                let old = match known {
                    Some(known) if known.will_wake(cx.waker()) => None,
                    _ => known.replace(cx.waker().clone()),
                };
                drop(end);
                drop(old);
                Poll::Pending
            }
            End::Ready(_) => match std::mem::replace(&mut *end, End::Taken) {
                End::Ready(result) => Poll::Ready(result),
                _ => unreachable!("it was ready a line above"),
            },
            End::Call(_) | End::Taken => panic!("an operation that has ended was polled again"),
        }
    }
}

impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let chain = &self.chain;
        match chain.under_way.take() {
            UnderWay::Job(id) => chain.pool.abandon(id),
            UnderWay::Ring(id) => _ = chain.with_ring(|ring| ring.abandon(id)),
            UnderWay::Gathered(wanted) => wanted.give_up(),
            UnderWay::Timer(id) => _ = chain.pool.lp().stop_timer(id),
            UnderWay::Nothing => {}
        }
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject { operation, path, .. } = &self.chain.subject;
        f.debug_struct("Operation").field("operation", operation).field("path", path).finish_non_exhaustive()
    }
}
