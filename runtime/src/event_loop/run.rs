//! `run` and `turn`: the order of the phases and nothing else.

use std::io;

use super::mode::{Mode, Outcome};
use crate::schedule::Phase;
use crate::state::LoopHandle;
use crate::state::current::Entered;
use crate::time::clock::NEVER;

/// Runs turns until nothing keeps the loop alive, `stop` is called, or `mode` is met.
pub(crate) fn run(lp: &LoopHandle, mode: Mode) -> io::Result<Outcome> {
    let _running = Running::enter(lp);
    lp.checkpoint(); // what was queued before the run is queued by the main program, and comes first
    open(lp, mode)?;
    while lp.is_alive() && !lp.state.stop.get() {
        lp.state.metrics.turn();
        turn(lp, &lp.state.schedule.turn, mode)?;
        if is_met(lp, mode) {
            turn(lp, ending(lp, mode), mode)?;
            break;
        }
    }
    Ok(outcome(lp))
}

/// One pass through the phases. The order is part of the public contract.
fn turn(lp: &LoopHandle, phases: &[Phase], mode: Mode) -> io::Result<()> {
    for phase in phases {
        phase.run(lp, mode)?; // one line per phase in `Phase::run`: timers::run, pending::run, ...
    }
    Ok(())
}

/// The phases before the first turn, of a run that may take many.
fn open(lp: &LoopHandle, mode: Mode) -> io::Result<()> {
    lp.state.expire_now();
    if !mode.is_single_turn() && lp.is_alive() && !lp.state.stop.get() {
        turn(lp, &lp.state.schedule.opening, mode)?;
    }
    Ok(())
}

/// True if a turn was all that `mode` asked for.
fn is_met(lp: &LoopHandle, mode: Mode) -> bool {
    mode.is_single_turn() || (mode.deadline() != NEVER && lp.state.clock.read() >= mode.deadline())
}

/// The phases that end a run which waited for one turn.
fn ending(lp: &LoopHandle, mode: Mode) -> &[Phase] {
    if mode.is_single_turn() && mode.may_wait() { &lp.state.schedule.once_ending } else { &[] }
}

fn outcome(lp: &LoopHandle) -> Outcome {
    if lp.state.stop.replace(false) {
        Outcome::Stopped
    } else if lp.is_alive() {
        Outcome::Alive
    } else {
        Outcome::Finished
    }
}

/// Marks the loop as running, also while a panic leaves `run`.
struct Running<'a> {
    lp: &'a LoopHandle,
    _entered: Entered,
}

impl<'a> Running<'a> {
    #[track_caller]
    fn enter(lp: &'a LoopHandle) -> Self {
        let state = &lp.state;
        assert!(
            !state.running.get(),
            "this loop is running: a callback must not run it again, spawn a task instead"
        );
        assert!(!state.closed.get(), "this loop is closed");
        state.running.set(true);
        if state.inbox.wake_up() {
            state.rung.set(true);
        }
        Self { lp, _entered: Entered::new(lp) }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.lp.state.running.set(false);
        // From here on the first message rings: the loop is not looking.
        self.lp.state.inbox.fall_asleep();
    }
}
