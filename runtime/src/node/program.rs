//! The life of a program on the loop: what comes before its end, and the end.
//!
//! Source: Node, `process.on('beforeExit')`, `process.on('exit')`, `process.exit`; SEMANTICS E1 to E5.

use std::rc::Rc;

use crate::state::LoopHandle;

impl LoopHandle {
    /// Sets what runs when a program's loop is no longer alive, in place of the hook there was. If it gives the loop
    /// something to do, the loop goes on, and the hook runs again later.
    ///
    /// # Ordering
    /// Followed by a drain. Ticks and microtasks alone do not bring the loop back. Source: SEMANTICS E1, E2, E5.
    pub fn on_before_exit(&self, hook: impl Fn(&Self) + 'static) {
        let old = self.state.hooks.before_exit.replace(Some(Rc::new(hook)));
        drop(old);
    }

    /// Sets what runs at the end of a program, with its exit code, in place of the hook there was. Nothing runs after
    /// it: what it schedules is dropped with the loop. Source: SEMANTICS E3.
    pub fn on_exit(&self, hook: impl Fn(&Self, i32) + 'static) {
        let old = self.state.hooks.exit.replace(Some(Rc::new(hook)));
        drop(old);
    }

    /// Ends the program: runs the exit hook on the spot, and lets no callback run after this one.
    ///
    /// The callback that calls it goes on to its own end. Ending twice does nothing: the first code
    /// stays. Source: SEMANTICS E4.
    pub fn end(&self, code: i32) {
        if self.has_ended() {
            return;
        }
        // Before the hook, which may end the program again.
        self.state.ended.set(Some(code));
        self.state.watching.end();
        let hook = self.state.hooks.exit.borrow().clone();
        if let Some(hook) = hook {
            hook(self, code);
        }
    }

    /// True once the program has ended.
    pub fn has_ended(&self) -> bool {
        self.state.ended.get().is_some()
    }

    /// Sets what runs whenever a drain has emptied both queues, in place of the hook there was. What it queues is
    /// drained too, and it runs again.
    ///
    /// For what has to know that nobody can act any more before the next callback: reports of failures that nobody
    /// handled. Source: SEMANTICS M6, X8.
    pub fn on_drained(&self, hook: impl Fn(&Self) + 'static) {
        let old = self.state.hooks.drained.replace(Some(Rc::new(hook)));
        drop(old);
    }

    /// Has the next checkpoint drain, and so tell the [drained hook](Self::on_drained), even if nothing is queued.
    pub fn request_drain(&self) {
        if !self.state.hooks.drain_requested.replace(true) {
            self.owe_drain();
        }
    }

    /// Runs the before-exit hook and drains.
    pub(crate) fn before_exit(&self) {
        let hook = self.state.hooks.before_exit.borrow().clone();
        if let Some(hook) = hook {
            // Whatever the schedule: what the hook queued would be dropped if the program ended here.
            if self.invoke(|lp| hook(lp)).is_ok() {
                self.checkpoint();
            }
        }
    }
}
