//! Running the loop for one future.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::pin;

use super::{EventLoop, run};
use crate::error::JoinError;
use crate::handle::spawn::JoinHandle;
use crate::state::LoopHandle;
use crate::state::mode::{Mode, RunMode};
use crate::task::raw::with_borrowed;

impl EventLoop {
    /// Runs the loop until `future` is done, and gives its output. The future may borrow.
    ///
    /// Other work that is left stays in the loop; `run` goes on with it.
    ///
    /// # Ordering
    /// The future is a task: it is polled at checkpoints, like every other. The turn in which it ends is finished.
    ///
    /// # Errors
    /// What the driver's wait returned, and `Other` once the program has [ended](LoopHandle::end). The future is then
    /// dropped.
    ///
    /// # Panics
    /// If it is called from a callback of this loop. A panic of the future passes through.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// let lp = phaseloop::EventLoop::new()?;
    /// let text = String::from("borrowed");
    /// let len = lp.block_on(async {
    ///     phaseloop::current().sleep(Duration::from_millis(1)).await;
    ///     text.len()
    /// })?;
    /// assert_eq!(len, 8);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        let site = Location::caller();
        let output = RefCell::new(None);
        let root = pin!(async {
            let _stop = StopAtEnd(&self.handle);
            let result = future.await;
            output.replace(Some(result));
        });
        let outcome = with_borrowed(root, |root| {
            let root = AbortAtEnd { lp: &self.handle, task: self.handle.spawn_at(root, site) };
            while !root.task.is_finished() {
                if self.has_ended() {
                    return Err(io::Error::other(
                        "the program on this loop has ended: no future runs any more",
                    ));
                }
                run::run(&self.handle, Mode::from(RunMode::Default))?;
            }
            Ok::<_, io::Error>(root.task.try_take())
        })?;
        if let Some(Err(JoinError::Panicked(payload))) = outcome {
            std::panic::resume_unwind(payload);
        }
        Ok(output.take().expect("a task that has ended without a panic has stored its output"))
    }
}

/// Ends the run in the turn in which the future ends, whether it panics or not.
struct StopAtEnd<'a>(&'a LoopHandle);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        // A run that a panic or an error left drops the future later: the next run is not to stop for it.
        if self.0.is_running() {
            self.0.stop();
        }
    }
}

/// Cancels the task of a run that failed, or that a panic left. Its stop, if a panic left that too, is of no use to the
/// next run.
struct AbortAtEnd<'a> {
    lp: &'a LoopHandle,
    task: JoinHandle<()>,
}

impl Drop for AbortAtEnd<'_> {
    fn drop(&mut self) {
        self.task.abort();
        self.lp.state.stop.set(false);
    }
}
