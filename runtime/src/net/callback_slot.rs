//! A callback that runs again and again, and may do anything to its socket while it runs.

use std::cell::Cell;

/// The place of a callback. It is empty while the callback runs: so the callback may replace or stop itself, or drop what it
/// belongs to, and no borrow is held.
pub(crate) struct CallbackSlot<F: ?Sized> {
    callback: Cell<Option<Box<F>>>,
    /// Counts starts, so that a callback that was replaced in its own call is not put back.
    starts: Cell<u32>,
    is_on: Cell<bool>,
}

impl<F: ?Sized> Default for CallbackSlot<F> {
    fn default() -> Self {
        Self { callback: Cell::new(None), starts: Cell::new(0), is_on: Cell::new(false) }
    }
}

impl<F: ?Sized> CallbackSlot<F> {
    /// Puts a callback there. Gives the old one, for the caller to drop when all else is in order.
    #[must_use = "it may own anything, so where it is dropped matters"]
    pub(crate) fn start(&self, callback: Box<F>) -> Option<Box<F>> {
        self.is_on.set(true);
        self.starts.set(self.starts.get().wrapping_add(1));
        self.callback.replace(Some(callback))
    }

    /// Takes the callback away, for the caller to drop or to call a last time.
    #[must_use = "it may own anything, so where it is dropped matters"]
    pub(crate) fn stop(&self) -> Option<Box<F>> {
        self.is_on.set(false);
        self.callback.take()
    }

    /// True from `start` to `stop`, also while the callback runs.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Calls the callback by `call`, if one is there, and puts it back, also if it panicked.
    pub(crate) fn call(&self, call: impl FnOnce(&mut F)) {
        let mut running = PutBack { slot: self, start: self.starts.get(), callback: self.callback.take() };
        if let Some(callback) = &mut running.callback {
            call(callback);
        }
    }
}

/// Puts a callback back after its call, unless it was stopped or replaced in it.
struct PutBack<'a, F: ?Sized> {
    slot: &'a CallbackSlot<F>,
    start: u32,
    callback: Option<Box<F>>,
}

impl<F: ?Sized> Drop for PutBack<'_, F> {
    fn drop(&mut self) {
        if self.slot.is_on.get() && self.slot.starts.get() == self.start {
            self.slot.callback.set(self.callback.take());
        }
    }
}
