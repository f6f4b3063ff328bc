//! Timers: runs what is due, by due time and then by the order of starting.
//!
//! A repeating timer is restarted before its callback. A timer that is started in the phase waits for the next one, even
//! if it is due; older libuv runs it in the same phase ([`TimerBatch::UntilNoneDue`]).
//! Source: libuv 1.48, `uv__run_timers`; SEMANTICS T4, T6, T15, U4, U6.

use crate::handle::timer;
use crate::node;
use crate::schedule::TimerBatch;
use crate::state::{LoopHandle, TimerAction};
use crate::time::table::{Batch, TimerKey};

/// Runs every timer that is due.
pub(super) fn run(lp: &LoopHandle) {
    let Some(mut batch) = begin(lp) else { return };
    while let Some(key) = next(lp, batch) {
        fire(lp, key);
        if lp.state.schedule.timer_batch == TimerBatch::UntilNoneDue {
            batch = Batch { now: lp.state.now(), limit: u64::MAX };
        }
    }
}

/// Updates the loop's time and bounds the batch by it.
fn begin(lp: &LoopHandle) -> Option<Batch> {
    let mut timers = lp.state.timers.borrow_mut();
    if timers.next_bound().is_none() {
        lp.state.expire_now();
        return None;
    }
    let limit = match lp.state.schedule.timer_batch {
        TimerBatch::DueAtStart => timers.starts(),
        TimerBatch::UntilNoneDue => u64::MAX,
    };
    Some(Batch { now: lp.state.update_now(), limit })
}

fn next(lp: &LoopHandle, batch: Batch) -> Option<TimerKey> {
    lp.state.timers.borrow_mut().next_due(batch)
}

fn fire(lp: &LoopHandle, key: TimerKey) {
    let action = lp.state.timers.borrow_mut().action_mut(key).and_then(Option::take);
    match action {
        Some(TimerAction::Once { mut callback, referenced }) => {
            lp.state.timers.borrow_mut().remove(key);
            lp.state.alive.change(referenced, false);
            lp.call(|lp| callback.call(lp));
        }
        Some(TimerAction::Handle(handle)) => {
            put_back(lp, key, TimerAction::Handle(handle));
            timer::fire(lp, handle);
        }
        Some(TimerAction::Wake(waker)) => lp.call(|_| waker.wake()),
        Some(TimerAction::Lists) => {
            put_back(lp, key, TimerAction::Lists);
            node::lists::run_lists(lp);
        }
        None => {}
    }
}

fn put_back(lp: &LoopHandle, key: TimerKey, action: TimerAction) {
    if let Some(slot) = lp.state.timers.borrow_mut().action_mut(key) {
        *slot = Some(action);
    }
}
