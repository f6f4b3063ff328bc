//! How a list of timers is found: by the delay of its timers, or by its only timer.

use super::delay::Delay;
use std::hash::Hasher;

/// Which timers share a list: those of one delay, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ListName(u64);

impl ListName {
    /// Set in the names of lists that a single timer has for itself. Delays end below, at 2^41 microseconds.
    const OWN: u64 = 1 << 63;

    pub(super) fn of(delay: Delay) -> Self {
        Self(delay.micros())
    }

    pub(super) fn own(index: u32) -> Self {
        Self(Self::OWN | u64::from(index))
    }

    pub(super) fn is_own(self) -> bool {
        self.0 & Self::OWN != 0
    }
}

/// Spreads a delay over the table. Delays are chosen by the program, not by its peers, so this need not be
/// proof against an adversary.
#[derive(Default)]
pub(super) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }
}
