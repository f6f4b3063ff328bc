//! The door of one class: how many jobs may wait, and what is counted outside of the lock.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::metrics::ClassCounts;
use super::sync::Condvar;
use super::{ClassSpec, WhenFull};

pub(crate) struct Gate {
    pub(crate) spec: ClassSpec,
    pub(crate) counts: ClassCounts,
    /// Jobs that hold a place: staged or queued. Relaxed: a place is a number and publishes nothing.
    /// INVARIANT room: places are freed under the state's lock, so that who looks for room under it and then waits
    /// misses none.
    held: AtomicUsize,
    /// High jobs in the lane; a worker that eats normal ones looks at it between two. Relaxed: a hint.
    high: AtomicUsize,
    /// Where blocked submitters wait, with the state's lock.
    pub(crate) room: Condvar,
}

impl Gate {
    pub(crate) fn new(spec: ClassSpec) -> Self {
        let (held, high) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { spec, counts: ClassCounts::default(), held, high, room: Condvar::new() }
    }

    pub(crate) fn when_full(&self) -> WhenFull {
        self.spec.when_full
    }

    /// Takes a place for one job. False if the class is full.
    pub(crate) fn try_enter(&self) -> bool {
        let more = |held| (held < self.spec.queue_len_max).then_some(held + 1);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Takes places for jobs that a worker gives back, whether or not there is room: a few bites at most.
    pub(crate) fn enter_again(&self, jobs: usize) {
        self.held.fetch_add(jobs, Ordering::Relaxed);
    }

    /// Frees places. The caller holds the state's lock, and then tells who waits.
    pub(crate) fn leave(&self, jobs: usize) {
        self.held.fetch_sub(jobs, Ordering::Relaxed);
    }

    pub(crate) fn room(&self) -> usize {
        self.spec.queue_len_max.saturating_sub(self.held.load(Ordering::Relaxed))
    }

    /// The room that is worth telling the owners of late jobs: moving them one by one would cost a wake each.
    pub(crate) fn room_worth_telling(&self) -> usize {
        (self.spec.queue_len_max / 4).max(1)
    }

    pub(crate) fn set_high(&self, jobs: usize) {
        self.high.store(jobs, Ordering::Relaxed);
    }

    pub(crate) fn has_high(&self) -> bool {
        self.high.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_class_lets_none_in_until_one_leaves() {
        let gate = Gate::new(ClassSpec::new("a").queue_len_max(2));
        assert!(gate.try_enter() && gate.try_enter());
        assert!(!gate.try_enter());
        gate.leave(1);
        assert!(gate.try_enter());
    }
}
