//! The one function that runs user code, and the checkpoint after it.
//!
//! INVARIANT one-call: callbacks, tasks and posted closures all run inside `invoke`. What must happen around user code
//! hangs here, once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::place::QueueKind;
use super::{Callback, LoopHandle, LoopState};
use crate::schedule::Drain;

/// A panic that no task caught: what the uncaught hook gets.
#[derive(Debug)]
pub struct Uncaught {
    payload: Box<dyn Any + Send>,
}

impl Uncaught {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self { payload }
    }

    /// The message, where the panic had a text.
    pub fn message(&self) -> Option<&str> {
        self.payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| self.payload.downcast_ref::<String>().map(String::as_str))
    }

    /// What was passed to `panic_any`, or the text of `panic!`.
    pub fn payload(&self) -> &(dyn Any + Send) {
        &*self.payload
    }

    /// The payload, to be raised again with `std::panic::resume_unwind`.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload
    }
}

/// User code panicked, and the uncaught hook took it. Nothing was drained.
pub(crate) struct Thrown;

impl LoopState {
    /// True if both queues of user code are empty.
    #[inline]
    pub(crate) fn has_drained(&self) -> bool {
        self.ticks.is_empty() && self.microtasks.is_empty()
    }
}

impl LoopHandle {
    /// Runs a callback and then the checkpoint, as the schedule's general rule says.
    #[inline]
    pub(crate) fn call(&self, f: impl FnOnce(&Self)) {
        if self.invoke_or_drain(f).is_ok() && self.state.schedule.drain == Drain::EachCallback {
            self.checkpoint();
        }
    }

    /// As `invoke`, for callbacks that more of their phase may follow. Where the schedule has the queues drain after a panic
    /// too, this does it, and the phase goes on as if there had been none. Source: SEMANTICS B4, against X1.
    #[inline]
    pub(crate) fn invoke_or_drain(&self, f: impl FnOnce(&Self)) -> Result<(), Thrown> {
        let outcome = self.invoke(f);
        if outcome.is_err() && self.state.schedule.panic_drains {
            self.checkpoint();
            return Ok(());
        }
        outcome
    }

    /// Runs user code. A panic goes to the uncaught hook; without one it leaves `run`.
    pub(crate) fn invoke(&self, f: impl FnOnce(&Self)) -> Result<(), Thrown> {
        if self.state.watching.is_unusual() {
            return self.invoke_unusual(f);
        }
        self.run_user_code(f)
    }

    #[inline]
    pub(super) fn run_user_code(&self, f: impl FnOnce(&Self)) -> Result<(), Thrown> {
        match catch_unwind(AssertUnwindSafe(|| f(self))) {
            Ok(()) => Ok(()),
            Err(payload) => {
                self.uncaught(Uncaught::new(payload));
                Err(Thrown)
            }
        }
    }

    /// Drains ticks and microtasks until both are empty. Two loads when they are.
    #[inline]
    pub(crate) fn checkpoint(&self) {
        let _abandoned = self.try_checkpoint();
    }

    /// As `checkpoint`, for phases in which a tick that panics counts as a panic of the phase.
    #[inline]
    pub(crate) fn try_checkpoint(&self) -> Result<(), Thrown> {
        if self.is_drained() { Ok(()) } else { self.drain() }
    }

    /// True if a checkpoint would have nothing to do.
    pub(crate) fn is_drained(&self) -> bool {
        self.state.has_drained()
    }

    #[inline(never)]
    fn drain(&self) -> Result<(), Thrown> {
        let drained = self.drain_queues();
        self.state.queue.set(QueueKind::Callbacks);
        drained
    }

    #[inline]
    fn drain_queues(&self) -> Result<(), Thrown> {
        let lp = &self.state;
        while !lp.has_drained() {
            lp.queue.set(QueueKind::Ticks);
            while let Some(mut tick) = lp.ticks.pop() {
                // A tick that panics abandons the drain. Source: SEMANTICS X6, `processTicksAndRejections`.
                self.invoke(|lp| tick.call(lp)).inspect_err(|Thrown| self.keep_drain_request())?;
            }
            lp.queue.set(QueueKind::Microtasks);
            while let Some(mut microtask) = lp.microtasks.pop() {
                // One that panics does not stop the drain. Source: X5.
                let _thrown = self.invoke(|lp| microtask.call(lp));
            }
            if lp.ticks.is_empty() && lp.hooks.drained.borrow().is_some() {
                self.drained();
            }
        }
        Ok(())
    }

    /// Queues a microtask that does nothing, so that the next checkpoint does not find both queues empty. A flag that each
    /// checkpoint looks at would do as well, but checkpoints are many and requests few.
    #[cold]
    pub(crate) fn owe_drain(&self) {
        self.state.microtasks.push(Callback::new(|_| {}));
    }

    /// An abandoned drain may have run that microtask without getting to the hook.
    #[cold]
    fn keep_drain_request(&self) {
        if self.state.hooks.drain_requested.get() {
            self.owe_drain();
        }
    }

    /// Tells the hook that both queues are empty. What it queues is drained too.
    #[cold]
    fn drained(&self) {
        self.state.hooks.drain_requested.set(false);
        self.state.queue.set(QueueKind::Drained);
        let hook = self.state.hooks.drained.borrow().clone();
        if let Some(hook) = hook {
            let _thrown = self.invoke(|lp| hook(lp));
        }
    }

    #[cold]
    fn uncaught(&self, uncaught: Uncaught) {
        let hook = self.state.hooks.uncaught.borrow().clone();
        let Some(hook) = hook else { resume_unwind(uncaught.into_payload()) };
        hook(self, uncaught);
        if self.state.schedule.uncaught_queues_immediate {
            // Node turns once more after an exception that was handled. Source: X2.
            self.state.immediates.push(Callback::new(|_| {}));
        }
    }
}
