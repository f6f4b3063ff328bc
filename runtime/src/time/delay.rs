//! How long after its start a timer of Node's lists is due.

/// Milliseconds.
pub(crate) type Millis = u64;

/// How long after its start a timer is due. Timers of one delay share a list, and so do those whose delays differ by less
/// than a microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delay {
    micros: u64,
}

impl Delay {
    pub(crate) const fn from_millis(millis: Millis) -> Self {
        Self { micros: millis * MICROS_PER_MILLI }
    }

    pub(crate) const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// In milliseconds, rounded up.
    pub(crate) const fn millis(self) -> Millis {
        self.micros.div_ceil(MICROS_PER_MILLI)
    }

    pub(crate) const fn micros(self) -> u64 {
        self.micros
    }

    pub(crate) fn is_zero(self) -> bool {
        self.micros == 0
    }

    pub(super) fn is_over(self, elapsed: Millis) -> bool {
        elapsed.saturating_mul(MICROS_PER_MILLI) >= self.micros
    }
}

const MICROS_PER_MILLI: u64 = 1000;
