//! The phases of a turn, one module each and all of one shape: `run` takes aside what is queued and runs it.

use std::io;

use crate::schedule::{Drain, Phase, Schedule};
use crate::state::LoopHandle;
use crate::state::mode::Mode;

mod check;
mod close;
mod idle;
mod pending;
mod poll;
mod prepare;
mod timers;

pub(crate) use poll::{Wait, poll_wait};

/// True if no phase but check can have anything to run, before some callback or another thread changes that.
pub(crate) fn only_immediates_are_due(lp: &LoopHandle) -> bool {
    let state = &lp.state;
    let watched =
        state.idle.active() + state.prepare.active() + state.check.active() + state.sources.registered();
    let only = watched == 0
        && state.has_drained() // what a panic left may be drained at the end of any phase
        && !lp.has_parker() // a host gets its slice in poll
        && state.immediates.referenced() > 0 // else poll waits
        && state.pending.is_empty()
        && state.timers.borrow().is_empty()
        && state.closing.borrow().is_empty()
        && state.close_batch.borrow().is_empty()
        && state.arrived.is_empty()
        && !state.inbox.has_messages();
    if only {
        state.expire_now();
    }
    only
}

impl Phase {
    /// Runs the phase once. Only poll can fail, and only poll asks for the mode.
    pub(crate) fn run(self, lp: &LoopHandle, mode: Mode) -> io::Result<()> {
        lp.state.phase.set(Some(self));
        match self {
            Self::Timers => timers::run(lp),
            Self::Pending => pending::run(lp),
            Self::Idle => idle::run(lp),
            Self::Prepare => prepare::run(lp),
            Self::Poll => poll::run(lp, mode)?,
            Self::Check => check::run(lp),
            Self::Close => close::run(lp),
        }
        if self.ends_with_drain(&lp.state.schedule) {
            lp.checkpoint();
        }
        Ok(())
    }

    /// True if the queues are not drained within the phase, or not by all that runs in it.
    fn ends_with_drain(self, schedule: &Schedule) -> bool {
        schedule.drain != Drain::EachCallback
            || (self == Self::Timers && schedule.drain_timers == Drain::EachPhase)
    }
}
