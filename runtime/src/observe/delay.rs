//! How late a loop runs what is due.

use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::histogram::Histogram;
use crate::handle::timer::Timer;
use crate::state::LoopHandle;
use crate::time::clock::nanos;

/// Measures how late a loop runs a timer, again and again: what [`LoopHandle::monitor_delay`] gives. It ends when it is dropped.
pub struct DelayMonitor {
    timer: Timer,
    delays: Rc<RefCell<Histogram>>,
}

impl LoopHandle {
    /// Measures the loop's delay every `resolution`: how much later than due a timer runs, since callbacks held the loop up.
    ///
    /// The timer does not keep the loop alive, but wakes a loop that sleeps. An idle loop reads up to a millisecond, to which
    /// the system's wait is rounded up; a callback that blocks for a while is one sample, so its length is in the maximum.
    /// Node's figures contain the resolution itself; these do not.
    ///
    /// # Panics
    /// If `resolution` is zero.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use phaseloop::{EventLoop, RunMode};
    /// # fn ms(ms: u64) -> Duration { Duration::from_millis(ms) }
    /// let lp = EventLoop::builder().virtual_time(true).build()?;
    /// let monitor = lp.monitor_delay(ms(10));
    /// lp.timer(ms(15), |lp| lp.advance_clock(ms(55)).expect("time is virtual")); // blocks for 55 ms
    /// lp.timer(ms(100), |_| {});
    /// lp.run(RunMode::Default)?;
    /// assert_eq!(monitor.delays().max(), ms(50)); // what was due at 20 ms ran at 70 ms
    /// assert_eq!(monitor.delays().min(), ms(0));
    /// monitor.reset();
    /// assert_eq!(monitor.delays().count(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn monitor_delay(&self, resolution: Duration) -> DelayMonitor {
        assert!(!resolution.is_zero(), "a delay is measured at intervals longer than zero: 10 ms is usual");
        let timer = Timer::new(self);
        let delays = Rc::new(RefCell::new(Histogram::new()));
        let due = Cell::new(self.deadline_after(resolution));
        let recorded = Rc::clone(&delays);
        // The timer of a closed loop is closed too, and records nothing.
        let _ = timer.start_repeating(resolution, resolution, move |timer| {
            let state = &timer.lp().state;
            recorded.borrow_mut().record_nanos(state.clock.read().saturating_sub(due.get()));
            due.set(state.now().saturating_add(nanos(resolution))); // as the timer was started anew
        });
        timer.unref();
        DelayMonitor { timer, delays }
    }
}

impl DelayMonitor {
    /// The delays since the monitor was made, or reset. To be read and let go: [`Histogram`] is `Clone`.
    ///
    /// # Panics
    /// The loop does, if it runs while this is held.
    pub fn delays(&self) -> Ref<'_, Histogram> {
        self.delays.borrow()
    }

    /// Forgets the delays so far.
    pub fn reset(&self) {
        self.delays.borrow_mut().reset();
    }
}

impl Drop for DelayMonitor {
    fn drop(&mut self) {
        self.timer.close();
    }
}

impl fmt::Debug for DelayMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayMonitor").field("delays", &self.delays).finish()
    }
}
