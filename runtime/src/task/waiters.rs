//! Tasks that wait for the same thing.

use std::task::Waker;

/// The wakers of tasks that wait for one thing, each once.
///
/// One that nobody needs any more, since its future was dropped or is polled with another, can not be told from the rest. So
/// when they are many all are asked, by a wake: who still waits comes back, and who has not come back by the next time is
/// forgotten.
///
/// INVARIANT quiet: to be asked is no reason to ask again. Those who come back by the same waker are known and do not count,
/// those who come back by another are no more than were asked, and those who are slow have two turns.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Came since the others were asked.
    new: Vec<Waker>,
    /// Were asked and have not come back.
    asked: Vec<Waker>,
    /// Came back.
    known: Vec<Waker>,
    /// The turn in which they were asked.
    asked_in: u64,
}

/// How many new ones are a reason to ask, if there are not more of the others.
const NEW_MAX: usize = 64;

/// Turns that those asked have to come back: a task that yields is polled in the check phase of the next one.
const TURNS_TO_ANSWER: u64 = 2;

impl Waiters {
    /// Notes who waits, in this turn of its loop. Gives those who are to be woken, outside of any borrow.
    #[must_use = "who is not woken may wait for ever"]
    pub(crate) fn join(&mut self, waker: &Waker, turn: u64) -> Vec<Waker> {
        let is_it = |other: &Waker| other.will_wake(waker);
        if self.new.iter().chain(&self.known).any(is_it) {
            return Vec::new();
        }
        if let Some(at) = self.asked.iter().position(is_it) {
            self.known.push(self.asked.remove(at));
            return Vec::new();
        }
        self.new.push(waker.clone());
        let many = NEW_MAX.max(self.known.len()).max(self.asked.len());
        if self.new.len() <= many || turn.wrapping_sub(self.asked_in) < TURNS_TO_ANSWER {
            return Vec::new();
        }
        self.asked_in = turn;
        // Those who are forgotten are woken too: their wakers must not be dropped here, where something may be borrowed.
        let mut woken = std::mem::take(&mut self.asked);
        self.asked.append(&mut self.known);
        self.asked.append(&mut self.new);
        woken.extend(self.asked.iter().cloned());
        woken
    }

    /// Takes all who wait, in the order in which they came.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let Self { new, asked, known, .. } = std::mem::take(self);
        known.into_iter().chain(asked).chain(new)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::Waiters;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wakers(count: usize) -> Vec<(Arc<Count>, Waker)> {
        let make = |_| {
            let count = Arc::new(Count::default());
            (Arc::clone(&count), Waker::from(count))
        };
        (0..count).map(make).collect()
    }

    /// Has those who were woken wait again until nobody is woken any more, `rounds` at most a turn.
    fn settle(waiters: &mut Waiters, all: &[(Arc<Count>, Waker)], mut turn: u64) -> u64 {
        for _ in 0..1000 {
            let woken: Vec<_> =
                all.iter().filter(|(count, _)| count.0.swap(0, Ordering::Relaxed) > 0).collect();
            if woken.is_empty() {
                return turn;
            }
            turn += 1;
            for (_, waker) in woken {
                waiters.join(waker, turn).into_iter().for_each(Waker::wake);
            }
        }
        panic!("they ask each other for ever");
    }

    #[test]
    fn any_number_of_waiters_come_to_rest_and_none_is_forgotten() {
        for count in [1, 64, 65, 1025, 1026, 5000] {
            let (mut waiters, all) = (Waiters::default(), wakers(count));
            for first in [1, 2, 9] {
                for (_, waker) in &all {
                    waiters.join(waker, first).into_iter().for_each(Waker::wake);
                }
                let turn = settle(&mut waiters, &all, first);
                assert!(turn < first + 30, "{count} waiters were asked for {turn} turns");
            }
            waiters.take().for_each(Waker::wake);
            assert!(
                all.iter().all(|(told, _)| told.0.load(Ordering::Relaxed) > 0),
                "one of {count} is forgotten"
            );
        }
    }

    #[test]
    fn wakers_that_nobody_needs_are_forgotten_and_living_ones_are_not() {
        let (mut waiters, living) = (Waiters::default(), wakers(10));
        for turn in 0..3000 {
            for (_, waker) in living.iter().chain(&wakers(30)) {
                waiters.join(waker, turn).into_iter().for_each(Waker::wake);
            }
        }
        let left = waiters.take().count();
        assert!(left < 1000, "{left} of 90,000 are kept");
    }

    #[test]
    fn those_who_come_back_under_another_name_are_no_reason_to_ask_again() {
        let mut waiters = Waiters::default();
        let mut asked = 0;
        for turn in 3..1000 {
            // Whoever was asked comes back as somebody else, and in the first turn they all come.
            let back = if turn == 3 { 500 } else { std::mem::take(&mut asked) };
            for (_, waker) in wakers(back) {
                asked += waiters.join(&waker, turn).len();
            }
        }
        assert_eq!(asked, 0, "they ask each other for ever");
    }
}
