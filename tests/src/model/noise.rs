//! What a program must not depend on: how long things take, and what the poll phase does by accident.

use crate::random::Random;

/// Delays and accidents. The defaults are a machine on which nothing takes time.
pub trait Noise {
    /// Milliseconds by which the next operation, callback or phase is late.
    fn delay(&mut self) -> f64 {
        0.0
    }

    /// Milliseconds until a pool job that was submitted now is done.
    fn pool_delay(&mut self) -> f64 {
        0.0
    }

    /// Whether the poll phase stops waiting for no reason.
    fn wakes_early(&mut self) -> bool {
        false
    }

    /// Whether a task of the engine drains the queues here, in the poll phase.
    fn drains_by_accident(&mut self) -> bool {
        false
    }

    /// Whether the stream comes before the pool when both are ready.
    fn stream_first(&mut self) -> bool {
        false
    }

    /// How many poll phases an echo takes.
    fn echo_hops(&mut self) -> u32 {
        3
    }
}

/// No noise.
pub struct Quiet;

impl Noise for Quiet {}

/// Noise within the bounds that FORMAT.md sets for a program that is well defined: operations, callbacks and
/// phases are up to 30 ms late, pool jobs take up to 25 ms, and the poll phase wakes up as it likes.
pub struct Jitter {
    random: Random,
    delay_max: u64,
    /// One operation in so many is late.
    late_one_in: u64,
}

impl Jitter {
    /// The noise of that seed. Seeds differ in how often something is late, too.
    pub fn new(seed: u64) -> Jitter {
        Jitter::up_to(30, seed)
    }

    /// The same, but nothing is more than `delay_max` milliseconds late, except for pool jobs.
    pub fn up_to(delay_max: u64, seed: u64) -> Jitter {
        let mut random = Random::new(seed);
        let late_one_in = [1, 2, 6, 20][random.below(4) as usize];
        Jitter { random, delay_max, late_one_in }
    }

    fn some_of(&mut self, ms: u64) -> f64 {
        // The ends matter most: half of all delays are none or the longest.
        match self.random.below(4) {
            0 => 0.0,
            1 => ms as f64,
            _ => self.random.below(ms + 1) as f64,
        }
    }
}

impl Noise for Jitter {
    fn delay(&mut self) -> f64 {
        if self.random.below(self.late_one_in) == 0 { self.some_of(self.delay_max) } else { 0.0 }
    }

    fn pool_delay(&mut self) -> f64 {
        self.some_of(25)
    }

    fn wakes_early(&mut self) -> bool {
        self.random.below(4) == 0
    }

    fn drains_by_accident(&mut self) -> bool {
        self.random.below(2) == 0
    }

    fn stream_first(&mut self) -> bool {
        self.random.below(2) == 0
    }

    fn echo_hops(&mut self) -> u32 {
        1 + self.random.below(6) as u32
    }
}
