//! Idle: handles that run once a turn and keep poll from waiting.
//!
//! Source: libuv, `uv__run_idle`; last started first.

use crate::handle::watcher::run_batch;
use crate::state::LoopHandle;

/// Runs every idle handle that was started before the phase began.
pub(super) fn run(lp: &LoopHandle) {
    run_batch(lp, &lp.state.idle);
}
