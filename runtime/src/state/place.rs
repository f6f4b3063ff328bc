//! Where the loop is: the turn, the phase, and the queue that the running code was taken from.
//!
//! It costs a store per phase and a few per drain, and none per callback: whoever wants to know asks.

use std::fmt;

use super::{LoopHandle, LoopState};
use crate::schedule::Phase;

/// Where a loop is, as [`LoopHandle::place`] tells it. As text: `turn 2, check, ticks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Place {
    /// Turns begun in the life of the loop. 0 before the first, also in the phases of [`Schedule::opening`].
    ///
    /// [`Schedule::opening`]: crate::Schedule::opening
    pub turn: u64,
    /// The phase that runs. `None` outside of the phases: in the main program, in the drain that a run begins with, and
    /// in the hooks before exit and at exit.
    pub phase: Option<Phase>,
    /// Which queue the running code was taken from.
    pub queue: QueueKind,
}

/// A queue that user code is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueKind {
    /// The phase's own: a callback. Outside of the phases, the main program or a hook.
    #[default]
    Callbacks,
    /// The nextTick queue, at a checkpoint.
    Ticks,
    /// The microtask queue, at a checkpoint. Tasks are microtasks.
    Microtasks,
    /// None: both are empty, and the [drained hook](LoopHandle::on_drained) is told so.
    Drained,
}

impl LoopHandle {
    /// Where the loop is: the turn, the phase, and the queue that the present code was taken from.
    ///
    /// # Ordering
    /// A tick or a microtask runs at the checkpoint of some callback; the place names the phase of that callback. The uncaught
    /// hook runs where the panic was.
    ///
    /// # Examples
    /// ```
    /// use phaseloop::{EventLoop, Phase, QueueKind, RunMode};
    ///
    /// let lp = EventLoop::new()?;
    /// lp.set_immediate(|lp| {
    ///     assert_eq!(lp.place().phase, Some(Phase::Check));
    ///     lp.next_tick(|lp| {
    ///         assert_eq!(lp.place().queue, QueueKind::Ticks);
    ///         assert_eq!(lp.place().to_string(), "turn 1, check, ticks");
    ///     });
    /// });
    /// assert_eq!(lp.place().phase, None);
    /// lp.run(RunMode::Default)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn place(&self) -> Place {
        let LoopState { phase, queue, .. } = &*self.state;
        Place { turn: self.metrics().turns, phase: phase.get(), queue: queue.get() }
    }
}

impl LoopState {
    /// Forgets the place, when no phase runs any more.
    pub(crate) fn leave_place(&self) {
        self.phase.set(None);
        self.timer_nesting.set(0);
        self.queue.set(QueueKind::Callbacks);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "turn {}, ", self.turn)?;
        match self.phase {
            Some(phase) => write!(f, "{phase}, {}", self.queue),
            None => write!(f, "outside of the phases, {}", self.queue),
        }
    }
}

impl fmt::Display for QueueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Callbacks => "callbacks",
            Self::Ticks => "ticks",
            Self::Microtasks => "microtasks",
            Self::Drained => "drained",
        })
    }
}
