//! Where a loop gets time: the system's monotonic clock, or one that a test moves.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Nanoseconds since a clock was made. 2^64 of them are 584 years.
pub(crate) type Nanos = u64;

/// The largest instant a loop can name. What is due then is never due.
pub(crate) const NEVER: Nanos = Nanos::MAX;

/// A source of monotonic time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    virtual_now: Option<Rc<Cell<Nanos>>>,
}

impl Clock {
    pub(crate) fn system() -> Self {
        Self { origin: Instant::now(), virtual_now: None }
    }

    pub(crate) fn virtual_time() -> Self {
        Self { origin: Instant::now(), virtual_now: Some(Rc::new(Cell::new(0))) }
    }

    /// Reads the clock. Never goes back.
    pub(crate) fn read(&self) -> Nanos {
        match &self.virtual_now {
            Some(now) => now.get(),
            None => nanos(self.origin.elapsed()),
        }
    }

    pub(crate) fn is_virtual(&self) -> bool {
        self.virtual_now.is_some()
    }

    /// Moves virtual time on to `instant`, if that is ahead. The system's clock stays as it is.
    pub(crate) fn advance_to(&self, instant: Nanos) {
        if let Some(now) = &self.virtual_now {
            now.set(now.get().max(instant));
        }
    }

    /// The instant as std knows it. Saturates where std can not name it.
    pub(crate) fn instant(&self, at: Nanos) -> Instant {
        let far = || self.origin + Duration::from_secs(u32::MAX.into());
        self.origin.checked_add(Duration::from_nanos(at)).unwrap_or_else(far)
    }

    /// An instant of std on this clock; those before the clock was made are its beginning.
    pub(crate) fn nanos_at(&self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.origin))
    }
}

/// A duration in nanoseconds; what does not fit is `NEVER`.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::{Clock, NEVER, nanos};
    use std::time::Duration;

    #[test]
    fn virtual_time_moves_only_when_told_and_never_back() {
        let clock = Clock::virtual_time();
        assert_eq!(clock.read(), 0);
        clock.advance_to(7);
        clock.advance_to(3);
        assert_eq!(clock.read(), 7);
    }

    #[test]
    fn instants_survive_the_round_trip_and_the_end_of_the_range() {
        let clock = Clock::system();
        assert_eq!(clock.nanos_at(clock.instant(1_234_567_890)), 1_234_567_890);
        assert!(clock.instant(NEVER) > clock.instant(u64::from(u32::MAX)));
        assert_eq!(nanos(Duration::MAX), NEVER);
    }
}
