//! Loom's types behind the signatures that parking_lot and std have. Time does not pass in a model: a wait with a
//! deadline waits without one.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

pub(crate) use loom::sync::atomic::AtomicBool;
pub(crate) use loom::thread::{Thread, current, park};

pub(crate) fn park_timeout(_timeout: Duration) {
    park();
}

#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().expect("a model does not go on after a panic")))
    }
}

/// Holds the guard in an `Option`, because loom's condition variable takes it by value.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only empty inside a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("only empty inside a wait")
    }
}

#[derive(Debug)]
pub(crate) struct Condvar(loom::sync::Condvar);

#[derive(Debug)]
pub(crate) struct WaitTimeoutResult;

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        false
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let inner = guard.0.take().expect("only empty inside a wait");
        guard.0 = Some(self.0.wait(inner).expect("a model does not go on after a panic"));
    }

    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult
    }
}
