//! Timers as libuv has them: by the loop's cached time, in nanoseconds, in the order of their starts.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::error::{AgainError, Closing, RealTime};
use crate::state::handles::{Body, HandleKey, HandleKind, MissedTicks};
use crate::state::{LoopHandle, TimerAction};
use crate::time::clock::{Nanos, nanos};
use crate::time::table::TimerKey;

/// A one-shot timer of one loop, as [`LoopHandle::timer`] gives it. It is a number: dropping it stops nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(TimerKey);

impl LoopHandle {
    /// The loop's time: read once a turn and when poll wakes, not each time it is asked for.
    ///
    /// Today: in a turn that does not wait, with no timer running, the clock is read at the first use.
    pub fn now(&self) -> Instant {
        self.state.now_instant()
    }

    /// Reads the clock, so that timers started from here on count from this moment. For callbacks that take long.
    pub fn update_now(&self) -> Instant {
        self.state.clock.instant(self.state.update_now())
    }

    /// Moves the clock of a loop in [virtual time](crate::Builder::virtual_time) on: what a callback that takes `time`
    /// does to it. The loop's time stays as it is until the clock is read.
    ///
    /// # Errors
    /// `RealTime` if the loop keeps real time.
    pub fn advance_clock(&self, time: Duration) -> Result<(), RealTime> {
        let clock = &self.state.clock;
        if !clock.is_virtual() {
            return Err(RealTime);
        }
        clock.advance_to(clock.read().saturating_add(nanos(time)));
        Ok(())
    }

    /// Runs `f` once, `delay` after the loop's time.
    ///
    /// Counted in nanoseconds; never early, and late by up to the driver's resolution, which is a millisecond.
    /// Cheaper than a [`Timer`] handle, and free of Node's rules, which [`set_timeout`](Self::set_timeout) follows.
    ///
    /// # Ordering
    /// Runs in the timers phase. Timers due at the same instant run in the order they were started, and one that is
    /// started in the phase waits for the next. Source: libuv, `uv_timer_start`; SEMANTICS U4.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use phaseloop::{EventLoop, RunMode};
    /// let lp = EventLoop::new()?;
    /// lp.timer(Duration::from_micros(1500), |_| println!("due"));
    /// lp.run(RunMode::Default)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn timer(&self, delay: Duration, f: impl FnOnce(&Self) + 'static) -> TimerId {
        let callback = self.wrap(f);
        let deadline = self.deadline_after(delay);
        let mut timers = self.state.timers.borrow_mut();
        if self.state.closed.get() {
            drop(timers);
            drop(callback);
            return TimerId(TimerKey::NEVER_USED);
        }
        let key = timers.insert(Some(TimerAction::Once { callback, referenced: true }));
        timers.start(key, deadline);
        self.state.alive.hold();
        TimerId(key)
    }

    /// Stops a one-shot timer. False if it has run or was stopped.
    pub fn stop_timer(&self, id: TimerId) -> bool {
        let action = self.state.timers.borrow_mut().remove(id.0);
        if let Some(TimerAction::Once { referenced, .. }) = &action {
            self.state.alive.change(*referenced, false);
        }
        // The closure is dropped here, while nothing is borrowed.
        action.is_some()
    }

    /// Has a one-shot timer count anew: due `delay` after the loop's time. False if it has run or was stopped.
    pub fn restart_timer(&self, id: TimerId, delay: Duration) -> bool {
        let deadline = self.deadline_after(delay);
        self.state.timers.borrow_mut().restart(id.0, deadline)
    }

    /// How long until a one-shot timer is due, by the loop's time; zero if it is overdue.
    pub fn timer_due_in(&self, id: TimerId) -> Option<Duration> {
        self.due_in(id.0)
    }

    /// Lets a one-shot timer keep the loop alive, as it does by default. False if it is gone.
    pub fn ref_timer(&self, id: TimerId) -> bool {
        self.set_timer_referenced(id, true)
    }

    /// Lets the loop end without this timer. False if it is gone.
    pub fn unref_timer(&self, id: TimerId) -> bool {
        self.set_timer_referenced(id, false)
    }

    fn set_timer_referenced(&self, id: TimerId, after: bool) -> bool {
        let mut timers = self.state.timers.borrow_mut();
        let Some(Some(TimerAction::Once { referenced, .. })) = timers.action_mut(id.0) else { return false };
        self.state.alive.change(std::mem::replace(referenced, after), after);
        true
    }

    pub(crate) fn due_in(&self, key: TimerKey) -> Option<Duration> {
        let deadline = self.state.timers.borrow().deadline(key)?;
        Some(Duration::from_nanos(deadline.saturating_sub(self.state.now())))
    }

    /// `delay` after the loop's time; what lies past the end of time is never due.
    pub(crate) fn deadline_after(&self, delay: Duration) -> Nanos {
        self.state.now().saturating_add(nanos(delay))
    }
}

/// A timer handle: started, stopped and repeated as often as one likes.
///
/// Cheap to clone; clones are the same handle. Dropping it does not close it.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// # use phaseloop::{EventLoop, RunMode, Timer};
/// let lp = EventLoop::new()?;
/// let timer = Timer::new(&lp);
/// let mut left = 3;
/// timer.start_repeating(Duration::ZERO, Duration::from_millis(1), move |timer| {
///     left -= 1;
///     if left == 0 {
///         timer.close();
///     }
/// })?;
/// lp.run(RunMode::Default)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Timer {
    lp: LoopHandle,
    key: HandleKey,
}

impl Timer {
    /// Makes a timer that is not started.
    #[track_caller]
    pub fn new(lp: &LoopHandle) -> Self {
        let timer = lp.state.timers.borrow_mut().insert(None);
        let body = Body::Timer { timer, repeat: None, missed: MissedTicks::default() };
        let key = lp.open_handle(HandleKind::Timer, body, Location::caller());
        if let Some(action) = lp.state.timers.borrow_mut().action_mut(timer) {
            *action = Some(TimerAction::Handle(key));
        }
        Self { lp: lp.clone(), key }
    }

    /// Starts the timer: `on_due` runs once, `delay` after the loop's time. A running timer is restarted.
    ///
    /// # Ordering
    /// Runs in the timers phase; see [`LoopHandle::timer`]. Source: libuv, `uv_timer_start`.
    ///
    /// # Errors
    /// `Closing` if the handle was closed. `on_due` is then dropped.
    pub fn start(&self, delay: Duration, on_due: impl FnMut(&Self) + 'static) -> Result<(), Closing> {
        self.start_with(delay, None, on_due)
    }

    /// As `start`, and repeats every `period` from then on. A period of zero does not repeat.
    ///
    /// # Ordering
    /// The timer is restarted before its callback, from the loop's time. Source: libuv, `uv__run_timers`; SEMANTICS U6.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_repeating(
        &self,
        delay: Duration,
        period: Duration,
        on_due: impl FnMut(&Self) + 'static,
    ) -> Result<(), Closing> {
        self.start_with(delay, period_of(Some(period)), on_due)
    }

    fn start_with(
        &self,
        delay: Duration,
        period: Option<Nanos>,
        mut on_due: impl FnMut(&Self) + 'static,
    ) -> Result<(), Closing> {
        let key = self.key;
        let callback = self.lp.wrap_mut(move |lp: &LoopHandle| on_due(&Self { lp: lp.clone(), key }));
        let old = self.lp.update_open(key, |handle| {
            if let Body::Timer { repeat, .. } = &mut handle.body {
                *repeat = period;
            }
            handle.callback.replace(callback)
        })?;
        drop(old);
        self.arm(self.lp.deadline_after(delay));
        Ok(())
    }

    /// Starts a timer anew with its period as the delay. A timer without a period is left as it is.
    ///
    /// # Errors
    /// `NeverStarted` for a timer that has no callback, as libuv's `EINVAL`; `Closing` for a closed one.
    /// Source: libuv, `uv_timer_again`.
    pub fn again(&self) -> Result<(), AgainError> {
        let (ready, period) = self
            .lp
            .update_open(self.key, |handle| {
                (handle.callback.is_some() || handle.flags.active, period(&handle.body))
            })
            .map_err(|Closing| AgainError::Closing)?;
        match period {
            _ if !ready && !self.is_running_callback() => Err(AgainError::NeverStarted),
            Some(period) => {
                self.arm(self.lp.state.now().saturating_add(period));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Stops the timer. `start` and `again` may follow.
    pub fn stop(&self) {
        let timer = self.lp.update_open(self.key, |handle| timer_key(&handle.body)).ok().flatten();
        if let Some(timer) = timer {
            self.lp.state.timers.borrow_mut().stop(timer);
            self.lp.update_flags(self.key, |flags| flags.active = false);
        }
    }

    /// Changes the period, from the next time on; `None` makes it the last.
    pub fn set_period(&self, period: Option<Duration>) {
        // A closed timer has no period to change.
        let _ = self.lp.update_open(self.key, |handle| {
            if let Body::Timer { repeat, .. } = &mut handle.body {
                *repeat = period_of(period);
            }
        });
    }

    /// The period, if the timer repeats.
    pub fn period(&self) -> Option<Duration> {
        let period = self.lp.update_open(self.key, |handle| period(&handle.body)).ok().flatten();
        period.map(Duration::from_nanos)
    }

    /// Says what a repeating timer does about ticks that a late loop missed.
    pub fn set_missed_ticks(&self, policy: MissedTicks) {
        // A closed timer misses nothing.
        let _ = self.lp.update_open(self.key, |handle| {
            if let Body::Timer { missed, .. } = &mut handle.body {
                *missed = policy;
            }
        });
    }

    /// How long until the timer is due, by the loop's time: zero if it is overdue, `None` if it is not running.
    pub fn due_in(&self) -> Option<Duration> {
        let timer = self.lp.update_open(self.key, |handle| timer_key(&handle.body)).ok().flatten()?;
        self.lp.due_in(timer)
    }

    /// True inside the timer's own callback, which is then out of its place.
    fn is_running_callback(&self) -> bool {
        self.lp.state.calling.get() == Some(self.key)
    }

    fn arm(&self, deadline: Nanos) {
        arm(&self.lp, self.key, deadline);
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("due_in", &self.due_in()).field("period", &self.period()).finish()
    }
}

crate::handle::walk::handle_methods!([] Timer);

/// Restarts a repeating timer, then runs its callback.
pub(crate) fn fire(lp: &LoopHandle, key: HandleKey) {
    let now = lp.state.now();
    let next = {
        let handles = lp.state.handles.borrow();
        let Some(handle) = handles.get(key) else { return };
        let Body::Timer { timer, repeat, missed } = handle.body else { return };
        let due = lp.state.timers.borrow().last_deadline(timer).unwrap_or(now);
        repeat.map(|period| next_due(due, period, now, missed))
    };
    match next {
        Some(deadline) => arm(lp, key, deadline),
        None => lp.update_flags(key, |flags| flags.active = false),
    }
    lp.call(|lp| lp.call_handle(key));
}

/// When a timer that was due at `due` is due again.
pub(crate) fn next_due(due: Nanos, period: Nanos, now: Nanos, missed: MissedTicks) -> Nanos {
    match missed {
        MissedTicks::Delay => now.saturating_add(period),
        MissedTicks::Burst => due.saturating_add(period),
        MissedTicks::Skip => {
            let ticks = now.saturating_sub(due) / period + 1;
            due.saturating_add(period.saturating_mul(ticks))
        }
    }
}

fn arm(lp: &LoopHandle, key: HandleKey, deadline: Nanos) {
    let mut handles = lp.state.handles.borrow_mut();
    let Some(handle) = handles.get_mut(key) else { return };
    if let Some(timer) = timer_key(&handle.body) {
        lp.state.timers.borrow_mut().start(timer, deadline);
        handle.flags.update(&lp.state.alive, |flags| flags.active = true);
    }
}

fn timer_key(body: &Body) -> Option<TimerKey> {
    if let Body::Timer { timer, .. } = body { Some(*timer) } else { None }
}

fn period(body: &Body) -> Option<Nanos> {
    if let Body::Timer { repeat, .. } = body { *repeat } else { None }
}

fn period_of(period: Option<Duration>) -> Option<Nanos> {
    period.map(nanos).filter(|period| *period != 0)
}
