//! The future of a job's result.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::RequestError;
use super::core::{Core, JobId};
use crate::pool::{Cancel, SubmitError};

/// Awaits what a job returns. The job was given to the pool when this was made.
///
/// # Cancel safety
/// Dropping it gives the job up: one that has not started never runs, and its closure is dropped at once; one that runs is told by its context, and its
/// result is dropped where it ends; one that is over is dropped by the loop, in its next turn. To let a job run on, use [`LoopPool::run`](super::LoopPool::run).
#[must_use = "dropping it gives the job up"]
pub struct PoolFuture<T> {
    core: Rc<Core>,
    state: State,
    _result: PhantomData<fn() -> T>,
}

enum State {
    UnderWay(JobId),
    Refused(RequestError),
    Over,
}

impl<T: 'static> PoolFuture<T> {
    pub(super) fn new(core: &Rc<Core>, submitted: Result<JobId, SubmitError>) -> Self {
        let state = match submitted {
            Ok(id) => State::UnderWay(id),
            Err(error) => State::Refused(error.into()),
        };
        Self { core: Rc::clone(core), state, _result: PhantomData }
    }

    /// Cancels the job. The future then ends with [`RequestError::Cancelled`] if it had not started.
    pub fn cancel(&self) -> Cancel {
        match &self.state {
            State::UnderWay(id) => self.core.cancel(*id),
            State::Refused(_) | State::Over => Cancel::Done,
        }
    }
}

impl<T: 'static> Future for PoolFuture<T> {
    type Output = Result<T, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::UnderWay(id) => match self.core.poll(id, cx.waker()) {
                Poll::Ready(ended) => {
                    Poll::Ready(ended.ok_or(RequestError::Closed).and_then(|it| it.into_result()))
                }
                Poll::Pending => {
                    self.state = State::UnderWay(id);
                    Poll::Pending
                }
            },
            State::Refused(error) => Poll::Ready(Err(error)),
            State::Over => panic!("a future that has ended was polled again"),
        }
    }
}

impl<T> Drop for PoolFuture<T> {
    fn drop(&mut self) {
        if let State::UnderWay(id) = self.state {
            self.core.abandon(id);
        }
    }
}

impl<T> fmt::Debug for PoolFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_under_way = matches!(self.state, State::UnderWay(_));
        f.debug_struct("PoolFuture").field("under_way", &is_under_way).finish_non_exhaustive()
    }
}
