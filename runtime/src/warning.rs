//! What a program did that works, but hardly as it was meant.

use std::fmt;

/// A warning, as [`LoopHandle::on_warning`](crate::LoopHandle::on_warning) gets it.
///
/// It is displayed as Node names it. Source: SEMANTICS T2, V6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A delay above 2^31 - 1 ms became 1 ms. Each time.
    TimeoutOverflow,
    /// A negative delay became 1 ms. Once in the life of a loop.
    TimeoutNegative,
    /// A delay that is not a number became 1 ms. Once in the life of a loop.
    TimeoutNaN,
    /// An event has more listeners than its emitter's limit: a likely leak. An emitter belongs to no loop, so its
    /// [leak hook](crate::EventEmitter::on_leak) has to pass it on.
    MaxListenersExceeded,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimeoutOverflow => "TimeoutOverflowWarning",
            Self::TimeoutNegative => "TimeoutNegativeWarning",
            Self::TimeoutNaN => "TimeoutNaNWarning",
            Self::MaxListenersExceeded => "MaxListenersExceededWarning",
        })
    }
}
