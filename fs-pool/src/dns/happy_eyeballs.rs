//! Which address to try next, and when: Happy Eyeballs, version 2 (RFC 8305), as a machine without sockets or a clock.
//!
//! Answers, failures and the time go in; [`Race::step`] says what to do. [`Connect`](super::Connect) does it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Family;

/// The state of one connect.
pub(super) struct Race {
    preferred: Family,
    resolution_delay: Duration,
    attempt_delay: Duration,
    deadline: Option<Instant>,
    /// What was resolved and not tried: of the preferred family, and of the other.
    untried: [VecDeque<SocketAddr>; 2],
    /// Whether the family's lookup is under way.
    resolving: [bool; 2],
    /// While nothing was tried: how long the other family waits for the preferred one.
    held_until: Option<Instant>,
    last: Option<Lane>,
    /// When the next address may be tried; at once if it is not set.
    next_at: Option<Instant>,
    /// Attempts that were begun; each is known by its number.
    begun: usize,
    /// Attempts that have not failed.
    open: usize,
    attempts_max: usize,
}

/// When a race may do what.
pub(super) struct Timing {
    pub(super) resolution_delay: Duration,
    pub(super) attempt_delay: Duration,
    pub(super) deadline: Option<Instant>,
    pub(super) attempts_max: usize,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Begin to connect, and ask again.
    Attempt(usize, SocketAddr),
    /// Wait for an answer, an attempt, or this instant, and ask again.
    Wait(Option<Instant>),
    /// There is nothing left to wait for.
    Exhausted,
    /// The deadline has passed.
    TimedOut,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Preferred = 0,
    Other = 1,
}

impl Lane {
    fn opposite(self) -> Self {
        match self {
            Self::Preferred => Self::Other,
            Self::Other => Self::Preferred,
        }
    }
}

impl Race {
    /// A race that waits for the addresses of `families`.
    pub(super) fn new(preferred: Family, families: &[Family], timing: Timing) -> Self {
        let Timing { resolution_delay, attempt_delay, deadline, attempts_max } = timing;
        Self {
            preferred,
            resolution_delay,
            attempt_delay,
            deadline,
            untried: Default::default(),
            resolving: [families.contains(&preferred), families.contains(&preferred.other())],
            held_until: None,
            last: None,
            next_at: None,
            begun: 0,
            open: 0,
            attempts_max,
        }
    }

    /// A family's lookup has ended, with these addresses or with none.
    pub(super) fn resolved(&mut self, family: Family, addresses: Vec<SocketAddr>, now: Instant) {
        let lane = if family == self.preferred { Lane::Preferred } else { Lane::Other };
        self.resolving[lane as usize] = false;
        self.untried[lane as usize].extend(addresses);
        if lane == Lane::Other && self.resolving[Lane::Preferred as usize] {
            self.held_until = Some(now + self.resolution_delay);
        }
    }

    /// An attempt has failed. If it was the newest, the next may begin at once.
    pub(super) fn failed(&mut self, attempt: usize) {
        self.open -= 1;
        if attempt + 1 == self.begun {
            self.next_at = None;
        }
    }

    /// Says what to do at this time.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Step::TimedOut;
        }
        let Some(lane) = self.next_lane() else {
            let over = self.open == 0 && (self.is_at_limit() || !self.resolving.contains(&true));
            return if over { Step::Exhausted } else { Step::Wait(self.deadline) };
        };
        let hold = self.held_until.filter(|_| self.is_held());
        if let Some(wait) = hold.max(self.next_at).filter(|wait| *wait > now) {
            return Step::Wait(Some(self.deadline.map_or(wait, |deadline| deadline.min(wait))));
        }
        let address =
            self.untried[lane as usize].pop_front().expect("the lane was chosen because it has one");
        self.last = Some(lane);
        self.next_at = Some(now + self.attempt_delay);
        self.open += 1;
        self.begun += 1;
        Step::Attempt(self.begun - 1, address)
    }

    /// The families take turns, the preferred one first. Source: RFC 8305, section 4.
    fn next_lane(&self) -> Option<Lane> {
        let first = self.last.map_or(Lane::Preferred, Lane::opposite);
        let has_one = |lane: &Lane| !self.untried[*lane as usize].is_empty();
        [first, first.opposite()].into_iter().find(has_one).filter(|_| !self.is_at_limit())
    }

    /// Only the other family has answered so far. Source: RFC 8305, section 3.
    fn is_held(&self) -> bool {
        self.last.is_none() && self.resolving[Lane::Preferred as usize]
    }

    fn is_at_limit(&self) -> bool {
        self.begun >= self.attempts_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A race and the time it is told.
    struct World {
        race: Race,
        start: Instant,
        now: Instant,
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn v4(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 80).into()
    }

    fn v6(last: u16) -> SocketAddr {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 80).into()
    }

    fn world(deadline: Option<Duration>, attempts_max: usize) -> World {
        let start = Instant::now();
        let timing = Timing {
            resolution_delay: ms(50),
            attempt_delay: ms(250),
            deadline: deadline.map(|it| start + it),
            attempts_max,
        };
        let race = Race::new(Family::V6, &[Family::V6, Family::V4], timing);
        World { race, start, now: start }
    }

    impl World {
        /// Both families have answered.
        fn answered(v6s: &[u16], v4s: &[u8]) -> Self {
            let mut it = world(None, 64);
            it.race.resolved(Family::V6, v6s.iter().map(|last| v6(*last)).collect(), it.now);
            it.race.resolved(Family::V4, v4s.iter().map(|last| v4(*last)).collect(), it.now);
            it
        }

        fn step_at(&mut self, at: u64) -> Step {
            self.now = self.start + ms(at);
            self.race.step(self.now)
        }

        fn wait_until(&self, at: u64) -> Step {
            Step::Wait(Some(self.start + ms(at)))
        }
    }

    #[test]
    fn families_take_turns_and_each_attempt_waits_for_its_delay() {
        let mut it = World::answered(&[1, 2, 3], &[1]);
        assert_eq!(it.step_at(0), Step::Attempt(0, v6(1)));
        assert_eq!(it.step_at(0), it.wait_until(250));
        assert_eq!(it.step_at(249), it.wait_until(250));
        assert_eq!(it.step_at(250), Step::Attempt(1, v4(1)));
        assert_eq!(it.step_at(300), it.wait_until(500));
        assert_eq!(it.step_at(510), Step::Attempt(2, v6(2)));
        assert_eq!(it.step_at(759), it.wait_until(760));
        assert_eq!(it.step_at(760), Step::Attempt(3, v6(3)));
        assert_eq!(it.step_at(9999), Step::Wait(None));
    }

    #[test]
    fn the_failure_of_the_newest_attempt_begins_the_next_at_once() {
        let mut it = World::answered(&[1, 2], &[1]);
        assert_eq!(it.step_at(0), Step::Attempt(0, v6(1)));
        it.race.failed(0);
        assert_eq!(it.step_at(1), Step::Attempt(1, v4(1)));
        assert_eq!(it.step_at(2), it.wait_until(251));
    }

    #[test]
    fn the_failure_of_an_older_attempt_hurries_nothing() {
        let mut it = World::answered(&[1, 2], &[1]);
        assert_eq!(it.step_at(0), Step::Attempt(0, v6(1)));
        assert_eq!(it.step_at(250), Step::Attempt(1, v4(1)));
        it.race.failed(0);
        assert_eq!(it.step_at(260), it.wait_until(500));
    }

    #[test]
    fn it_is_exhausted_when_every_attempt_has_failed() {
        let mut it = World::answered(&[1], &[1]);
        assert_eq!(it.step_at(0), Step::Attempt(0, v6(1)));
        it.race.failed(0);
        assert_eq!(it.step_at(0), Step::Attempt(1, v4(1)));
        assert_eq!(it.step_at(1), Step::Wait(None));
        it.race.failed(1);
        assert_eq!(it.step_at(2), Step::Exhausted);
        assert_eq!(World::answered(&[], &[]).step_at(0), Step::Exhausted);
    }

    #[test]
    fn the_preferred_family_does_not_wait_for_the_other() {
        let mut it = world(None, 64);
        assert_eq!(it.step_at(0), Step::Wait(None));
        it.race.resolved(Family::V6, vec![v6(1)], it.now);
        assert_eq!(it.step_at(0), Step::Attempt(0, v6(1)));
        assert_eq!(it.step_at(1), Step::Wait(None));
        it.race.resolved(Family::V4, vec![v4(1)], it.now);
        assert_eq!(it.step_at(2), it.wait_until(250));
        assert_eq!(it.step_at(250), Step::Attempt(1, v4(1)));
    }

    #[test]
    fn the_other_family_waits_for_the_preferred_one_for_the_resolution_delay() {
        let mut it = world(None, 64);
        assert_eq!(it.step_at(10), Step::Wait(None));
        it.race.resolved(Family::V4, vec![v4(1)], it.now);
        assert_eq!(it.step_at(10), it.wait_until(60));
        assert_eq!(it.step_at(60), Step::Attempt(0, v4(1)));
        // What comes later takes its turn.
        it.race.resolved(Family::V6, vec![v6(1), v6(2)], it.now);
        assert_eq!(it.step_at(310), Step::Attempt(1, v6(1)));
    }

    #[test]
    fn the_answer_of_the_preferred_family_ends_the_resolution_delay_even_if_it_is_empty() {
        let mut it = world(None, 64);
        it.race.resolved(Family::V4, vec![v4(1)], it.now);
        assert_eq!(it.step_at(0), it.wait_until(50));
        it.race.resolved(Family::V6, vec![], it.now);
        assert_eq!(it.step_at(20), Step::Attempt(0, v4(1)));

        let mut it = world(None, 64);
        it.race.resolved(Family::V4, vec![v4(1)], it.now);
        it.race.resolved(Family::V6, vec![v6(1)], it.now);
        assert_eq!(it.step_at(20), Step::Attempt(0, v6(1)));
    }

    #[test]
    fn an_address_that_comes_after_all_have_failed_is_tried_at_once() {
        let mut it = world(None, 64);
        it.race.resolved(Family::V6, vec![v6(1)], it.now);
        assert_eq!(it.step_at(0), Step::Attempt(0, v6(1)));
        it.race.failed(0);
        assert_eq!(it.step_at(1), Step::Wait(None));
        it.race.resolved(Family::V4, vec![v4(1)], it.now);
        assert_eq!(it.step_at(2), Step::Attempt(1, v4(1)));
    }

    #[test]
    fn the_deadline_ends_whatever_is_waited_for() {
        let mut it = world(Some(ms(300)), 64);
        assert_eq!(it.step_at(0), it.wait_until(300));
        it.race.resolved(Family::V6, vec![v6(1), v6(2), v6(3)], it.now);
        assert_eq!(it.step_at(0), Step::Attempt(0, v6(1)));
        assert_eq!(it.step_at(250), Step::Attempt(1, v6(2)));
        assert_eq!(it.step_at(250), it.wait_until(300)); // and not 500
        assert_eq!(it.step_at(300), Step::TimedOut);
    }

    #[test]
    fn no_more_addresses_are_tried_than_the_limit_says() {
        let mut it = world(None, 2);
        it.race.resolved(Family::V6, vec![v6(1), v6(2), v6(3)], it.now);
        for attempt in 0..2 {
            assert!(matches!(it.step_at(0), Step::Attempt(..)));
            it.race.failed(attempt);
        }
        assert_eq!(it.step_at(0), Step::Exhausted, "although the other family has not answered");
    }

    #[test]
    fn one_family_alone_needs_no_other() {
        let timing =
            Timing { resolution_delay: ms(50), attempt_delay: ms(250), deadline: None, attempts_max: 64 };
        let now = Instant::now();
        let mut race = Race::new(Family::V6, &[Family::V4], timing);
        assert_eq!(race.step(now), Step::Wait(None));
        race.resolved(Family::V4, vec![v4(1)], now);
        assert_eq!(race.step(now), Step::Attempt(0, v4(1)));
    }
}
