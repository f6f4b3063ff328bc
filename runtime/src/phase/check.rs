//! Check: handles that run just after poll, last started first, and then immediates in the order of their setting.
//!
//! Immediates that are set in the phase wait for the next one. After a panic that the uncaught hook took, the rest of the
//! batch still runs; if the *last* one panicked, the phase starts again with what was set meanwhile.
//! Source: libuv, `uv__run_check`; Node, `processImmediate` and `CheckImmediate`; SEMANTICS I1, I4, I5, M3, X3.

use crate::handle::watcher::run_batch;
use crate::schedule::Drain;
use crate::state::{Callback, LoopHandle};

/// Runs the check handles, then the immediates.
pub(super) fn run(lp: &LoopHandle) {
    run_batch(lp, &lp.state.check);
    run_immediates(lp);
}

fn run_immediates(lp: &LoopHandle) {
    let lp_state = &lp.state;
    if !lp_state.immediates.is_due() {
        return;
    }
    if lp_state.schedule.check_opens_with_drain {
        lp.checkpoint();
    }
    lp_state.immediates.begin();
    let mut thrown = false;
    loop {
        match lp_state.immediates.next() {
            Some(immediate) => thrown = run_one(lp, immediate),
            None if thrown => {
                thrown = false;
                lp_state.immediates.begin();
            }
            None => break,
        }
    }
    if lp_state.schedule.drain_immediates != Drain::EachCallback {
        lp.checkpoint();
    }
}

/// Runs an immediate and, if it did not panic, the checkpoint. True if it panicked.
fn run_one(lp: &LoopHandle, mut immediate: Callback) -> bool {
    let thrown = lp.invoke(|lp| immediate.call(lp)).is_err();
    if !thrown && lp.state.schedule.drain_immediates == Drain::EachCallback {
        lp.checkpoint();
    }
    thrown
}
