//! Delays as Node takes them: any number, of which few are taken as they are.
//!
//! Source: Node, `class Timeout` in `lib/internal/timers.js`; SEMANTICS T1, T2.

use std::cell::Cell;
use std::time::Duration;

use crate::schedule::ListTimers;
use crate::state::LoopHandle;
use crate::time::delay::{Delay, Millis};
use crate::warning::Warning;

/// The longest delay that Node knows; a longer one becomes 1 ms.
const MILLIS_MAX: Millis = (1 << 31) - 1;

impl LoopHandle {
    /// The delay that stands for `delay`, with a warning if it is too long.
    pub(super) fn delay_of(&self, delay: Duration) -> Delay {
        let millis = delay.as_millis();
        if !(1..=u128::from(MILLIS_MAX)).contains(&millis) {
            if millis > 0 && self.state.schedule.long_delays_warn {
                self.emit_warning(Warning::TimeoutOverflow);
            }
            return self.shortest_delay();
        }
        if self.state.schedule.delays_are_whole {
            Delay::from_millis(millis as Millis)
        } else {
            Delay::from_micros(delay.as_micros() as u64)
        }
    }

    /// The delay that stands for `ms` milliseconds, with the warnings it deserves.
    pub(super) fn delay_of_ms(&self, ms: f64) -> Delay {
        if ms >= 1.0 {
            // What is too long by a fraction is too long: the fraction is cut off afterwards.
            let ms = if ms > MILLIS_MAX as f64 { 2.0 * MILLIS_MAX as f64 } else { ms };
            return self.delay_of(Duration::from_micros((ms * 1000.0) as u64));
        }
        if self.state.schedule.odd_delays_warn {
            if ms < 0.0 {
                self.warn_once(Warning::TimeoutNegative, &self.state.hooks.warned_of_negative);
            } else if ms.is_nan() {
                self.warn_once(Warning::TimeoutNaN, &self.state.hooks.warned_of_nan);
            }
        }
        self.shortest_delay()
    }

    /// What stands for a delay that is too short, too long or none. On a list never none: what the phase arms would be due
    /// in the same phase, which would not end.
    fn shortest_delay(&self) -> Delay {
        let schedule = &self.state.schedule;
        let delay = whole_millis(schedule.shortest_delay);
        if schedule.list_timers == ListTimers::Tasks { delay } else { delay.max(Delay::from_millis(1)) }
    }

    /// The delay that a timer gets for `delay` if the callback that runs now sets it. Source: SEMANTICS B1.
    pub(super) fn clamp_nested(&self, delay: Delay, nesting: u8) -> Delay {
        match self.state.schedule.nested_clamp {
            Some(clamp) if nesting > clamp.levels => delay.max(whole_millis(clamp.shortest)),
            _ => delay,
        }
    }

    fn warn_once(&self, warning: Warning, warned: &Cell<bool>) {
        if !warned.replace(true) {
            self.emit_warning(warning);
        }
    }
}

fn whole_millis(delay: Duration) -> Delay {
    Delay::from_millis(delay.as_millis().min(u128::from(MILLIS_MAX)) as Millis)
}
