//! `set_timeout` and its kin, by Node's rules.
//!
//! All lists hang on one loop timer, which is set to the smallest due time.
//! Source: Node 26, `lib/internal/timers.js` and `Environment::RunTimers`; SEMANTICS T1 to T14, X1, X9.

use std::time::Duration;

use crate::schedule::Drain;
use crate::state::{ListedTimer, LoopHandle, TimerAction};
use crate::time::clock::Nanos;
use crate::time::lists::{ListKey, Millis, Next, Running, TimeoutId, TimerLists};

const NANOS_PER_MILLI: Nanos = 1_000_000;

/// The longest duration that Node knows; a longer one becomes 1 ms.
const DURATION_MAX: Millis = (1 << 31) - 1;

impl LoopHandle {
    /// Runs `f` once, after `delay`, by Node's rules.
    ///
    /// The delay is cut to whole milliseconds. Less than one becomes 1 ms, and so does more than 2^31 - 1.
    ///
    /// # Ordering
    /// Timers of one delay form a list, and lists run by due time: all that is due of one list runs before another. The
    /// clock is read when the timer is set. Source: Node, `setTimeout`; SEMANTICS T1, T3, T4, T5.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use phaseloop::{EventLoop, RunMode};
    /// let lp = EventLoop::new()?;
    /// lp.set_timeout(Duration::from_millis(2), |_| println!("two milliseconds later"));
    /// lp.run(RunMode::Default)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_timeout(&self, delay: Duration, f: impl FnOnce(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap(f);
        self.set_listed(delay, ListedTimer::Timeout(callback))
    }

    /// Runs `f` every `period`, by Node's rules.
    ///
    /// # Ordering
    /// It is armed again after its callback, counted from when the callback began, so it drifts and never runs twice in
    /// one phase. One that panics goes on. Source: Node, `setInterval`; SEMANTICS T8, T9, X9.
    pub fn set_interval(&self, period: Duration, f: impl FnMut(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap_mut(f);
        self.set_listed(period, ListedTimer::Interval(callback))
    }

    /// As [`set_timeout`](Self::set_timeout), but it stays after it ran, so that
    /// [`refresh_timeout`](Self::refresh_timeout) arms it anew: for idle timeouts. Clear it when it is of no more use.
    pub fn set_refreshable_timeout(&self, delay: Duration, f: impl FnMut(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap_mut(f);
        self.set_listed(delay, ListedTimer::Refreshable(callback))
    }

    /// Clears a timeout or an interval. False if it has run or was cleared. One that is due in the running phase does
    /// not run any more. Source: SEMANTICS T11, T14.
    pub fn clear_timeout(&self, id: TimeoutId) -> bool {
        let removed = self.change_lists(|lists| lists.remove(id));
        // The closure is dropped here, while nothing is borrowed.
        removed.is_some()
    }

    /// Starts a timeout or an interval anew, as if it were set now, behind those of the same delay.
    ///
    /// False if it has run or was cleared; a refreshable one that has run is armed again. Source: SEMANTICS T7, T10.
    pub fn refresh_timeout(&self, id: TimeoutId) -> bool {
        let start = self.read_millis();
        let refreshed = self.change_lists(|lists| lists.refresh(id, start));
        self.arm_lists();
        refreshed
    }

    /// Lets a timeout or an interval keep the loop alive, as it does by default. False if it is gone.
    pub fn ref_timeout(&self, id: TimeoutId) -> bool {
        self.change_lists(|lists| lists.set_referenced(id, true))
    }

    /// Lets the loop end with this timeout or interval still to run. False if it is gone. Source: SEMANTICS T12.
    pub fn unref_timeout(&self, id: TimeoutId) -> bool {
        self.change_lists(|lists| lists.set_referenced(id, false))
    }

    /// True if the timeout or interval is there and would keep the loop alive while it is armed.
    pub fn is_timeout_referenced(&self, id: TimeoutId) -> bool {
        self.state.lists.borrow().is_referenced(id).unwrap_or(false)
    }

    fn set_listed(&self, delay: Duration, timer: ListedTimer) -> TimeoutId {
        let duration = clamp(delay);
        let start = self.read_millis();
        let id = self.change_lists(|lists| lists.insert(duration, start, timer));
        if self.state.closed.get() {
            self.clear_timeout(id);
        } else {
            self.arm_lists();
        }
        id
    }

    /// Reads the clock, in whole milliseconds. Setting a timer updates the loop's time. Source: SEMANTICS T3.
    fn read_millis(&self) -> Millis {
        self.state.update_now() / NANOS_PER_MILLI
    }

    /// Changes the lists and follows the count of those that keep the loop alive.
    fn change_lists<R>(&self, change: impl FnOnce(&mut Lists) -> R) -> R {
        let mut lists = self.state.lists.borrow_mut();
        let before = lists.referenced() > 0;
        let result = change(&mut lists);
        self.state.alive.change(before, lists.referenced() > 0);
        result
    }

    /// Sets the loop timer for the first list, if it is not set for an earlier time.
    fn arm_lists(&self) {
        let Some((list, _)) = self.state.lists.borrow().first_list() else { return };
        let deadline = list.due * NANOS_PER_MILLI;
        let mut timers = self.state.timers.borrow_mut();
        let timer = match self.state.lists_timer.get() {
            Some(timer) => timer,
            None => timers.insert(Some(TimerAction::Lists)),
        };
        self.state.lists_timer.set(Some(timer));
        if timers.deadline(timer).is_none_or(|set| deadline < set) {
            timers.start(timer, deadline);
        }
    }
}

type Lists = TimerLists<ListedTimer>;

/// Node's clamp. Source: SEMANTICS T1, T2.
fn clamp(delay: Duration) -> Millis {
    let millis = delay.as_millis();
    if (1..=u128::from(DURATION_MAX)).contains(&millis) { millis as Millis } else { 1 }
}

/// Runs the lists that are due. Called by the loop timer that stands for all of them.
pub(crate) fn run_lists(lp: &LoopHandle) {
    let now = lp.read_millis();
    let rearm = Rearm { lp, now };
    let mut pass = Pass { ran: false };
    while let Some((list, running)) = first_list(lp) {
        if list.due > now {
            break;
        }
        pass.run_list(lp, running, now);
    }
    drop(rearm);
    if lp.state.schedule.drain_timers != Drain::EachPhase {
        lp.checkpoint();
    }
}

fn first_list(lp: &LoopHandle) -> Option<(ListKey, Running)> {
    lp.state.lists.borrow().first_list()
}

/// Sets the loop timer for what is left, at least a millisecond ahead; also when a panic leaves the phase.
struct Rearm<'a> {
    lp: &'a LoopHandle,
    now: Millis,
}

impl Drop for Rearm<'_> {
    fn drop(&mut self) {
        if let Some((list, _)) = first_list(self.lp)
            && let Some(timer) = self.lp.state.lists_timer.get()
        {
            let due = list.due.max(self.now + 1);
            self.lp.state.timers.borrow_mut().start(timer, due * NANOS_PER_MILLI);
        }
    }
}

/// One pass through the due lists: drains *before* each timer but the first, so that nothing is drained after a panic
/// until the next timer has run. Source: SEMANTICS X1.
struct Pass {
    /// A timer ran since the pass began or since a panic.
    ran: bool,
}

impl Pass {
    fn run_list(&mut self, lp: &LoopHandle, running: Running, now: Millis) {
        // Before the list is looked at: a tick may refresh or clear its first timer. Source: Node, `processTimers`.
        if self.ran && lp.state.schedule.drain_timers != Drain::EachPhase {
            self.drain(lp);
        }
        while let Next::Timer(id) = next_in(lp, running, now) {
            if self.ran && lp.state.schedule.drain_timers == Drain::EachCallback {
                self.drain(lp);
            }
            self.ran = self.run_timer(lp, id);
        }
    }

    fn drain(&mut self, lp: &LoopHandle) {
        lp.checkpoint();
        self.ran = false;
    }

    /// Runs a timer. False if it panicked.
    fn run_timer(&self, lp: &LoopHandle, id: TimeoutId) -> bool {
        let timer = lp.change_lists(|lists| lists.begin_run(id));
        match timer {
            None => true, // cleared by the drain just before
            Some(ListedTimer::Timeout(mut callback)) => {
                lp.change_lists(|lists| lists.forget(id));
                lp.invoke(|lp| callback.call(lp)).is_ok()
            }
            Some(timer) => run_again_and_again(lp, id, timer),
        }
    }
}

/// Runs a timer that stays, and puts it back. False if it panicked.
fn run_again_and_again(lp: &LoopHandle, id: TimeoutId, timer: ListedTimer) -> bool {
    let rearm = matches!(timer, ListedTimer::Interval(_)).then(|| lp.read_millis());
    let mut running = PutBack { lp, id, rearm, timer: Some(timer) };
    let ran = lp.invoke(|lp| {
        if let Some(ListedTimer::Interval(callback) | ListedTimer::Refreshable(callback)) = &mut running.timer
        {
            callback(lp);
        }
    });
    ran.is_ok()
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
        // What was cleared meanwhile comes back, and is dropped here.
        drop(self.lp.change_lists(|lists| lists.end_run(self.id, timer, self.rearm)));
    }
}

fn next_in(lp: &LoopHandle, running: Running, now: Millis) -> Next {
    lp.state.lists.borrow_mut().next_in(running, now)
}
