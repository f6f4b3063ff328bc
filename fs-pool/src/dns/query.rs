//! A lookup under way, and whoever waits for its end.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use phaseloop::LoopHandle;

use super::{DnsError, DnsErrorKind};
use crate::pool::{Cancel, Class, JobContext};
use crate::request::{JobId, LoopPool, RequestError};

/// A lookup that was started: await it, or say with [`on_done`](Self::on_done) what is to be called.
///
/// # Cancel safety
/// Dropping it gives the lookup up: one that has not started never runs, one that runs ends unheard.
#[must_use = "dropping it gives the lookup up: await it, or call `on_done`"]
pub struct Query<T> {
    shared: Rc<Shared<T>>,
    /// The callback has taken over: dropping this means nothing.
    is_kept: bool,
}

/// What was asked, and how.
pub(super) struct Asked {
    pub(super) pool: LoopPool,
    pub(super) operation: &'static str,
    pub(super) subject: String,
    pub(super) timeout: Option<Duration>,
    pub(super) site: &'static Location<'static>,
}

struct Shared<T> {
    asked: Asked,
    job: Cell<Option<JobId>>,
    end: RefCell<End<T>>,
}

enum End<T> {
    Awaited(Option<Waker>),
    Call(OnDone<T>),
    Ready(Result<T, DnsError>),
    Taken,
}

type OnDone<T> = Box<dyn FnOnce(&LoopHandle, Result<T, DnsError>)>;

impl<T: Send + 'static> Query<T> {
    /// A lookup whose end is known without asking.
    pub(super) fn known(asked: Asked, result: Result<T, DnsErrorKind>) -> Self {
        let result = result.map_err(|kind| asked.error(kind));
        let end = RefCell::new(End::Ready(result));
        Self { shared: Rc::new(Shared { asked, job: Cell::new(None), end }), is_kept: false }
    }

    pub(super) fn start(
        asked: Asked,
        job: impl FnOnce(&JobContext<'_>) -> Result<T, DnsErrorKind> + Send + 'static,
    ) -> Self {
        let (pool, site, timeout) = (asked.pool.clone(), asked.site, asked.timeout);
        let end = RefCell::new(End::Awaited(None));
        let shared = Rc::new(Shared { asked, job: Cell::new(None), end });
        let mut request = pool.request(Class::DNS).site(site);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let heard = Heard(Rc::clone(&shared));
        let submitted = request.run(job, move |lp, done| {
            heard.0.finish(lp, done.map_err(DnsErrorKind::from).and_then(|result| result));
        });
        match submitted {
            Ok(id) => shared.job.set(Some(id)),
            Err(refused) => shared.finish(pool.lp(), Err(RequestError::from(refused).into())),
        }
        Self { shared, is_kept: false }
    }

    /// Has `on_done` called with the result, on the loop's thread: never inside this call, and not at all if the loop is
    /// dropped before. Gives the job, for [`LoopPool::cancel`]; none where no job is under way.
    ///
    /// # Ordering
    /// What is known without asking is told as a tick, as Node does; the rest in the poll phase.
    pub fn on_done(
        mut self,
        on_done: impl FnOnce(&LoopHandle, Result<T, DnsError>) + 'static,
    ) -> Option<JobId> {
        self.is_kept = true;
        let lp = self.shared.asked.pool.lp();
        let on_done = lp.bind_context_once(on_done);
        match self.shared.end.replace(End::Taken) {
            End::Ready(result) => lp.next_tick(move |lp| on_done(lp, result)),
            _ => drop(self.shared.end.replace(End::Call(Box::new(on_done)))),
        }
        self.shared.job.get()
    }

    /// Cancels the lookup. If it had not started it ends as `Cancelled`, in the poll phase; one that runs can not be
    /// stopped, and ends as it ends.
    pub fn cancel(&self) -> Cancel {
        self.shared.job.get().map_or(Cancel::Done, |id| self.shared.asked.pool.cancel(id))
    }

    /// True once the result is there.
    pub fn is_ready(&self) -> bool {
        matches!(*self.shared.end.borrow(), End::Ready(_))
    }

    /// Lets the lookup keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.shared.job.get().map(|id| self.shared.asked.pool.ref_(id));
    }

    /// Lets the loop end while the lookup is under way.
    pub fn unref(&self) {
        self.shared.job.get().map(|id| self.shared.asked.pool.unref(id));
    }
}

impl Asked {
    fn error(&self, kind: DnsErrorKind) -> DnsError {
        DnsError { operation: self.operation, subject: self.subject.clone(), kind }
    }
}

impl<T> Shared<T> {
    fn finish(&self, lp: &LoopHandle, result: Result<T, DnsErrorKind>) {
        self.job.set(None);
        let result = result.map_err(|kind| self.asked.error(kind));
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
}

/// The job's hold on its query. If the loop goes, it is dropped uncalled, and whoever awaits the query is told.
struct Heard<T>(Rc<Shared<T>>);

impl<T> Drop for Heard<T> {
    fn drop(&mut self) {
        let shared = &self.0;
        if shared.asked.pool.lp().is_closed() && shared.job.take().is_some() {
            // A callback is dropped here, uncalled.
            if let End::Awaited(waker) = shared.end.replace(End::Taken) {
                let error = shared.asked.error(RequestError::Closed.into());
                shared.end.replace(End::Ready(Err(error)));
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }
}

impl<T> Future for Query<T> {
    type Output = Result<T, DnsError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let end = self.shared.end.replace(End::Taken);
        match end {
            End::Ready(result) => Poll::Ready(result),
            End::Awaited(old) => {
                self.shared.end.replace(End::Awaited(Some(cx.waker().clone())));
                drop(old); // while nothing is borrowed: it may be the last of a task
                Poll::Pending
            }
            End::Call(_) | End::Taken => panic!("a lookup that has ended was polled again"),
        }
    }
}

impl<T> Drop for Query<T> {
    fn drop(&mut self) {
        if !self.is_kept
            && let Some(id) = self.shared.job.take()
        {
            self.shared.asked.pool.abandon(id);
        }
    }
}

impl<T> fmt::Debug for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { operation, subject, .. } = &self.shared.asked;
        f.debug_struct("Query")
            .field("operation", operation)
            .field("subject", subject)
            .finish_non_exhaustive()
    }
}
