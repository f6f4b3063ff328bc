//! `set_timeout` and its kin, by Node's rules.
//!
//! All lists hang on one loop timer, which is set to the smallest due time; `lists` runs them.
//! Source: Node 26, `lib/internal/timers.js`; SEMANTICS T1 to T14.

use std::time::Duration;

use crate::schedule::ListTimers;
use crate::state::{ListedTimer, LoopHandle, TimerAction};
use crate::time::clock::Nanos;
use crate::time::delay::{Delay, Millis};
use crate::time::lists::{TimeoutId, TimerLists};

use super::lists::cached_millis;
use super::tasks;

pub(super) const NANOS_PER_MILLI: Nanos = 1_000_000;

impl LoopHandle {
    /// Runs `f` once, after `delay`, by Node's rules.
    ///
    /// The delay is cut to whole milliseconds. Less than one becomes 1 ms, and so does more than 2^31 - 1, with a
    /// [warning](Self::on_warning). In a [browser](crate::Schedule::browser) both become none.
    ///
    /// # Ordering
    /// Timers of one delay form a list, and lists run by due time: all that is due of one list runs before another. The
    /// clock is read when the timer is set. In a browser each timer is due by itself, in line with the immediates.
    /// Source: Node, `setTimeout`; SEMANTICS T1, T3, T4, T5, B3.
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
    #[track_caller]
    pub fn set_timeout(&self, delay: Duration, f: impl FnOnce(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap(f);
        self.set_listed(self.delay_of(delay), ListedTimer::Timeout(callback))
    }

    /// As [`set_timeout`](Self::set_timeout), with any number of milliseconds, as Node takes it: one that is negative or
    /// not a number becomes 1 ms too, where the schedule says so with a [warning](Self::on_warning).
    /// Source: SEMANTICS T1, T2.
    #[track_caller]
    pub fn set_timeout_ms(&self, ms: f64, f: impl FnOnce(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap(f);
        self.set_listed(self.delay_of_ms(ms), ListedTimer::Timeout(callback))
    }

    /// Runs `f` every `period`, by Node's rules. It does not get the interval's id; a [`Timer`](crate::Timer) gives itself to its
    /// callback, to be stopped there.
    ///
    /// # Ordering
    /// It is armed again after its callback, counted from when the callback began, so it drifts and never runs twice in
    /// one phase. In a browser it keeps to its grid and loses the beats it missed. One that panics goes on.
    /// Source: Node, `setInterval`; SEMANTICS T8, T9, X9.
    #[track_caller]
    pub fn set_interval(&self, period: Duration, f: impl FnMut(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap_mut(f);
        self.set_listed(self.delay_of(period), ListedTimer::Interval(callback))
    }

    /// As [`set_interval`](Self::set_interval), with any number of milliseconds: see
    /// [`set_timeout_ms`](Self::set_timeout_ms).
    #[track_caller]
    pub fn set_interval_ms(&self, ms: f64, f: impl FnMut(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap_mut(f);
        self.set_listed(self.delay_of_ms(ms), ListedTimer::Interval(callback))
    }

    /// As [`set_timeout`](Self::set_timeout), but it stays after it ran, so that
    /// [`refresh_timeout`](Self::refresh_timeout) arms it anew: for idle timeouts. Clear it when it is of no more use.
    #[track_caller]
    pub fn set_refreshable_timeout(&self, delay: Duration, f: impl FnMut(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap_mut(f);
        self.set_listed(self.delay_of(delay), ListedTimer::Refreshable(callback))
    }

    /// As [`set_refreshable_timeout`](Self::set_refreshable_timeout), with any number of milliseconds: see
    /// [`set_timeout_ms`](Self::set_timeout_ms).
    #[track_caller]
    pub fn set_refreshable_timeout_ms(&self, ms: f64, f: impl FnMut(&Self) + 'static) -> TimeoutId {
        let callback = self.wrap_mut(f);
        self.set_listed(self.delay_of_ms(ms), ListedTimer::Refreshable(callback))
    }

    /// Clears a timeout or an interval. False if it has run or was cleared. One that is due in the running phase does
    /// not run any more. Source: SEMANTICS T11, T14.
    pub fn clear_timeout(&self, id: TimeoutId) -> bool {
        let removed = self.change_lists(|lists| lists.remove(id));
        self.close_ended_lists();
        // The closure is dropped here, while nothing is borrowed.
        removed.is_some()
    }

    /// Starts a timeout or an interval anew, as if it were set now, behind those of the same delay.
    ///
    /// False if it has run or was cleared; a refreshable one that has run is armed again. Source: SEMANTICS T7, T10.
    pub fn refresh_timeout(&self, id: TimeoutId) -> bool {
        if !self.state.lists.borrow_mut().can_refresh(id) {
            return false; // and the clock is not read, which would be seen (T15)
        }
        // The loop timer of a single one is set by the cached time.
        let has_own_list = self.state.lists.borrow().has_own_list(id);
        let start = if has_own_list { cached_millis(self) } else { self.read_millis() };
        self.change_lists(|lists| lists.refresh(id, start));
        self.arm(id);
        true
    }

    /// Lets a timeout or an interval keep the loop alive, as it does by default. False if it is gone.
    pub fn ref_timeout(&self, id: TimeoutId) -> bool {
        self.change_lists(|lists| lists.set_referenced(id, true))
    }

    /// Lets the loop end with this timeout or interval still to run. False if it is gone. Source: SEMANTICS T12.
    pub fn unref_timeout(&self, id: TimeoutId) -> bool {
        if self.state.schedule.list_timers == ListTimers::EachList && !self.leave_list(id) {
            return self.clear_timeout(id);
        }
        self.change_lists(|lists| lists.set_referenced(id, false))
    }

    /// True if the timeout or interval is there and would keep the loop alive while it is armed.
    pub fn is_timeout_referenced(&self, id: TimeoutId) -> bool {
        self.state.lists.borrow().is_referenced(id).unwrap_or(false)
    }

    /// Takes a timer that is to be unreferenced off its list, for one of its own. False for a timeout that has run before:
    /// Node 10 forgets it instead. Source: Node 10, `Timeout.prototype.unref`.
    fn leave_list(&self, id: TimeoutId) -> bool {
        let lists = &self.state.lists;
        if lists.borrow().is_referenced(id).is_none() || lists.borrow().has_own_list(id) {
            return true;
        }
        let now = self.read_millis();
        if lists.borrow().was_called(id) && !lists.borrow().repeats(id) {
            return false;
        }
        lists.borrow_mut().give_own_list(id, now);
        self.arm_lists();
        true
    }

    fn set_listed(&self, delay: Delay, timer: ListedTimer) -> TimeoutId {
        let start = self.read_millis();
        let repeats = matches!(timer, ListedTimer::Interval(_));
        let nesting = self.state.timer_nesting.get();
        let delay = self.clamp_nested(delay, nesting);
        let id =
            self.change_lists(|lists| lists.insert(delay, start, repeats, nesting.saturating_add(1), timer));
        if self.state.closed.get() {
            self.clear_timeout(id);
        } else {
            self.arm(id);
        }
        id
    }

    /// Sees to it that a timer that was set runs.
    pub(super) fn arm(&self, id: TimeoutId) {
        let delay = self.state.lists.borrow().delay(id);
        if self.state.schedule.list_timers == ListTimers::Tasks && delay.is_some_and(Delay::is_zero) {
            tasks::queue_at_once(self, id);
        } else {
            self.arm_lists();
        }
    }

    /// Reads the clock, in whole milliseconds. Setting a timer updates the loop's time. Source: SEMANTICS T3.
    pub(super) fn read_millis(&self) -> Millis {
        self.state.update_now() / NANOS_PER_MILLI
    }

    /// Changes the lists and follows the count of those that keep the loop alive.
    pub(super) fn change_lists<R>(&self, change: impl FnOnce(&mut Lists) -> R) -> R {
        let mut lists = self.state.lists.borrow_mut();
        let before = lists.referenced() > 0;
        let result = change(&mut lists);
        self.state.alive.change(before, lists.referenced() > 0);
        result
    }

    /// Sets the loop timer for the first list, if that is due before the one it is set for. It is compared by due times: the
    /// timer itself may be set for later, since an overdue list waits a millisecond. Source: Node, `insert`.
    pub(super) fn arm_lists(&self) {
        let Some((list, _)) = self.state.lists.borrow().first_list() else { return };
        let deadline = list.due * NANOS_PER_MILLI;
        let mut timers = self.state.timers.borrow_mut();
        let timer = match self.state.lists_timer.get() {
            Some(timer) => timer,
            None => timers.insert(Some(TimerAction::Lists)),
        };
        self.state.lists_timer.set(Some(timer));
        if timers.deadline(timer).is_none() || list.due < self.state.lists_due.get() {
            self.state.lists_due.set(list.due);
            timers.start(timer, deadline);
        }
    }
}

type Lists = TimerLists<ListedTimer>;
