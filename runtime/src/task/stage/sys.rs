//! The place of a future in its task, and of the outcome after it.
//!
//! A union and a word beside it, rather than an enum: an enum that is stored is copied in full, and a future may have kilobytes
//! where its outcome has none.
//!
//! INVARIANT holds: `holds` says which field of `place` is initialized, if any. It is `Nothing` while that is dropped or moved
//! out, so that whoever looks meanwhile, or after a panic, touches neither field.

use std::any::Any;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a panic left: the payload that `std::panic::catch_unwind` gave.
pub(crate) type Payload = Box<dyn Any + Send>;

/// What a task came to.
pub(crate) enum Outcome<T> {
    Output(T),
    Cancelled,
    Panicked(Payload),
}

/// A future, its outcome, or nothing any more.
pub(crate) struct Stage<F: Future> {
    holds: Holds,
    place: Place<F>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Future,
    Outcome,
    Nothing,
}

// The layout of C: each field begins where the union does.
#[repr(C)]
union Place<F: Future> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Outcome<F::Output>>,
}

impl<F: Future> Stage<F> {
    /// Begins with a future, which is copied once: to where it stays.
    #[inline]
    pub(crate) fn begin(slot: &mut MaybeUninit<Self>, future: F) {
        let stage = slot.as_mut_ptr();
        // SAFETY: the field is within `slot`.
        let holds = unsafe { &raw mut (*stage).holds };
        // SAFETY: as above.
        let place = unsafe { &raw mut (*stage).place };
        // SAFETY: the pointer is to memory that `slot` borrows.
        unsafe { holds.write(Holds::Future) };
        // SAFETY: as above, and the future begins where `place` does.
        unsafe { place.cast::<F>().write(future) };
    }

    /// Polls the future; true if it is done and the outcome in its place. A panic is an outcome.
    #[inline]
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        // SAFETY: the future is not moved: it is polled, and dropped by `end` in place.
        let stage = unsafe { self.get_unchecked_mut() };
        if stage.holds != Holds::Future {
            return true;
        }
        // SAFETY: there is a future (INVARIANT holds).
        let future = unsafe { &mut *stage.place.future };
        // SAFETY: `self` was pinned, and the future lies in it.
        let future = unsafe { Pin::new_unchecked(future) };
        let outcome = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(output)) => Outcome::Output(output),
            Err(payload) => Outcome::Panicked(payload),
        };
        stage.end(outcome);
        true
    }

    /// Drops the future: the outcome is that the task was cancelled.
    pub(crate) fn cancel(self: Pin<&mut Self>) {
        // SAFETY: the future is not moved, but dropped in place.
        unsafe { self.get_unchecked_mut() }.end(Outcome::Cancelled);
    }

    /// Drops the outcome. A panic that it is, or that this causes, is given back.
    pub(crate) fn clear(self: Pin<&mut Self>) -> Option<Payload> {
        debug_assert!(self.holds != Holds::Future, "only a complete task is cleared");
        match self.take()? {
            Outcome::Panicked(payload) => Some(payload),
            Outcome::Output(output) => catch_unwind(AssertUnwindSafe(|| drop(output))).err(),
            Outcome::Cancelled => None,
        }
    }

    /// Moves the outcome out, if there is one.
    pub(crate) fn take(self: Pin<&mut Self>) -> Option<Outcome<F::Output>> {
        // SAFETY: nothing is moved out but an outcome, which is not pinned.
        unsafe { self.get_unchecked_mut() }.take_outcome()
    }

    fn take_outcome(&mut self) -> Option<Outcome<F::Output>> {
        if self.holds != Holds::Outcome {
            return None;
        }
        self.holds = Holds::Nothing;
        // SAFETY: there was an outcome (INVARIANT holds).
        let outcome = unsafe { &mut self.place.outcome };
        // SAFETY: nobody takes it again.
        Some(unsafe { ManuallyDrop::take(outcome) })
    }

    /// Drops the future, if it is there, and stores the outcome. A panic of that drop is the outcome instead.
    fn end(&mut self, outcome: Outcome<F::Output>) {
        debug_assert!(self.holds != Holds::Outcome, "a task ends once");
        let outcome = match catch_unwind(AssertUnwindSafe(|| self.drop_future())) {
            Ok(()) => outcome,
            Err(payload) => {
                // The first panic is reported; what the drop of the output adds to it is not.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(outcome)));
                Outcome::Panicked(payload)
            }
        };
        self.place.outcome = ManuallyDrop::new(outcome);
        self.holds = Holds::Outcome;
    }

    fn drop_future(&mut self) {
        if self.holds == Holds::Future {
            self.holds = Holds::Nothing;
            // SAFETY: there was a future (INVARIANT holds).
            let future = unsafe { &mut self.place.future };
            // SAFETY: it lies where it was pinned, and nobody drops it again.
            unsafe { ManuallyDrop::drop(future) };
        }
    }
}

impl<F: Future> Drop for Stage<F> {
    fn drop(&mut self) {
        self.drop_future();
        drop(self.take_outcome());
    }
}
