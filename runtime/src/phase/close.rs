//! Close: releases the handles that were closed and runs their close callbacks, last closed first.
//!
//! What is closed in a close callback waits for the next turn.
//! Source: libuv, `uv__run_closing_handles`; SEMANTICS C1, C2, M5.

use crate::state::{Closing, LoopHandle};

/// Runs every close callback that was due before the phase began.
pub(super) fn run(lp: &LoopHandle) {
    begin(lp);
    while let Some(closing) = next(lp) {
        lp.state.alive.release();
        if closing.is_silent() {
            continue; // nothing ran, so nothing is drained
        }
        let released = closing.release.and_then(|key| lp.state.handles.borrow_mut().remove(key));
        lp.call(|lp| {
            drop(released);
            if let Some(mut callback) = closing.callback {
                callback.call(lp);
            }
        });
    }
}

/// Takes the list of closed handles, behind what a panic left of an earlier one.
fn begin(lp: &LoopHandle) {
    let mut closing = lp.state.closing.borrow_mut();
    if closing.is_empty() {
        return;
    }
    let mut batch = lp.state.close_batch.borrow_mut();
    // The batch is popped from its end: what is left of an older one comes first.
    closing.append(&mut batch);
    std::mem::swap(&mut *closing, &mut *batch);
}

fn next(lp: &LoopHandle) -> Option<Closing> {
    lp.state.close_batch.borrow_mut().pop()
}
