//! Check: handles that run just after poll, last started first, and then immediates in the order of their setting.
//!
//! Immediates that are set in the phase wait for the next one. After a panic that the uncaught hook took, the rest of the
//! batch still runs; if the *last* one panicked, the phase starts again with what was set meanwhile. A tick that panics
//! between two immediates counts as a panic of the phase, one that panics after the last does not.
//! In a browser an immediate is a task, and the phase runs one ([`ImmediateBatch::One`]).
//! Source: libuv, `uv__run_check`; Node, `processImmediate` and `CheckImmediate`; SEMANTICS I1, I4, I5, M3, X3, B5.

use crate::handle::watcher::run_batch;
use crate::schedule::{Drain, ImmediateBatch};
use crate::state::call::Thrown;
use crate::state::{LoopHandle, LoopState};

/// Runs the check handles, then the immediates.
pub(super) fn run(lp: &LoopHandle) {
    run_batch(lp, &lp.state.check);
    run_immediates(lp);
    lp.state.timer_nesting.set(0); // an immediate was perhaps a timer, and its microtasks have run
}

fn run_immediates(lp: &LoopHandle) {
    let LoopState { immediates, schedule, .. } = &*lp.state;
    if !immediates.is_due() {
        return;
    }
    if schedule.check_opens_with_drain {
        lp.checkpoint();
    }
    if schedule.immediate_batch == ImmediateBatch::One {
        run_one(lp);
        return;
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

/// Runs the immediate that was set first.
fn run_one(lp: &LoopHandle) {
    let immediates = &lp.state.immediates;
    immediates.begin(); // in vain while some are left of what it took before, and these come first
    if let Some(mut immediate) = immediates.next()
        && lp.invoke_or_drain(|lp| immediate.call(lp)).is_ok()
    {
        lp.checkpoint();
    }
}

/// Runs the batch up to a panic, also of a tick. The queues drain *before* each immediate but the first, so that after a
/// panic nothing is drained until the next immediate has run.
fn run_up_to_panic(lp: &LoopHandle) -> Result<(), Thrown> {
    let LoopState { immediates, schedule, .. } = &*lp.state;
    let drains = schedule.drain_immediates == Drain::EachCallback;
    while let Some(mut immediate) = immediates.next() {
        lp.state.timer_nesting.set(0);
        lp.invoke_or_drain(|lp| immediate.call(lp))?;
        if drains && !lp.is_drained() && immediates.has_next() {
            lp.try_checkpoint()?;
        }
    }
    Ok(())
}
