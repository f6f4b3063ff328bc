//! Tasks: futures that the loop polls.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::JoinError;
use crate::state::LoopHandle;
use crate::state::call::Uncaught;
use crate::state::context::InContext;
use crate::task::raw::{Outcome, RawJoin, ReadyTask, Scheduler, new_task};

impl LoopHandle {
    /// Runs `future` as a task of this loop. It need not be `Send`.
    ///
    /// The task keeps the loop alive until it ends. Dropping the join handle lets it run on.
    ///
    /// # Ordering
    /// A task is a microtask: it is polled for the first time at the next checkpoint, behind the microtasks that were
    /// queued before. A task that was woken by a callback runs at the checkpoint after that callback; one that wakes
    /// itself runs in the next check phase.
    ///
    /// # Panics
    /// A panic of the future becomes the task's [`JoinError`]; if nobody holds the join handle, see
    /// [`on_task_failure`](Self::on_task_failure).
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::EventLoop;
    /// let lp = EventLoop::new()?;
    /// let sum = lp.block_on(async {
    ///     let task = phaseloop::spawn(async { 1 + 2 });
    ///     task.await.expect("it does not panic")
    /// })?;
    /// assert_eq!(sum, 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let site = Location::caller();
        match self.captured_context() {
            None => self.spawn_at(future, site),
            Some(context) => self.spawn_at(InContext::new(self.clone(), context, future), site),
        }
    }

    /// As [`spawn`](Self::spawn), and polls `future` for the first time before this returns: as an async function of JS runs up to its
    /// first await where it is called. What ends at once never waits in a queue.
    ///
    /// # Ordering
    /// The first poll is a part of what runs: ticks and microtasks come behind it. From then on it is a task like any other. Where this
    /// loop does not run, or another one runs in a callback of it, there is nothing to be a part of: then this is `spawn`.
    ///
    /// # Panics
    /// As for `spawn`: a panic of the future does not leave this function.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::EventLoop;
    /// let lp = EventLoop::new()?;
    /// lp.block_on(async {
    ///     let task = phaseloop::spawn_now(async { "done" });
    ///     assert!(task.is_finished());
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn_now<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let site = Location::caller();
        let is_running = self.is_current() && !self.has_ended();
        let run = |task| if is_running { self.run_within(task) } else { self.ready(task) };
        match self.captured_context() {
            None => self.start(future, site, run),
            Some(context) => self.start(InContext::new(self.clone(), context, future), site, run),
        }
    }

    pub(crate) fn spawn_at<F>(&self, future: F, site: &'static Location<'static>) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.start(future, site, |task| self.ready(task))
    }

    /// Makes a task, and has `run` see to its first run.
    fn start<F>(
        &self,
        future: F,
        site: &'static Location<'static>,
        run: impl FnOnce(ReadyTask<Self>),
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let (task, raw) = new_task(self, future, site);
        self.state.alive.hold();
        if self.state.closed.get() {
            task.shut_down();
            return JoinHandle { raw, lp: self.clone() };
        }
        let mut tasks = self.state.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let first = task.start(entry.key());
        entry.insert(task);
        drop(tasks);
        let handle = JoinHandle { raw, lp: self.clone() };
        run(first);
        handle
    }

    /// How many tasks have not ended.
    pub fn task_count(&self) -> usize {
        self.state.tasks.borrow().len()
    }

    /// How many tasks ended in a panic that no join handle could report.
    pub fn task_failures(&self) -> u64 {
        self.state.hooks.task_failures.get()
    }

    /// Sets what is told of a task's panic that no join handle can report, in place of the hook there was.
    ///
    /// # Ordering
    /// The hook runs at once: where the task panics, or where the join handle of one that has panicked is dropped. A panic of its own
    /// goes on from there.
    pub fn on_task_failure(&self, hook: impl Fn(&Self, Uncaught) + 'static) {
        let old = self.state.hooks.task_failure.replace(Some(std::rc::Rc::new(hook)));
        drop(old);
    }

    /// Sets what takes panics of callbacks, in place of the hook there was. Without one they leave `run`.
    ///
    /// # Ordering
    /// The hook runs at once. Nothing is drained after a panic: ticks of the callback that panicked run after the next
    /// callback. Source: SEMANTICS X1, X5, X6.
    pub fn on_uncaught(&self, hook: impl Fn(&Self, Uncaught) + 'static) {
        let old = self.state.hooks.uncaught.replace(Some(std::rc::Rc::new(hook)));
        drop(old);
    }

    /// Removes the uncaught hook: panics leave `run` again.
    pub fn clear_on_uncaught(&self) {
        let old = self.state.hooks.uncaught.take();
        drop(old);
    }
}

/// Awaits the output of a task. Dropping it detaches the task, which runs on: that is why nothing warns of a handle that is not
/// used, and [`detach`](Self::detach) says the same aloud.
///
/// # Cancel safety
/// Dropping the future of an await drops the join handle itself; await `&mut handle` to keep it.
pub struct JoinHandle<T> {
    raw: RawJoin<LoopHandle, T>,
    lp: LoopHandle,
}

impl<T> JoinHandle<T> {
    /// Ends the task: its future is dropped where the task would have run next, which is in the microtask queue unless
    /// it is yielding, and the handle reports [`JoinError::Cancelled`]. A task that has ended keeps its outcome.
    pub fn abort(&self) {
        self.raw.abort();
    }

    /// Lets the task run on without its handle; the same as dropping it, but visible.
    pub fn detach(self) {}

    /// True once the task has ended.
    pub fn is_finished(&self) -> bool {
        self.raw.is_complete()
    }

    /// Lets the task keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.raw.set_referenced(true);
    }

    /// Lets the loop end while the task has not.
    pub fn unref(&self) {
        self.raw.set_referenced(false);
    }

    /// True if the task keeps the loop alive until it ends.
    pub fn is_referenced(&self) -> bool {
        self.raw.is_referenced()
    }

    /// Takes the outcome of a task that has ended, without waiting.
    pub(crate) fn try_take(&self) -> Option<Result<T, JoinError>> {
        self.raw.take().map(result)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.raw.poll(cx).map(result)
    }
}

fn result<T>(outcome: Outcome<T>) -> Result<T, JoinError> {
    match outcome {
        Outcome::Output(output) => Ok(output),
        Outcome::Cancelled => Err(JoinError::Cancelled),
        Outcome::Panicked(payload) => Err(JoinError::Panicked(payload)),
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(payload) = self.raw.abandon() {
            self.lp.task_failed(Uncaught::new(payload));
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}
