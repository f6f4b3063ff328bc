//! The queues of user code: ticks, microtasks, immediates and deferred callbacks.

use std::panic::Location;

use crate::state::immediates::ImmediateId;
use crate::state::watch::Queued;
use crate::state::{Callback, LoopHandle};
use crate::task::raw::Thunk;

impl LoopHandle {
    /// Runs `f` before anything else that the loop runs: after the present callback, ahead of all microtasks.
    ///
    /// No allocation is made for a closure of up to three words.
    ///
    /// # Ordering
    /// Ticks run first in, first out, and those that ticks queue join them. Then come the microtasks.
    /// Source: Node, `process.nextTick`; SEMANTICS Q1, Q2, Q4.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, RunMode};
    /// let lp = EventLoop::new()?;
    /// lp.queue_microtask(|_| print!("second"));
    /// lp.next_tick(|_| print!("first, "));
    /// lp.run(RunMode::Default)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn next_tick(&self, f: impl FnOnce(&Self) + 'static) {
        self.push(&self.state.ticks, f);
    }

    /// Runs `f` after the present callback and its ticks.
    ///
    /// # Ordering
    /// Microtasks and tasks that were woken share one queue, first in, first out. Microtasks that are queued by
    /// microtasks run in the same drain. Source: Node, `queueMicrotask`; SEMANTICS Q3.
    #[inline]
    #[track_caller]
    pub fn queue_microtask(&self, f: impl FnOnce(&Self) + 'static) {
        self.push(&self.state.microtasks, f);
    }

    /// Runs `f` in the next check phase, right after poll.
    ///
    /// # Ordering
    /// In the order of setting. An immediate that is set in the check phase waits for the next one, so from an I/O
    /// callback an immediate always beats a timer. Source: Node, `setImmediate`; SEMANTICS I1, W4.
    #[inline]
    #[track_caller]
    pub fn set_immediate(&self, f: impl FnOnce(&Self) + 'static) -> ImmediateId {
        let callback = self.wrap_queued(f);
        let id = self.state.immediates.push(callback);
        if self.state.closed.get() {
            self.clear_immediate(id);
        }
        id
    }

    /// Clears an immediate. False if it has run or was cleared. Works for those of the running phase too.
    pub fn clear_immediate(&self, id: ImmediateId) -> bool {
        // Dropped here, while nothing is borrowed: the closure may own anything.
        self.state.immediates.clear(id).is_some()
    }

    /// Lets an immediate keep the loop alive and poll from waiting, as it does by default. False if it is gone.
    pub fn ref_immediate(&self, id: ImmediateId) -> bool {
        self.state.immediates.set_referenced(id, true)
    }

    /// Lets the loop end, or wait, with this immediate still to run; it runs whenever the check phase is reached.
    ///
    /// False if it has run or was cleared. Source: SEMANTICS I3.
    pub fn unref_immediate(&self, id: ImmediateId) -> bool {
        self.state.immediates.set_referenced(id, false)
    }

    /// True if the immediate is still to run and keeps the loop alive.
    pub fn is_immediate_referenced(&self, id: ImmediateId) -> bool {
        self.state.immediates.is_referenced(id)
    }

    /// Runs `f` in the next pending phase: for callbacks that an operation owes and must not run inside its own call.
    #[track_caller]
    pub fn defer(&self, f: impl FnOnce(&Self) + 'static) {
        if self.push(&self.state.pending, move |lp: &Self| {
            lp.state.alive.release();
            f(lp);
        }) {
            self.state.alive.hold();
        }
    }

    /// False if the loop is closed: then the closure is dropped.
    #[inline]
    #[track_caller]
    fn push(&self, queue: &crate::task::queue::Queue<Callback>, f: impl FnOnce(&Self) + 'static) -> bool {
        if self.state.closed.get() {
            return false;
        }
        queue.push(self.wrap_queued(f));
        true
    }

    /// Makes a callback that waits for its turn alone, and runs in the context that is in force now.
    #[inline]
    #[track_caller]
    fn wrap_queued<const N: usize>(&self, f: impl FnOnce(&Self) + 'static) -> Thunk<Self, N> {
        if !self.state.watching.is_carrying() {
            return Thunk::new(f);
        }
        self.wrap_carrying(f, self.state.queued(Location::caller()))
    }

    /// As `wrap_queued`, for callbacks that wait for something else: a timer, or a close.
    #[inline]
    #[track_caller]
    pub(crate) fn wrap<const N: usize>(&self, f: impl FnOnce(&Self) + 'static) -> Thunk<Self, N> {
        if !self.state.watching.is_carrying() {
            return Thunk::new(f);
        }
        self.wrap_carrying(f, self.state.made(Location::caller()))
    }

    #[cold]
    fn wrap_carrying<const N: usize>(
        &self,
        f: impl FnOnce(&Self) + 'static,
        queued: Option<Queued>,
    ) -> Thunk<Self, N> {
        let context = self.captured_context();
        Thunk::new(move |lp: &Self| {
            lp.state.watching.note_queued(queued);
            match context {
                None => f(lp),
                context => lp.in_context(context, || f(lp)),
            }
        })
    }

    /// As `wrap`, for callbacks that run again and again.
    #[track_caller]
    pub(crate) fn wrap_mut(&self, mut f: impl FnMut(&Self) + 'static) -> crate::state::HandleCallback {
        if !self.state.watching.is_carrying() {
            return Box::new(f);
        }
        let context = self.captured_context();
        let queued = self.state.made(Location::caller());
        Box::new(move |lp: &Self| {
            lp.state.watching.note_queued(queued);
            match &context {
                None => f(lp),
                Some(context) => lp.in_context(Some(context.clone()), || f(lp)),
            }
        })
    }
}
