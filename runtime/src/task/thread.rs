//! A number for the running thread that is cheap to read and never reused.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(not(loom))]
thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
// Loom runs its threads on one of the system's, which would all have one number.
#[cfg(loom)]
loom::thread_local!(static NUMBER: Cell<u64> = Cell::new(0));

/// The running thread, as a waker compares it with the thread of its loop.
///
/// Unlike the address of a thread-local, a number is never given to a second thread, so a waker that outlives its
/// loop's thread can not mistake another thread for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadNumber(u64);

impl ThreadNumber {
    /// The number of the thread that asks.
    pub(crate) fn current() -> Self {
        NUMBER.with(|number| match number.get() {
            0 => Self(assign(number)),
            assigned => Self(assigned),
        })
    }
}

#[cold]
fn assign(number: &Cell<u64>) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only uniqueness is asked for, nothing is published with the number.
    number.set(NEXT.fetch_add(1, Ordering::Relaxed));
    number.get()
}

#[cfg(test)]
mod tests {
    use super::ThreadNumber;

    #[test]
    fn threads_differ_and_a_thread_stays_itself() {
        let here = ThreadNumber::current();
        let there = std::thread::spawn(ThreadNumber::current).join().unwrap();
        assert_ne!(here, there);
        assert_eq!(here, ThreadNumber::current());
    }
}
