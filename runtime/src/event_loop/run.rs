//! `run` and `turn`: the order of the phases and nothing else.

use std::io;

use crate::phase::only_immediates_are_due;
use crate::schedule::Phase;
use crate::state::LoopHandle;
use crate::state::current::Entered;
use crate::state::mode::{Mode, Outcome, RunMode};
use crate::time::clock::NEVER;

/// Runs what was queued before, then turns.
#[track_caller]
pub(crate) fn run(lp: &LoopHandle, mode: Mode) -> io::Result<Outcome> {
    let _running = Running::enter(lp);
    lp.within_host(|| {
        lp.checkpoint(); // what was queued before the run was queued by the main program, and comes first
        run_turns(lp, mode)
    })
}

/// Runs turns until nothing keeps the loop alive, `stop` is called, or `mode` is met.
fn run_turns(lp: &LoopHandle, mode: Mode) -> io::Result<Outcome> {
    open(lp, mode)?;
    while lp.is_alive() && !lp.must_leave() {
        lp.state.metrics.turn();
        turn(lp, due_phases(lp), mode)?;
        if is_met(lp, mode) {
            turn(lp, ending(lp, mode), mode)?;
            break;
        }
    }
    lp.state.phase.set(None);
    Ok(outcome(lp))
}

/// Runs a program: its main body, turns until the loop is no longer alive, the before-exit hook, and so on until that
/// leaves nothing to do; then the exit hook. Source: Node, `SpinEventLoop`; SEMANTICS E1, E2, X4.
#[track_caller]
pub(super) fn run_program(lp: &LoopHandle, main: impl FnOnce(&LoopHandle)) -> io::Result<i32> {
    let _running = Running::enter(lp);
    lp.within_host(|| run_to_exit(lp, main))
}

fn run_to_exit(lp: &LoopHandle, main: impl FnOnce(&LoopHandle)) -> io::Result<i32> {
    if lp.invoke(main).is_ok() || lp.state.schedule.main_panic_drains {
        lp.checkpoint();
    }
    while !lp.has_ended() {
        // A program that stops its loop leaves it as it is, alive or not, and ends.
        if run_turns(lp, Mode::from(RunMode::Default))? == Outcome::Stopped {
            lp.end(0);
            break;
        }
        lp.before_exit();
        if !lp.is_alive() {
            lp.end(0);
        }
    }
    Ok(lp.state.ended.get().unwrap_or(0))
}

/// One pass through the phases. The order is part of the public contract.
fn turn(lp: &LoopHandle, phases: &[Phase], mode: Mode) -> io::Result<()> {
    for phase in phases {
        phase.run(lp, mode)?; // one line per phase in `Phase::run`: timers::run, pending::run, ...
    }
    Ok(())
}

/// The phases of the next turn that can have something to run. With nothing but immediates in the loop the turn begins at
/// check: the phases before it would be looks at nothing. Those behind it run what the immediates leave for them.
fn due_phases(lp: &LoopHandle) -> &[Phase] {
    let phases = &lp.state.schedule.turn;
    match phases.iter().position(|phase| *phase == Phase::Check) {
        Some(check) if only_immediates_are_due(lp) => &phases[check..],
        _ => phases,
    }
}

/// The phases before the first turn, of a run that may take many.
fn open(lp: &LoopHandle, mode: Mode) -> io::Result<()> {
    lp.state.expire_now();
    if !mode.is_single_turn() && lp.is_alive() && !lp.must_leave() {
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
        state.metrics.start(&state.clock);
        lp.host_runs(false);
        if state.inbox.wake_up() {
            state.rung.set(true);
        }
        Self { lp, _entered: Entered::new(lp) }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.lp.state.running.set(false);
        self.lp.host_runs(true);
        self.lp.state.leave_place(); // also if a panic leaves a phase or a drain
        // From here on the first message rings: the loop is not looking. What came since it last looked did not ring. In a
        // loop that is not alive the next run would not take it either.
        if !self.lp.state.inbox.fall_asleep() && self.lp.is_alive() {
            self.lp.state.inbox.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use crate::{EventLoop, RunMode, Timer};

    #[test]
    fn what_an_immediate_leaves_for_later_phases_runs_in_its_turn() {
        let lp = EventLoop::builder().virtual_time(true).build().unwrap();
        let log = Rc::new(RefCell::new(Vec::new()));
        let logs = |line: &'static str| {
            let log = Rc::clone(&log);
            move |_: &crate::LoopHandle| log.borrow_mut().push(line)
        };
        let (timer, close, next) = (logs("timer"), logs("close"), logs("next immediate"));
        lp.set_immediate(move |lp| {
            lp.timer(Duration::ZERO, timer);
            Timer::new(lp).close_with(close);
            lp.set_immediate(next);
        });
        lp.run(RunMode::Default).unwrap();
        assert_eq!(*log.borrow(), ["close", "timer", "next immediate"]);
    }
}
