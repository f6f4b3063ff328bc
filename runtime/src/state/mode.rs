//! What a run runs until.

use crate::time::clock::{NEVER, Nanos};

/// How [`LoopHandle::run`](crate::EventLoop::run) runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunMode {
    /// Turn until nothing keeps the loop alive or it is stopped.
    Default,
    /// One turn, which waits until something happens.
    Once,
    /// One turn, which does not wait.
    NoWait,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing keeps the loop alive.
    Finished,
    /// The run ended as its mode says, and the loop is alive: run it again.
    Alive,
    /// `stop` was called.
    Stopped,
}

/// A mode with its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    turns: Turns,
    may_wait: bool,
    deadline: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turns {
    One,
    Many,
}

impl Mode {
    pub(crate) fn until(deadline: Nanos) -> Self {
        Self { turns: Turns::Many, may_wait: true, deadline }
    }

    pub(crate) fn is_single_turn(self) -> bool {
        self.turns == Turns::One
    }

    pub(crate) fn may_wait(self) -> bool {
        self.may_wait
    }

    /// The instant at which the run ends at the latest.
    pub(crate) fn deadline(self) -> Nanos {
        self.deadline
    }
}

impl From<RunMode> for Mode {
    fn from(mode: RunMode) -> Self {
        let turns = if mode == RunMode::Default { Turns::Many } else { Turns::One };
        Self { turns, may_wait: mode != RunMode::NoWait, deadline: NEVER }
    }
}
