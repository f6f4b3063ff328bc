//! Which callback ran when, for how long, and from which line.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use super::trace;
use crate::schedule::Phase;
use crate::state::LoopHandle;
use crate::state::place::QueueKind;
use crate::state::watch::{Call, Named, Watch, What};
use crate::time::clock::Nanos;

/// The last callbacks of a loop, one by one: what [`LoopHandle::timeline`] gives. It ends when it is dropped.
pub struct Timeline {
    lp: LoopHandle,
    ring: Rc<Ring>,
    watch: Rc<dyn Watch>,
}

/// One callback of a loop, or one sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moment {
    /// What ran.
    pub what: What,
    /// When it began, since the loop was made.
    pub at: Duration,
    /// How long it took.
    pub ran: Duration,
    /// How long it had waited for its turn. Known of ticks, microtasks, immediates and deferred callbacks that were queued while there
    /// was a timeline.
    pub waited: Option<Duration>,
    /// Turns begun, as in [`Place`](crate::Place).
    pub turn: u64,
    /// The phase; `None` outside of the phases.
    pub phase: Option<Phase>,
    /// The queue it was taken from.
    pub queue: QueueKind,
    /// The line that made the task or the handle, or queued the callback, where that is known.
    pub site: Option<&'static Location<'static>>,
}

struct Ring {
    moments: RefCell<VecDeque<Moment>>,
    len_max: usize,
    lost: Cell<u64>,
    /// The call in which it was made, if that is watched: it began before.
    made_in: u64,
}

impl Ring {
    fn push(&self, moment: Moment) {
        let mut moments = self.moments.borrow_mut();
        if moments.len() == self.len_max {
            moments.pop_front();
            self.lost.update(|lost| lost + 1);
        }
        moments.push_back(moment);
    }
}

impl Watch for Ring {
    fn ended(&self, call: &Call, named: &Named, end: Nanos) {
        if call.number <= self.made_in {
            return;
        }
        self.push(Moment {
            what: named.what,
            at: Duration::from_nanos(call.at),
            ran: Duration::from_nanos(end.saturating_sub(call.at)),
            waited: named.since.map(|since| Duration::from_nanos(call.at.saturating_sub(since))),
            turn: call.turn,
            phase: call.phase,
            queue: call.queue,
            site: named.site,
        });
    }

    fn slept(&self, turn: u64, from: Nanos, until: Nanos) {
        self.push(Moment {
            what: What::Sleep,
            at: Duration::from_nanos(from),
            ran: Duration::from_nanos(until.saturating_sub(from)),
            waited: None,
            turn,
            phase: Some(Phase::Poll),
            queue: QueueKind::Callbacks,
            site: None,
        });
    }
}

impl LoopHandle {
    /// Keeps the last `len_max` callbacks and sleeps from here on, until the timeline is dropped; older ones are lost, and counted.
    ///
    /// Costs some 100 bytes a callback that is kept, and up to three readings of the clock for each. There may be several.
    ///
    /// # Panics
    /// If `len_max` is zero.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use phaseloop::{EventLoop, Phase, RunMode};
    /// # fn ms(ms: u64) -> Duration { Duration::from_millis(ms) }
    /// let lp = EventLoop::builder().virtual_time(true).build()?;
    /// let timeline = lp.timeline(10_000);
    /// lp.set_immediate(|lp| lp.advance_clock(ms(3)).expect("time is virtual")); // takes 3 ms
    /// lp.set_immediate(|_| {});
    /// lp.run(RunMode::Default)?;
    /// let moments = timeline.moments();
    /// assert_eq!((moments[0].phase, moments[0].ran), (Some(Phase::Check), ms(3)));
    /// assert_eq!(moments[1].waited, Some(ms(3)));
    /// assert!(moments[1].site.is_some_and(|site| site.line() > 0)); // the line that set it
    ///
    /// let mut trace = Vec::new(); // or a file, to be opened in ui.perfetto.dev or chrome://tracing
    /// timeline.write_trace(&mut trace)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn timeline(&self, len_max: usize) -> Timeline {
        assert!(len_max > 0, "a timeline keeps at least one moment, not 0");
        let moments = RefCell::new(VecDeque::with_capacity(len_max.min(RESERVED_MAX)));
        let made_in = self.state.watching.calls();
        let ring = Rc::new(Ring { moments, len_max, lost: Cell::new(0), made_in });
        let watch: Rc<dyn Watch> = Rc::clone(&ring) as Rc<dyn Watch>;
        self.state.watch(Rc::clone(&watch));
        self.state.watching.count_timelines(|count| count + 1);
        Timeline { lp: self.clone(), ring, watch }
    }
}

impl Timeline {
    /// What is kept, in the order in which it ended.
    pub fn moments(&self) -> Vec<Moment> {
        self.ring.moments.borrow().iter().copied().collect()
    }

    /// As `moments`, and lets them go.
    pub fn take(&self) -> Vec<Moment> {
        self.ring.moments.borrow_mut().drain(..).collect()
    }

    /// How many had to make room for later ones.
    pub fn lost(&self) -> u64 {
        self.ring.lost.get()
    }

    /// Writes what is kept as Chrome's trace events in JSON, with a lane for each phase, for Perfetto or `chrome://tracing`.
    ///
    /// Ticks, microtasks and tasks are in the lane of the phase whose checkpoint ran them. Writes in small pieces: give it a buffer.
    ///
    /// # Errors
    /// What `out` returned.
    pub fn write_trace(&self, out: &mut dyn io::Write) -> io::Result<()> {
        trace::write(out, &self.moments(), self.lost())
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.lp.state.unwatch(&self.watch);
        self.lp.state.watching.count_timelines(|count| count - 1);
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.ring.moments.borrow().len();
        f.debug_struct("Timeline").field("len", &len).field("lost", &self.lost()).finish_non_exhaustive()
    }
}

/// Moments for which memory is set aside at once; more as they come.
const RESERVED_MAX: usize = 1024;
