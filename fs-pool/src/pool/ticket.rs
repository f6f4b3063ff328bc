//! The name of an accepted job, and what cancelling or detaching it can answer.

use super::{Class, Priority};

/// Names one accepted job. Plain data: dropping it does nothing, and it may go to any thread.
///
/// Give it to [`Submitter::cancel`](super::Submitter::cancel) or [`Pool::cancel`](super::Pool::cancel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(crate) seq: u64,
    pub(crate) pool: u32,
    pub(crate) class: Class,
    pub(crate) priority: Priority,
}

impl Ticket {
    /// The job's class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The job's place in the order in which the pool accepted jobs, from 1.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// What became of a request to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a job that is busy or done was not cancelled"]
pub enum Cancel {
    /// It had not started and never will; its completion is delivered as cancelled.
    Cancelled,
    /// It is running. Its context now says that it is cancelled; what it returns is delivered as usual.
    /// Source: libuv, `uv_cancel`, which answers `UV_EBUSY`.
    Busy,
    /// It is over: its completion has been delivered or is about to be.
    Done,
}

/// What became of a request to give up waiting for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a job that was detached delivers no completion"]
pub enum Detach {
    /// It had not started and never will; its completion is delivered as cancelled.
    Cancelled,
    /// It is running and will end alone: its context says that it is cancelled, no completion is delivered, and the
    /// worker drops the result. Counted as detached.
    Detached,
    /// It is over: its completion has been delivered or is about to be.
    Done,
}

impl From<Detach> for Cancel {
    fn from(detach: Detach) -> Self {
        match detach {
            Detach::Cancelled => Self::Cancelled,
            Detach::Detached => Self::Busy,
            Detach::Done => Self::Done,
        }
    }
}
