//! An operation under way: a chain of one or more jobs, and whoever waits for its end.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use phaseloop::LoopHandle;

use super::FsError;
use crate::pool::{Class, JobContext};
use crate::request::{JobId, LoopPool, RequestError};

/// A file operation that was started: await it, or say with [`on_done`](Self::on_done) what is to be called.
///
/// # Cancel safety
/// Dropping it gives the operation up: a job that has not started never runs, one that runs ends unheard, and no further
/// one follows. What was done so far stays done: a file may be half written.
#[must_use = "dropping it gives the operation up: await it, or call `on_done`"]
pub struct Operation<T> {
    chain: Rc<Chain<T>>,
    /// The callback has taken over: dropping this means nothing.
    is_kept: bool,
}

/// What the jobs of one operation share: who waits, and what to name in an error.
pub(super) struct Chain<T> {
    pool: LoopPool,
    subject: Subject,
    /// The job under way.
    job: Cell<Option<JobId>>,
    end: RefCell<End<T>>,
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
    pub(super) fn start(pool: &LoopPool, subject: Subject, first: impl FnOnce(&Rc<Chain<T>>)) -> Self {
        let (job, end) = (Cell::new(None), RefCell::new(End::Awaited(None)));
        let chain = Rc::new(Chain { pool: pool.clone(), subject, job, end });
        first(&chain);
        Self { chain, is_kept: false }
    }

    /// Starts an operation of a single job.
    pub(super) fn single(
        pool: &LoopPool,
        subject: Subject,
        job: impl FnOnce(&JobContext<'_>) -> io::Result<T> + Send + 'static,
    ) -> Self
    where
        T: Send,
    {
        Self::start(pool, subject, |chain| chain.step(job, |chain, lp, value| chain.finish(lp, Ok(value))))
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
        let submitted = self.pool.run(Class::FS, job, move |lp, done| {
            let chain = &heard.0;
            match done.map_err(io::Error::from).and_then(|result| result) {
                Ok(value) => then(chain, lp, value),
                Err(error) => chain.fail(lp, error),
            }
        });
        match submitted {
            Ok(id) => self.job.set(Some(id)),
            Err(refused) => {
                let error = io::Error::from(RequestError::from(refused));
                self.fail(&self.pool.lp().clone(), error);
            }
        }
    }

    pub(super) fn fail(&self, lp: &LoopHandle, source: io::Error) {
        self.finish(lp, Err(self.error(source)));
    }

    fn error(&self, source: io::Error) -> FsError {
        let Subject { operation, path, to } = &self.subject;
        FsError { operation, path: path.to_path_buf(), to: to.clone(), source }
    }

    /// Ends the operation. Called in a completion; or inside the starting call, when nobody can have a callback yet.
    pub(super) fn finish(&self, lp: &LoopHandle, result: Result<T, FsError>) {
        self.job.set(None);
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
        if chain.pool.lp().is_closed() && chain.job.take().is_some() {
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
        if !self.is_kept
            && let Some(id) = self.chain.job.take()
        {
            self.chain.pool.abandon(id);
        }
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject { operation, path, .. } = &self.chain.subject;
        f.debug_struct("Operation").field("operation", operation).field("path", path).finish_non_exhaustive()
    }
}
