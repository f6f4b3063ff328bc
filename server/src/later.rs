//! Times to come.

use std::time::{Duration, Instant};

/// A century: longer than anybody waits, and less than an [`Instant`] holds.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// So much later, or as good as never: [`Duration::MAX`] is no time at all.
pub(crate) fn later(from: Instant, by: Duration) -> Instant {
    from.checked_add(by.min(FAR)).unwrap_or(from)
}
