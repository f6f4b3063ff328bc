//! Prepare: handles that run just before poll.
//!
//! Source: libuv, `uv__run_prepare`; last started first.

use crate::handle::watcher::run_batch;
use crate::state::LoopHandle;

/// Runs every prepare handle that was started before the phase began.
pub(super) fn run(lp: &LoopHandle) {
    run_batch(lp, &lp.state.prepare);
}
