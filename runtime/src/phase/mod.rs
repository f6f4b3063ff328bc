//! The phases of a turn, one module each and all of one shape: `run` takes aside what is queued and runs it.

use std::io;

use crate::schedule::{Drain, Phase};
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

impl Phase {
    /// Runs the phase once. Only poll can fail, and only poll asks for the mode.
    pub(crate) fn run(self, lp: &LoopHandle, mode: Mode) -> io::Result<()> {
        match self {
            Self::Timers => timers::run(lp),
            Self::Pending => pending::run(lp),
            Self::Idle => idle::run(lp),
            Self::Prepare => prepare::run(lp),
            Self::Poll => poll::run(lp, mode)?,
            Self::Check => check::run(lp),
            Self::Close => close::run(lp),
        }
        if lp.state.schedule.drain == Drain::EachPhase {
            lp.checkpoint();
        }
        Ok(())
    }
}
