//! Warnings: delivered by a tick, to a hook.
//!
//! Source: Node, `process.emitWarning`; SEMANTICS T2, V6.

use std::rc::Rc;

use crate::state::LoopHandle;
use crate::warning::Warning;

impl LoopHandle {
    /// Sets what warnings are told to, in place of the hook there was. Without one they are dropped.
    pub fn on_warning(&self, hook: impl Fn(&Self, Warning) + 'static) {
        let old = self.state.hooks.warning.replace(Some(Rc::new(hook)));
        drop(old);
    }

    /// Tells the warning hook, in a tick.
    #[cold]
    pub fn emit_warning(&self, warning: Warning) {
        self.next_tick(move |lp| {
            let hook = lp.state.hooks.warning.borrow().clone();
            if let Some(hook) = hook {
                hook(lp, warning);
            }
        });
    }
}
