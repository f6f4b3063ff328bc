//! For hosts that have a loop of their own: they wait on our descriptor, and run us when it is ready or time is up.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::EventLoop;
use super::builder::attach;
use crate::phase::{Wait, poll_wait};
use crate::state::LoopHandle;
use crate::state::mode::{Mode, RunMode};

impl EventLoop {
    /// A descriptor that is readable when the loop has I/O or messages from other threads to run: for a host to wait on.
    ///
    /// It is a duplicate, which the host owns. Together with [`backend_timeout`](LoopHandle::backend_timeout) it says all
    /// that a host needs: wait until the descriptor is readable or the time is up, then `run(RunMode::NoWait)`.
    ///
    /// # Errors
    /// The system's, when no descriptor is left; `Unsupported` for a scripted driver, and for a loop with a
    /// [parker](crate::Parker), whose host may have work that the descriptor does not tell of.
    pub fn backend_fd(&self) -> io::Result<OwnedFd> {
        if self.handle.has_parker() {
            let message = "this loop sleeps in a host: no descriptor tells of the host's work";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        self.handle.prepare_alarm()?;
        let driver = self.handle.state.driver.borrow();
        let fd = driver.fd().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        fd.try_clone_to_owned()
    }

    /// Makes the loop usable in a process that was forked: with a driver of its own, and all sources registered with it.
    ///
    /// To be called in the child before anything else is done with the loop. The parent's loop is not touched.
    /// Wakers and remotes that other threads held are the parent's: those threads do not exist in the child.
    ///
    /// # Errors
    /// The system's, when no descriptor is left, and those of a [parker](crate::Parker). The loop is then of no use.
    /// Source: libuv, `uv_loop_fork`.
    pub fn after_fork_child(&self) -> io::Result<()> {
        let state = &self.handle.state;
        state.driver.borrow_mut().after_fork_child()?;
        state.has_alarm.set(false);
        state.inbox.set_alarm(None);
        if let Some(mut parker) = state.parker.take() {
            let alone = Rc::get_mut(&mut parker).expect("only a loop that runs shares its parker");
            attach(alone, &state.driver.borrow())?;
            state.parker.replace(Some(parker));
        }
        self.handle.register_sources_again()?;
        crate::signal::after_fork_child(&self.handle)
    }
}

impl LoopHandle {
    /// How long `run` would wait if it were called now: zero for a loop that is not alive or has something to run,
    /// `None` for as long as it takes. Source: libuv, `uv_backend_timeout`.
    pub fn backend_timeout(&self) -> Option<Duration> {
        let state = &self.state;
        if !state.ticks.is_empty() || !state.microtasks.is_empty() || state.inbox.has_messages() {
            return Some(Duration::ZERO);
        }
        match poll_wait(self, Mode::from(RunMode::Default)) {
            Wait::Zero => Some(Duration::ZERO),
            Wait::Forever => None,
            Wait::Until(_) => {
                let deadline = state.timers.borrow_mut().next_deadline()?;
                Some(Duration::from_nanos(deadline.saturating_sub(state.now())))
            }
        }
    }

    /// Makes what wakes the loop's wait, at the first wait: a loop that never waits needs no descriptor for it.
    pub(crate) fn prepare_alarm(&self) -> io::Result<()> {
        if !self.state.has_alarm.get() {
            let alarm = self.state.driver.borrow_mut().alarm()?;
            self.state.inbox.set_alarm(Some(alarm));
            self.state.has_alarm.set(true);
        }
        Ok(())
    }
}
