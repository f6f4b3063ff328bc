//! What tasks ask of their loop.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::Waker;

use super::call::Uncaught;
use super::inbox::Inbox;
use super::{Callback, LoopHandle};
use crate::task::raw::{Ended, ReadyTask, Scheduler};
use crate::task::waiters::Waiters;

impl Scheduler for LoopHandle {
    /// A task is a microtask.
    #[inline]
    fn ready(&self, task: ReadyTask<Self>) {
        self.state.microtasks.push(Callback::new(move |lp: &Self| lp.run_task(task)));
        self.unpark();
    }

    /// A task that yields runs in the next check phase, so that I/O gets its turn. Poll does not wait for it, but it
    /// keeps the loop alive only if the task does.
    #[inline]
    fn yielded(&self, task: ReadyTask<Self>) {
        let referenced = task.is_referenced();
        let callback = Callback::new(move |lp: &Self| {
            lp.state.yielded_unreferenced.update(|count| count - usize::from(!referenced));
            lp.run_task(task);
        });
        let id = self.state.immediates.push(callback);
        if !referenced {
            self.state.immediates.set_referenced(id, false);
            self.state.yielded_unreferenced.update(|count| count + 1);
        }
    }

    fn finished(&self, key: usize, ended: Ended) {
        let table = self.state.tasks.borrow_mut().try_remove(key);
        let (Ended::Reported { referenced } | Ended::Unhandled { referenced, .. }) = &ended;
        self.state.alive.change(*referenced, false);
        drop(table);
        if let Ended::Unhandled { payload, .. } = ended {
            self.task_failed(Uncaught::new(payload));
        }
    }

    fn set_referenced(&self, referenced: bool) {
        self.state.alive.change(!referenced, referenced);
    }

    fn inbox(&self) -> &Arc<Inbox> {
        &self.state.inbox
    }

    type Inbox = Inbox;
}

impl LoopHandle {
    #[inline]
    fn run_task(&self, task: ReadyTask<Self>) {
        self.state.io_budget.set(self.state.limits.task_io_budget.get());
        self.state.watching.note_task(task.site());
        task.run();
    }

    /// Polls a task in the middle of what runs, which has its own budget and its own name afterwards.
    pub(crate) fn run_within(&self, task: ReadyTask<Self>) {
        let (budget, around) = (self.state.io_budget.get(), self.state.watching.task());
        self.run_task(task);
        self.state.io_budget.set(budget);
        self.state.watching.restore_task(around);
    }

    /// Counts one ready operation of the task that runs. False if it has had its share of this poll: then it yields.
    pub(crate) fn spend_budget(&self) -> bool {
        let budget = &self.state.io_budget;
        match budget.get().checked_sub(1) {
            Some(left) => {
                budget.set(left);
                true
            }
            None => {
                // For futures that a foreign executor polls, where no task of ours begins anew.
                budget.set(self.state.limits.task_io_budget.get());
                false
            }
        }
    }

    /// The number of the turn that runs.
    pub(crate) fn turn(&self) -> u64 {
        self.state.metrics.turns()
    }

    /// Notes a task that waits, among others.
    pub(crate) fn wait_among(&self, waiters: &RefCell<Waiters>, waker: &Waker) {
        let asked = waiters.borrow_mut().join(waker, self.turn());
        asked.into_iter().for_each(Waker::wake); // outside the borrow
    }

    /// Counts a panic of a task that nobody joins, and tells the hook.
    pub(crate) fn task_failed(&self, failure: Uncaught) {
        let hooks = &self.state.hooks;
        hooks.task_failures.set(hooks.task_failures.get() + 1);
        let hook = hooks.task_failure.borrow().clone();
        if let Some(hook) = hook {
            hook(self, failure);
        }
    }
}
