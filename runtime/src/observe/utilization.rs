//! How much of the time a loop works.

use std::fmt;
use std::time::Duration;

use crate::state::LoopHandle;

/// How long a loop waited and how long it did not, since it first ran or between two readings.
///
/// Source: Node, `perf_hooks.eventLoopUtilization`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Utilization {
    /// Time spent waiting in poll.
    pub idle: Duration,
    /// All other time. That of a host that drives the loop turn by turn, and waits by itself, is counted here.
    pub active: Duration,
}

impl Utilization {
    /// The share of the time in which the loop did not wait: 0 to 1, and 0 before any time has passed.
    pub fn ratio(&self) -> f64 {
        let all = self.idle + self.active;
        if all.is_zero() { 0.0 } else { self.active.as_secs_f64() / all.as_secs_f64() }
    }

    /// What came since `earlier`, a reading of the same loop.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            idle: self.idle.saturating_sub(earlier.idle),
            active: self.active.saturating_sub(earlier.active),
        }
    }
}

impl fmt::Display for Utilization {
    /// As `12.5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", self.ratio() * 100.0)
    }
}

impl LoopHandle {
    /// How busy the loop has been since it first ran. Nothing has to be turned on, and a clock is read only here.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use phaseloop::{EventLoop, RunMode};
    /// let lp = EventLoop::builder().virtual_time(true).build()?;
    /// lp.timer(Duration::from_millis(30), |lp| {
    ///     lp.advance_clock(Duration::from_millis(10)).expect("time is virtual"); // this callback takes 10 ms
    /// });
    /// let before = lp.utilization();
    /// lp.run(RunMode::Default)?;
    /// let used = lp.utilization().since(&before);
    /// assert_eq!((used.idle.as_millis(), used.active.as_millis()), (30, 10));
    /// assert_eq!(used.to_string(), "25.0 %");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn utilization(&self) -> Utilization {
        let Some(started) = self.state.metrics.started() else { return Utilization::default() };
        let idle = self.metrics().idle;
        let all = Duration::from_nanos(self.state.clock.read().saturating_sub(started));
        Utilization { idle, active: all.saturating_sub(idle) }
    }
}
