//! Looking for work for a moment before sleeping, as long as that pays.

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

/// How long one worker spins: the whole time after a success, half as long after each failure, and then not at all but
/// for a trial now and then.
pub(crate) struct Spin {
    time_max: Duration,
    time: Duration,
    /// Times this worker went to sleep without spinning.
    skipped: u32,
    active: bool,
    tried: bool,
}

/// Below this a spin ends before another thread could have answered.
const TIME_MIN: Duration = Duration::from_micros(1);
/// Sleeps between two trials while spinning does not pay.
const SKIPS: u32 = 64;

impl Spin {
    pub(crate) fn new(time_max: Duration) -> Self {
        Self { time_max, time: time_max, skipped: 0, active: false, tried: false }
    }

    /// Says whether to spin now. It is once between two bites at most.
    pub(crate) fn begin(&mut self) -> bool {
        if self.tried || self.time_max < TIME_MIN {
            return false;
        }
        if self.time < TIME_MIN {
            self.skipped += 1;
            if self.skipped < SKIPS {
                return false;
            }
            self.skipped = 0;
            self.time = self.time_max;
        }
        self.active = true;
        self.tried = true;
        true
    }

    /// Spins until `ready` or until the time is over. With `lets_go` whoever waits for this very CPU goes first: where jobs come
    /// one by one, that is who gives the next.
    pub(crate) fn until(&mut self, lets_go: bool, ready: impl Fn() -> bool) {
        if lets_go {
            thread::yield_now();
        }
        let deadline = Instant::now() + self.time;
        loop {
            for _ in 0..32 {
                if ready() {
                    self.time = self.time_max;
                    return;
                }
                hint::spin_loop();
            }
            if Instant::now() >= deadline {
                self.time /= 2;
                return;
            }
        }
    }

    /// The spin, if there was one, is over.
    pub(crate) fn end(&mut self) -> bool {
        std::mem::take(&mut self.active)
    }

    /// There was work: the next time there is none, spin again.
    pub(crate) fn succeeded(&mut self) {
        self.tried = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spinning_that_does_not_pay_fades_and_is_tried_again_later() {
        let mut spin = Spin::new(Duration::from_micros(8));
        let mut spun = Vec::new();
        for sleep in 0..200 {
            if spin.begin() {
                spun.push(sleep);
                spin.until(false, || false);
                spin.end();
            }
            spin.succeeded();
        }
        assert_eq!(spun[..5], [0, 1, 2, 3, 67]);
    }

    #[test]
    fn a_time_of_zero_turns_it_off() {
        assert!(!Spin::new(Duration::ZERO).begin());
    }
}
