//! Answers that clients owe.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use phaseloop::LoopHandle;
use phaseloop::channel::{Receiver, Sender, oneshot};

use super::args::Args;

/// Why a client did not acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// The time was up.
    TimedOut,
    /// It disconnected.
    Disconnected,
    /// More acknowledgements than [`Options::acks_max`](super::Options::acks_max) are awaited from it.
    TooMany,
    /// Another server did not say whom it has asked, so answers are missing.
    ServerMissing,
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the client did not acknowledge in time",
            Self::Disconnected => "the client disconnected before it acknowledged",
            Self::ServerMissing => "another server did not say whom it has asked",
            Self::TooMany => "too many acknowledgements of the client are awaited",
        })
    }
}

impl std::error::Error for AckError {}

/// The acknowledgements that one socket owes.
#[derive(Default)]
pub(crate) struct Owed {
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, Sender<Args>>>,
}

impl Owed {
    /// A number to send, and where the answer comes; `None` if too many are owed.
    pub(crate) fn expect(&self, max: usize) -> Option<(u64, Receiver<Args>)> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= max {
            return None;
        }
        let id = self.next.replace(self.next.get() + 1);
        let (sender, receiver) = oneshot();
        waiting.insert(id, sender);
        Some((id, receiver))
    }

    /// The client answered. An answer that nobody waits for, or that comes twice, is nobody's.
    pub(crate) fn answered(&self, id: u64, args: Args) {
        let sender = self.waiting.borrow_mut().remove(&id);
        if let Some(sender) = sender {
            // Whoever waited may have stopped.
            let _ = sender.send(args);
        }
    }

    pub(crate) fn forget(&self, id: u64) {
        let sender = self.waiting.borrow_mut().remove(&id);
        drop(sender);
    }

    /// The client is gone: whoever waits learns of it.
    pub(crate) fn clear(&self) {
        let waiting = self.waiting.take();
        drop(waiting);
    }
}

/// Waits for an answer, no longer than `limit` from now.
pub(crate) fn answer(
    lp: &LoopHandle,
    receiver: Receiver<Args>,
    limit: Duration,
) -> impl Future<Output = Result<Args, AckError>> + use<> {
    let answer = lp.timeout(limit, receiver);
    async move {
        let answer = answer.await.map_err(|_| AckError::TimedOut)?;
        answer.map_err(|_| AckError::Disconnected)
    }
}
