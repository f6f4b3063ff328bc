//! Pending: callbacks that an operation owes, such as the end of a write that needed no waiting. They are deferred to
//! here so that no callback runs inside the call that caused it.
//!
//! A callback that is deferred while the phase runs waits for its next run, which may follow poll in the same turn.
//! Source: libuv, `uv__run_pending`.

use crate::state::LoopHandle;

/// Runs every callback that was deferred before the phase began.
pub(super) fn run(lp: &LoopHandle) {
    for _ in 0..lp.state.pending.len() {
        let Some(mut callback) = lp.state.pending.pop() else { break };
        lp.call(|lp| callback.call(lp));
    }
}
