//! The loop itself: building it, running it, closing it.
//!
//! `builder` makes one, `run` holds the order of the phases, `embed` serves hosts that have a loop
//! of their own, `close` ends it, `block_on` runs it for one future.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::time::Instant;

use crate::schedule::Schedule;
use crate::state::LoopHandle;
use crate::state::mode::{Mode, Outcome, RunMode};

mod block_on;
mod builder;
mod close;
mod embed;
mod run;

pub use builder::{Builder, PreparedLoop};
pub use close::Busy;

/// An event loop: owns all state of one thread and runs turns while it is alive.
///
/// Everything that schedules work is a method of [`LoopHandle`], which a loop dereferences to and callbacks get.
/// Dropping the loop drops all that is scheduled, unrun.
///
/// # Examples
/// ```
/// use phaseloop::{EventLoop, RunMode};
///
/// let lp = EventLoop::new()?;
/// lp.set_immediate(|_| println!("check phase"));
/// lp.next_tick(|_| println!("first of all"));
/// lp.run(RunMode::Default)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct EventLoop {
    handle: LoopHandle,
}

impl EventLoop {
    /// Makes a loop with the defaults: Node 26's order, the system's clock and driver.
    ///
    /// # Errors
    /// The system's, when no descriptor is left.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Begins to make a loop that differs from the default.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The loop as callbacks get it.
    pub fn handle(&self) -> LoopHandle {
        self.handle.clone()
    }

    /// Runs turns until nothing keeps the loop alive, [`stop`](LoopHandle::stop) is called, or `mode` is met.
    ///
    /// # Ordering
    /// What is in the nextTick and microtask queues runs first. In default mode the schedule's opening phases follow:
    /// timers, by default. Source: libuv, `uv_run`; SEMANTICS, "machine on one page", and L7.
    ///
    /// # Errors
    /// What the driver's wait returned. The loop can be run again.
    ///
    /// # Panics
    /// If it is called from a callback of this loop. A panic of a callback passes through, unless there is an
    /// [uncaught hook](LoopHandle::on_uncaught): the loop can then be run again, and runs what was left.
    pub fn run(&self, mode: RunMode) -> io::Result<Outcome> {
        run::run(&self.handle, Mode::from(mode))
    }

    /// As [`run`](Self::run) in default mode, but returns at the end of the turn in which `instant` has passed.
    ///
    /// # Errors
    /// As `run`.
    ///
    /// # Panics
    /// As `run`.
    pub fn run_until(&self, instant: Instant) -> io::Result<Outcome> {
        run::run(&self.handle, Mode::until(self.handle.state.clock.nanos_at(instant)))
    }
}

impl EventLoop {
    /// Runs `main` and the loop as Node runs a program, and gives the exit code.
    ///
    /// # Ordering
    /// `main`, then a drain; turns until the loop is no longer alive; the [before-exit hook](LoopHandle::on_before_exit)
    /// with a drain, and turns again if that brought the loop back; at last the [exit hook](LoopHandle::on_exit),
    /// after which nothing runs. [`end`](LoopHandle::end) goes straight to the exit hook, and
    /// [`stop`](LoopHandle::stop) does so once the phases that it lets run are over.
    /// Source: SEMANTICS, "machine on one page"; E1 to E5.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As `run`.
    ///
    /// # Examples
    /// ```
    /// let lp = phaseloop::EventLoop::new()?;
    /// lp.on_exit(|_, code| println!("ended with {code}"));
    /// let code = lp.run_program(|lp| {
    ///     lp.set_immediate(|lp| lp.end(3));
    /// })?;
    /// assert_eq!(code, 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn run_program(&self, main: impl FnOnce(&LoopHandle)) -> io::Result<i32> {
        run::run_program(&self.handle, main)
    }
}

impl LoopHandle {
    /// Has the running `run`, or else the next one, return. It takes effect at the end of the turn at the latest.
    ///
    /// # Ordering
    /// The phase goes on, and so do those that follow in this turn; poll does not wait. Source: libuv, `uv_stop`;
    /// SEMANTICS U5.
    pub fn stop(&self) {
        self.state.stop.set(true);
    }

    /// True if something keeps the loop alive: an active and referenced handle or timer, a referenced immediate or task,
    /// a request, a closing handle, or a closure that another thread has posted.
    pub fn is_alive(&self) -> bool {
        let state = &self.state;
        let held = state.alive.count() > 0 || state.immediates.referenced() > 0;
        held || state.inbox.has_calls() || !state.arrived.is_empty()
    }

    /// True once the running phases are the last: `stop` was called, or the program ended.
    pub(crate) fn must_leave(&self) -> bool {
        self.state.stop.get() || self.has_ended()
    }

    /// The order and the rules by which the loop turns.
    pub fn schedule(&self) -> &Schedule {
        &self.state.schedule
    }

    /// True inside of `run`.
    pub fn is_running(&self) -> bool {
        self.state.running.get()
    }

    /// True once the [`EventLoop`] is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.state.closed.get()
    }
}

impl Deref for EventLoop {
    type Target = LoopHandle;

    fn deref(&self) -> &LoopHandle {
        &self.handle
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}
