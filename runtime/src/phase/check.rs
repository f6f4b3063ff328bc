//! Check: handles that run just after poll, last started first, and then immediates in the order of their setting.
//!
//! Immediates that are set in the phase wait for the next one. After a panic that the uncaught hook took, the rest of the
//! batch still runs; if the *last* one panicked, the phase starts again with what was set meanwhile. A tick that panics
//! between two immediates counts as a panic of the phase, one that panics after the last does not.
//! Source: libuv, `uv__run_check`; Node, `processImmediate` and `CheckImmediate`; SEMANTICS I1, I4, I5, M3, X3.

use crate::handle::watcher::run_batch;
use crate::schedule::Drain;
use crate::state::call::Thrown;
use crate::state::{LoopHandle, LoopState};

/// Runs the check handles, then the immediates.
pub(super) fn run(lp: &LoopHandle) {
    run_batch(lp, &lp.state.check);
    run_immediates(lp);
}

fn run_immediates(lp: &LoopHandle) {
    let LoopState { immediates, schedule, .. } = &*lp.state;
    if !immediates.is_due() {
        return;
    }
    if schedule.check_opens_with_drain {
        lp.checkpoint();
    }
    immediates.begin();
    let mut panics = 0;
    while run_up_to_panic(lp).is_err() {
        panics += 1;
        if !immediates.has_next() {
            if panics == 1 && !schedule.last_panic_takes_new_immediates {
                return;
            }
            immediates.begin();
        }
    }
    lp.checkpoint();
}

/// Runs the batch up to a panic, also of a tick. The queues drain *before* each immediate but the first, so that after a
/// panic nothing is drained until the next immediate has run.
fn run_up_to_panic(lp: &LoopHandle) -> Result<(), Thrown> {
    let LoopState { immediates, schedule, .. } = &*lp.state;
    let drains = schedule.drain_immediates == Drain::EachCallback;
    while let Some(mut immediate) = immediates.next() {
        lp.invoke(|lp| immediate.call(lp))?;
        if drains && !lp.is_drained() && immediates.has_next() {
            lp.try_checkpoint()?;
        }
    }
    Ok(())
}
