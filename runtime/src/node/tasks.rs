//! Timers as tasks: what is due joins the immediates, each of which is a task.
//!
//! Due timers join by due time, then in the order of setting, whenever the timers phase looks; where a turn runs one task that
//! is before each task. A timer without a delay joins when it is set, and so comes in line with posted messages.
//! Source: Chromium 156, measured; SEMANTICS B3, B5.

use crate::state::{Callback, LoopHandle};
use crate::time::lists::{QueuedTimer, TimeoutId};

use super::lists::call_timer;

/// Puts what is due in line.
pub(super) fn queue_due(lp: &LoopHandle) {
    let now = lp.read_millis();
    loop {
        let due = lp.state.lists.borrow_mut().take_due(now);
        let Some(timer) = due else { break };
        queue(lp, timer);
    }
    lp.arm_lists();
}

/// Puts a timer in line that was set just now and has no delay.
pub(super) fn queue_at_once(lp: &LoopHandle, id: TimeoutId) {
    let taken = lp.state.lists.borrow_mut().take(id);
    if let Some(timer) = taken {
        queue(lp, timer);
    }
}

/// The immediate is referenced even if the timer is not: what is due has only to wait for its turn. But an unreferenced
/// interval may be due again by then, and would never let the loop end; for it poll does not wait, and that is all.
fn queue(lp: &LoopHandle, timer: QueuedTimer) {
    let state = &lp.state;
    let lists = state.lists.borrow();
    let is_referenced = lists.is_referenced(timer.id) == Some(true) || !lists.repeats(timer.id);
    drop(lists);
    let id = state.immediates.push(Callback::new(move |lp| {
        lp.state.yielded_unreferenced.update(|count| count - usize::from(!is_referenced));
        run_task(lp, timer);
    }));
    if !is_referenced {
        state.immediates.set_referenced(id, false);
        state.yielded_unreferenced.update(|count| count + 1);
    }
}

/// Runs the timer, unless it was cleared or set anew since.
fn run_task(lp: &LoopHandle, timer: QueuedTimer) {
    if lp.state.lists.borrow_mut().is_queued(timer) {
        call_timer(lp, timer.id);
    }
}
