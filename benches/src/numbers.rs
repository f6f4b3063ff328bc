//! The same pseudo-random numbers for every contestant.

use std::time::Duration;

/// A xorshift generator: fast, and the same sequence in every run.
pub struct Numbers {
    state: u64,
}

impl Numbers {
    /// Starts the sequence.
    pub fn new() -> Self {
        Numbers { state: 0x9E37_79B9_7F4A_7C15 }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        low + self.state % (high - low + 1)
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::new()
    }
}

/// `count` delays from `low` to `high` milliseconds.
pub fn delays_ms(count: u64, low: u64, high: u64) -> Vec<u64> {
    let mut numbers = Numbers::new();
    (0..count).map(|_| numbers.between(low, high)).collect()
}

/// The same delays as durations.
pub fn delays(count: u64, low: u64, high: u64) -> Vec<Duration> {
    delays_ms(count, low, high).into_iter().map(Duration::from_millis).collect()
}
