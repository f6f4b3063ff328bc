//! Trying an operation when its source is ready, and waiting when it is not.

use std::io;
use std::task::{Context, Poll};

use crate::driver::{Readiness, Token};
use crate::state::LoopHandle;
use crate::state::sources::{Direction, gone};

/// What an attempt says of the source beside its result.
pub(super) enum Attempt<R> {
    /// Done, and there may be more.
    Done(R),
    /// Done, and the source is exhausted: the next attempt would block. Saves the call that would only say so.
    Exhausted(R),
}

impl LoopHandle {
    /// Polls an operation on a source.
    ///
    /// Readiness is a hint: the attempt is made while it holds, and ends it when it would block.
    pub(super) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        token: Token,
        direction: Direction,
        mut attempt: impl FnMut() -> io::Result<Attempt<R>>,
    ) -> Poll<io::Result<R>> {
        let ready = direction.bit();
        loop {
            match self.state.sources.is_ready(token, direction) {
                Some(false) => {
                    self.state.sources.wait(token, direction, cx.waker(), self.turn());
                    return Poll::Pending;
                }
                // What is gone counts too: a task that goes on after every error must not keep the loop from the others.
                _ if !self.spend_budget() => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(true) => {}
                None => return Poll::Ready(Err(gone())),
            }
            match attempt() {
                Ok(Attempt::Done(result)) => return Poll::Ready(Ok(result)),
                Ok(Attempt::Exhausted(result)) => {
                    self.state.sources.exhaust(token, ready);
                    return Poll::Ready(Ok(result));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The closed bits too: were they right, the attempt would not have blocked.
                    self.state.sources.clear(token, direction.any());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Direction {
    fn bit(self) -> Readiness {
        match self {
            Self::Read => Readiness::READABLE,
            Self::Write => Readiness::WRITABLE,
        }
    }
}
