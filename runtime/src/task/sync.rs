//! The atomics that are shared with other threads: std's, or loom's when a model is checked.

#[cfg(not(loom))]
pub(crate) use std::sync::Arc;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
// The trait objects that a task shares need std's `Arc`; what loom checks are the atomics inside.
#[cfg(loom)]
pub(crate) use std::sync::Arc;

/// A lock that a panic does not poison: parking_lot's, or loom's.
#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;

/// Loom's lock in the shape of parking_lot's.
#[cfg(loom)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no thread panics while it holds the lock")
    }
}
