//! A callback that may be called many times, and may do anything while it runs.

use std::cell::RefCell;

use phaseloop::LoopHandle;

/// Holds a callback that is told of an event of `C`.
pub(super) struct Slot<C, A>(RefCell<Option<Callback<C, A>>>);

type Callback<C, A> = Box<dyn FnMut((C, A))>;

impl<C, A> Default for Slot<C, A> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<C: Clone + 'static, A: 'static> Slot<C, A> {
    pub(super) fn set(&self, lp: &LoopHandle, mut callback: impl FnMut(&C, A) + 'static) {
        let bound = lp.bind_context(move |(control, argument): (C, A)| callback(&control, argument));
        let old = self.0.replace(Some(Box::new(bound)));
        drop(old);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Calls it, with no borrow held. What it sets in its own place stays.
    pub(super) fn call(&self, control: &C, argument: A) {
        let Some(callback) = self.0.take() else { return };
        let mut running = Running { slot: self, callback: Some(callback) };
        if let Some(callback) = &mut running.callback {
            callback((control.clone(), argument));
        }
    }

    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}

/// Puts the callback back, also when it panics.
struct Running<'a, C, A> {
    slot: &'a Slot<C, A>,
    callback: Option<Callback<C, A>>,
}

impl<C, A> Drop for Running<'_, C, A> {
    fn drop(&mut self) {
        let mut slot = self.slot.0.borrow_mut();
        if slot.is_none() {
            *slot = self.callback.take();
        }
    }
}
