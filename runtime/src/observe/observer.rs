//! Who counts the callbacks of a loop.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::times::LoopTimes;
use crate::state::LoopHandle;
use crate::state::metrics::Metrics;
use crate::state::watch::{Call, Named, Watch};
use crate::time::clock::Nanos;

/// Counts the callbacks of a loop and how long they run, by phase: what [`LoopHandle::observe`] gives. It ends when it is dropped.
pub struct Observer {
    lp: LoopHandle,
    counting: Rc<Counting>,
    watch: Rc<dyn Watch>,
    begin: RefCell<Begin>,
}

/// Where an observer began, or was read with `take`.
struct Begin {
    metrics: Metrics,
    at: Nanos,
}

struct Counting {
    times: RefCell<LoopTimes>,
    /// The call in which it was made, if that is watched: it began before.
    made_in: u64,
}

impl Watch for Counting {
    fn ended(&self, call: &Call, _: &Named, end: Nanos) {
        if call.number > self.made_in {
            self.times.borrow_mut().add(call, end.saturating_sub(call.at));
        }
    }
}

impl LoopHandle {
    /// Counts the callbacks that begin from here on, by phase, and the time they run, until the observer is dropped.
    ///
    /// Costs two readings of the clock a callback. There may be several observers, each with a count of its own.
    /// A callback counts when it ends, also by a panic; what a hook for uncaught panics does belongs to it.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use phaseloop::{EventLoop, Phase, RunMode};
    /// # fn ms(ms: u64) -> Duration { Duration::from_millis(ms) }
    /// let lp = EventLoop::builder().virtual_time(true).build()?;
    /// let observer = lp.observe();
    /// lp.set_immediate(|lp| {
    ///     lp.advance_clock(ms(3)).expect("time is virtual"); // takes 3 ms
    ///     lp.next_tick(|_| {});
    /// });
    /// lp.run(RunMode::Default)?;
    /// let times = observer.times();
    /// let check = times.of(Phase::Check);
    /// assert_eq!((check.callbacks.count, check.callbacks.total), (1, ms(3)));
    /// assert_eq!(check.ticks.count, 1);
    /// assert_eq!(times.of(Phase::Poll).all().count, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn observe(&self) -> Observer {
        let counting = Rc::new(Counting { times: RefCell::default(), made_in: self.state.watching.calls() });
        let watch: Rc<dyn Watch> = Rc::clone(&counting) as Rc<dyn Watch>;
        self.state.watch(Rc::clone(&watch));
        let begin = RefCell::new(Begin::now(self));
        Observer { lp: self.clone(), counting, watch, begin }
    }
}

impl Observer {
    /// What ran since the observer was made, or since the last `take`.
    pub fn times(&self) -> LoopTimes {
        let (begin, now) = (self.begin.borrow(), Begin::now(&self.lp));
        let mut times = *self.counting.times.borrow();
        times.turns = now.metrics.turns - begin.metrics.turns;
        times.idle = now.metrics.idle.saturating_sub(begin.metrics.idle);
        times.elapsed = Duration::from_nanos(now.at.saturating_sub(begin.at));
        times
    }

    /// As `times`, and begins to count anew: for readings at intervals.
    pub fn take(&self) -> LoopTimes {
        let times = self.times();
        self.begin.replace(Begin::now(&self.lp));
        self.counting.times.take();
        times
    }
}

impl Begin {
    fn now(lp: &LoopHandle) -> Self {
        Self { metrics: lp.metrics(), at: lp.state.clock.read() }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.lp.state.unwatch(&self.watch);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("times", &self.counting.times).finish_non_exhaustive()
    }
}
