//! A value that only the thread it was made on can touch.

use std::mem::ManuallyDrop;
use std::thread::{self, ThreadId};

// Read from here, not from `thread::current`, which counts a reference. A `ThreadId` is never given to a second thread.
thread_local!(static HERE: ThreadId = thread::current().id());

/// Holds `value` for the thread that made it. Dropped on another thread, it leaks the value.
pub(super) struct Homed<T> {
    /// INVARIANT home: touched on the thread `home` only; elsewhere its bytes are moved, and nothing reads them.
    value: ManuallyDrop<T>,
    home: ThreadId,
}

// SAFETY: by INVARIANT home another thread can move the value's bytes, which every value allows, and do nothing else.
unsafe impl<T> Send for Homed<T> {}

// SAFETY: by INVARIANT home another thread that shares this sees `home` alone, which is `Sync`.
unsafe impl<T> Sync for Homed<T> {}

impl<T> Homed<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), home: here() }
    }

    /// True on the thread that may touch the value.
    pub(super) fn is_home(&self) -> bool {
        self.home == here()
    }

    /// The value, or `None` on another thread.
    pub(super) fn get(&self) -> Option<&T> {
        self.is_home().then_some(&*self.value)
    }

    /// The value, or `None` on another thread.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.is_home().then_some(&mut *self.value)
    }

    /// Takes the value out.
    ///
    /// # Errors
    /// Itself, on another thread.
    pub(super) fn into_inner(self) -> Result<T, Self> {
        if !self.is_home() {
            return Err(self);
        }
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again, so the value has one owner: the caller.
        Ok(unsafe { ManuallyDrop::take(&mut this.value) })
    }
}

impl<T> Drop for Homed<T> {
    fn drop(&mut self) {
        if self.is_home() {
            // SAFETY: this is the value's thread, and nothing uses the value after its holder was dropped.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

fn here() -> ThreadId {
    HERE.with(|id| *id)
}
