//! Closing a loop: by consent, or by dropping it.

use std::error::Error;
use std::fmt;

use super::EventLoop;
use crate::handle::walk::HandleInfo;
use crate::state::LoopHandle;

/// The loop can not be closed yet. It is given back with what still holds it.
pub struct Busy {
    /// The loop, unharmed.
    pub event_loop: EventLoop,
    /// Handles and sources that were not closed, or whose close callback has not run.
    pub handles: Vec<HandleInfo>,
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Requests that are under way.
    pub requests: usize,
    /// Timeouts, immediates and the like that keep the loop alive.
    pub scheduled: usize,
}

impl EventLoop {
    /// Closes a loop that nothing holds: every handle is closed and released, every task has ended.
    ///
    /// Dropping the loop instead closes it whatever it holds, and drops that unrun.
    ///
    /// # Errors
    /// [`Busy`], as libuv's `EBUSY`, with the loop and what holds it.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, RunMode, Timer};
    /// let lp = EventLoop::new()?;
    /// let timer = Timer::new(&lp);
    /// let busy = lp.close().expect_err("a timer is open");
    /// assert_eq!(busy.handles.len(), 1);
    /// let lp = busy.event_loop;
    /// timer.close();
    /// lp.run(RunMode::Default)?;
    /// lp.close().expect("nothing holds it");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(self) -> Result<(), Busy> {
        let mut handles = Vec::new();
        self.walk(|info| handles.push(info));
        let (tasks, requests) = (self.task_count(), self.request_count());
        let alive = self.state.alive.count() + self.state.immediates.referenced();
        if handles.is_empty() && tasks == 0 && requests == 0 && alive == 0 {
            return Ok(());
        }
        let counted = handles.iter().filter(|info| info.closing || (info.active && info.referenced)).count();
        let scheduled = alive.saturating_sub(counted + tasks + requests);
        Err(Busy { event_loop: self, handles, tasks, requests, scheduled })
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        let state = &self.handle.state;
        state.closed.set(true);
        drop(state.inbox.close());
        self.handle.within_host(|| {
            self.handle.drop_tasks();
            self.handle.drop_callbacks();
            self.handle.drop_sources();
        });
        drop(state.signals.take());
        let parker = state.parker.take();
        drop(parker); // while nothing is borrowed: its host may own anything
    }
}

impl LoopHandle {
    /// Drops the futures of all tasks. Whoever awaits them learns that they were cancelled.
    fn drop_tasks(&self) {
        let keys: Vec<usize> = self.state.tasks.borrow().iter().map(|(key, _)| key).collect();
        for key in keys {
            let task = self.state.tasks.borrow_mut().try_remove(key);
            if let Some(task) = task {
                task.shut_down();
            }
        }
    }

    /// Drops all user code. Nothing is borrowed while it drops, and what it schedules is dropped too.
    fn drop_callbacks(&self) {
        let state = &self.state;
        drop(state.ticks.take_all());
        drop(state.microtasks.take_all());
        drop(state.pending.take_all());
        drop(state.immediates.take_all());
        drop(state.closing.take());
        drop(state.close_batch.take());
        drop(state.arrived.take_all());
        let handles = state.handles.borrow_mut().take_all();
        drop(handles);
        let actions = state.timers.borrow_mut().take_all();
        drop(actions);
        let listed = state.lists.borrow_mut().take_all();
        drop(listed);
        drop(state.hooks.uncaught.take());
        drop(state.hooks.task_failure.take());
        drop(state.hooks.drained.take());
        drop(state.hooks.before_exit.take());
        drop(state.hooks.exit.take());
        drop(state.hooks.warning.take());
        drop(state.context.take());
    }
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the loop is held by {} handles, {} tasks, {} requests and {} scheduled callbacks",
            self.handles.len(),
            self.tasks,
            self.requests,
            self.scheduled
        )?;
        self.handles.iter().try_for_each(|handle| write!(f, "; {handle}"))
    }
}

impl Error for Busy {}
