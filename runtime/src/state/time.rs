//! The loop's cached time.

use std::cell::Cell;
use std::time::Instant;

use super::LoopState;
use crate::time::clock::Nanos;

/// The time as the loop last read it.
pub(crate) struct LoopTime {
    now: Cell<Nanos>,
    /// The clock has to be read before `now` is used.
    stale: Cell<bool>,
    /// The last time that was asked for as std has it: asked for often, and slow to make.
    instant: Cell<Option<(Nanos, Instant)>>,
}

impl LoopTime {
    pub(crate) const fn new() -> Self {
        Self { now: Cell::new(0), stale: Cell::new(true), instant: Cell::new(None) }
    }
}

impl LoopState {
    /// The loop's time: read once a turn and when poll wakes, not each time it is asked for.
    pub(crate) fn now(&self) -> Nanos {
        if self.time.stale.get() { self.update_now() } else { self.time.now.get() }
    }

    /// The loop's time as std has it.
    pub(crate) fn now_instant(&self) -> Instant {
        let now = self.now();
        match self.time.instant.get() {
            Some((at, instant)) if at == now => instant,
            _ => {
                let instant = self.clock.instant(now);
                self.time.instant.set(Some((now, instant)));
                instant
            }
        }
    }

    /// Reads the clock.
    pub(crate) fn update_now(&self) -> Nanos {
        let now = self.clock.read();
        self.time.now.set(now);
        self.time.stale.set(false);
        now
    }

    /// Has the clock read at the next use. While no timer runs, a turn that does not wait needs no time, and a clock
    /// reading would be a third of what such a turn costs.
    pub(crate) fn expire_now(&self) {
        if self.clock.is_virtual() {
            self.update_now();
        } else {
            self.time.stale.set(true);
        }
    }
}
