//! What is true of a timer on Node's lists, in a byte: with more it would not fit in a cache line.

/// What is true of a timer or is not, a bit each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    /// It keeps the loop alive while it is armed.
    pub(super) const REFERENCED: Self = Self(1);
    /// It has a list of its own.
    pub(super) const OWN: Self = Self(2);
    /// It has run at least once.
    pub(super) const CALLED: Self = Self(4);
    /// It is an interval.
    pub(super) const REPEATS: Self = Self(8);

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) fn set(&mut self, flag: Self, value: bool) {
        self.0 = if value { self.0 | flag.0 } else { self.0 & !flag.0 };
    }
}
