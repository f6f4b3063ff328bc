//! Running the lists of `set_timeout` and its kin, when the loop timer that stands for them is due.
//!
//! The queues drain *before* each list and each timer but the first, so that nothing is drained after a panic until the
//! next timer has run; but if nothing is left of the list that panicked, its ticks run before the next list. A tick that
//! panics in between counts as a panic of the phase.
//! Source: Node 26, `processTimers` and `Environment::RunTimers`; Node 10, `listOnTimeout`; SEMANTICS T5, T6, M1, M2, X1, X9.

use crate::schedule::{Drain, IntervalBeats, ListTimers};
use crate::state::call::Thrown;
use crate::state::{Closing, ListedTimer, LoopHandle};
use crate::time::delay::Millis;
use crate::time::lists::{ListKey, Next, Running, Start, TimeoutId};

use super::tasks;
use super::timers::NANOS_PER_MILLI;

/// Runs the lists that are due.
pub(crate) fn run_lists(lp: &LoopHandle) {
    match lp.state.schedule.list_timers {
        ListTimers::Shared => run_together(lp),
        ListTimers::EachList => run_one_by_one(lp),
        ListTimers::Tasks => return tasks::queue_due(lp),
    }
    lp.state.timer_nesting.set(0);
}

/// All lists that are due now, as one callback of the loop.
fn run_together(lp: &LoopHandle) {
    let now = lp.read_millis();
    let rearm = Rearm { lp };
    while run_pass(lp, now).is_err() && !lp.has_ended() {}
    drop(rearm);
    drain_between_lists(lp).unwrap_or_default();
}

/// Runs due lists up to a panic. Then the list that panicked comes first again, even if nothing is left in it.
fn run_pass(lp: &LoopHandle, now: Millis) -> Result<(), Thrown> {
    let mut is_first = true;
    while let Some((_, running)) = first_list(lp).filter(|(list, _)| list.due <= now) {
        if !is_first {
            drain_between_lists(lp)?;
        }
        is_first = false;
        run_list(lp, running, now)?;
    }
    Ok(())
}

/// Each list as a callback of its own, while one is due by the loop's cached time, which each reads anew.
fn run_one_by_one(lp: &LoopHandle) {
    let rearm = Rearm { lp };
    while let Some((_, running)) = first_list(lp).filter(|(list, _)| list.due <= cached_millis(lp)) {
        run_alone(lp, running);
    }
    drop(rearm);
}

/// A list, and a drain at its end. After a panic, even of a tick in that drain, the list is called again; that of an
/// unreferenced timer is not.
fn run_alone(lp: &LoopHandle, running: Running) {
    loop {
        let now = lp.read_millis();
        let outcome = run_list(lp, running, now).and_then(|()| drain_between_lists(lp));
        if outcome.is_ok() || running.is_own() {
            break;
        }
    }
    lp.state.lists.borrow_mut().end_running(running);
    lp.close_ended_lists();
}

/// Runs the due timers of a list, up to a panic.
fn run_list(lp: &LoopHandle, running: Running, now: Millis) -> Result<(), Thrown> {
    let mut is_first = true;
    while let Next::Timer(id) = next_in(lp, running, now) {
        if !is_first && lp.state.schedule.drain_timers == Drain::EachCallback {
            lp.try_checkpoint()?;
        }
        is_first = false;
        run_timer(lp, id)?;
    }
    Ok(())
}

fn drain_between_lists(lp: &LoopHandle) -> Result<(), Thrown> {
    if lp.state.schedule.drain_timers == Drain::EachPhase { Ok(()) } else { lp.try_checkpoint() }
}

/// Runs a timer, unless the drain just before has cleared it.
fn run_timer(lp: &LoopHandle, id: TimeoutId) -> Result<(), Thrown> {
    if lp.has_ended() {
        lp.clear_timeout(id); // it will not run, and must not be found again
        return Err(Thrown);
    }
    lp.invoke_or_drain(|lp| call_timer(lp, id))
}

/// Calls a timer's code and puts back what stays, also if it panics.
pub(super) fn call_timer(lp: &LoopHandle, id: TimeoutId) {
    lp.state.timer_nesting.set(lp.state.lists.borrow_mut().nesting(id));
    let timer = lp.change_lists(|lists| lists.begin_run(id));
    match timer {
        None => {}
        Some(ListedTimer::Timeout(mut callback)) => {
            lp.change_lists(|lists| lists.forget(id));
            callback.call(lp);
        }
        Some(timer) => call_again_and_again(lp, id, timer),
    }
}

/// Calls a timer that stays, and puts it back.
fn call_again_and_again(lp: &LoopHandle, id: TimeoutId, timer: ListedTimer) {
    let next_start = if matches!(timer, ListedTimer::Interval(_)) { begin_period(lp, id) } else { None };
    let survives = lp.state.schedule.interval_survives_panic;
    let mut running = PutBack { lp, id, rearm: next_start.filter(|_| survives), timer: Some(timer) };
    if let Some(ListedTimer::Interval(callback) | ListedTimer::Refreshable(callback)) = &mut running.timer {
        callback(lp);
    }
    running.rearm = next_start;
}

/// The start of an interval's next period, unless it keeps to a grid: then it is armed for the next beat at once.
fn begin_period(lp: &LoopHandle, id: TimeoutId) -> Option<Millis> {
    let now = lp.read_millis();
    match lp.state.schedule.interval_beats {
        IntervalBeats::Drift => Some(now),
        IntervalBeats::Grid => {
            let clamp = |delay, nesting| lp.clamp_nested(delay, nesting);
            lp.change_lists(|lists| lists.rearm_on_grid(id, now, clamp));
            lp.arm(id);
            None
        }
    }
}

/// Puts a timer back after its callback, also if it panicked.
struct PutBack<'a> {
    lp: &'a LoopHandle,
    id: TimeoutId,
    /// The start of an interval's next period.
    rearm: Option<Millis>,
    timer: Option<ListedTimer>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        let Some(timer) = self.timer.take() else { return };
        let list_timers = self.lp.state.schedule.list_timers;
        let rearm = self.rearm.and_then(|start| match list_timers {
            ListTimers::Shared | ListTimers::Tasks => Some(Start::at(start)),
            ListTimers::EachList => self.start_again(start),
        });
        // What was cleared meanwhile comes back, and is dropped here.
        drop(self.lp.change_lists(|lists| lists.end_run(self.id, timer, rearm)));
        if rearm.is_some() && list_timers == ListTimers::Tasks {
            self.lp.arm(self.id); // lists are armed when the last of them has run
        }
    }
}

impl PutBack<'_> {
    /// Where each list has a loop timer, a list counts from when that is set, and is due 1 ms ahead at the earliest. The clock
    /// is read for that, but not for the loop timer of a single one.
    fn start_again(&self, start: Millis) -> Option<Start> {
        let delay = self.lp.state.lists.borrow().delay(self.id)?;
        if self.lp.state.lists.borrow().has_own_list(self.id) {
            return Some(Start::at(cached_millis(self.lp)));
        }
        let now = self.lp.read_millis();
        let start = start.max((now + 1).saturating_sub(delay.millis()));
        Some(Start { start, due: now + delay.millis() })
    }
}

/// Sets the loop timer for what is left, at least a millisecond ahead; also when a panic leaves the phase.
struct Rearm<'a> {
    lp: &'a LoopHandle,
}

impl Drop for Rearm<'_> {
    fn drop(&mut self) {
        if let Some((list, _)) = first_list(self.lp)
            && let Some(timer) = self.lp.state.lists_timer.get()
        {
            self.lp.state.lists_due.set(list.due);
            let due = list.due.max(cached_millis(self.lp) + 1);
            self.lp.state.timers.borrow_mut().start(timer, due * NANOS_PER_MILLI);
        }
    }
}

fn first_list(lp: &LoopHandle) -> Option<(ListKey, Running)> {
    lp.state.lists.borrow().first_list()
}

fn next_in(lp: &LoopHandle, running: Running, now: Millis) -> Next {
    let shares_timer = lp.state.schedule.list_timers == ListTimers::Shared;
    let soonest = || 1 + if shares_timer { now } else { lp.read_millis() };
    lp.state.lists.borrow_mut().next_in(running, now, soonest)
}

pub(super) fn cached_millis(lp: &LoopHandle) -> Millis {
    lp.state.now() / NANOS_PER_MILLI
}

impl LoopHandle {
    /// Where each list has a loop timer: closes those of lists that have ended, as Node 10 does. That takes until the next
    /// close phase and keeps poll from waiting.
    pub(super) fn close_ended_lists(&self) {
        if self.state.schedule.list_timers != ListTimers::EachList || self.state.closed.get() {
            return;
        }
        for _ in 0..self.state.lists.borrow_mut().take_ended() {
            self.state.alive.hold();
            self.state.closing.borrow_mut().push(Closing { release: None, callback: None });
        }
    }
}
