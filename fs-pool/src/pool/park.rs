//! How a worker sleeps and is woken. See README.md, "Parking".

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::sync::{AtomicBool, Thread, current, park, park_timeout};

/// One worker's bed.
///
/// INVARIANT woken: who removes a worker from the idle list calls `wake` on it once, and the worker, having entered
/// the list, does not leave `sleep` without it (or without having removed itself, under the state's lock).
pub(crate) struct Parker {
    /// Set by `wake` and cleared by `sleep`. Release pairs with the acquire in `sleep`; the jobs themselves are
    /// published by the state's lock.
    woken: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { woken: AtomicBool::new(false), thread: OnceLock::new() }
    }

    /// Called by the worker on its own thread, before it first enters the idle list.
    pub(crate) fn adopt(&self) {
        self.thread.get_or_init(current);
    }

    /// Wakes the worker.
    pub(crate) fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Sleeps until `wake`, or until the deadline. True if woken.
    pub(crate) fn sleep(&self, deadline: Option<Instant>) -> bool {
        loop {
            // A wake between this look and the park leaves the thread's token set, and the park returns at once.
            if self.woken.load(Ordering::Acquire) {
                // Nobody wakes again before this worker is back in the list. Published by the lock it takes for that.
                self.woken.store(false, Ordering::Relaxed);
                return true;
            }
            match deadline {
                None => park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    park_timeout(left);
                }
            }
        }
    }
}

/// The workers that sleep, by index; the last to fall asleep is the first to be woken, since its caches are warm and
/// the others can reach their idle timeout. Kept under the state's lock.
#[derive(Debug, Default)]
pub(crate) struct IdleList(Vec<usize>);

impl IdleList {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push(&mut self, worker: usize) {
        debug_assert!(!self.0.contains(&worker));
        self.0.push(worker);
    }

    pub(crate) fn pop(&mut self) -> Option<usize> {
        self.0.pop()
    }

    /// Removes one worker. False if it was not there, so that somebody is about to wake it.
    pub(crate) fn remove(&mut self, worker: usize) -> bool {
        let place = self.0.iter().position(|it| *it == worker);
        place.map(|place| self.0.remove(place)).is_some()
    }
}
