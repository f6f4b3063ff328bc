//! Counters of one loop, which any thread may read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::LoopHandle;
use crate::time::clock::{Clock, Nanos};

/// What a loop has done so far. Read with [`LoopHandle::metrics`], or from another thread through a [`MetricsReader`].
///
/// Source: libuv, `uv_metrics_info` and `uv_metrics_idle_time`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Turns begun.
    pub turns: u64,
    /// Events that poll ran: of sources, and messages from other threads, completions included.
    pub events: u64,
    /// Of these, how many were there already when poll was about to wait.
    pub events_waiting: u64,
    /// Time spent waiting in poll, up to the last wait that ended. Polls that do not wait add nothing.
    pub idle: Duration,
}

/// Reads a loop's [`Metrics`] from any thread.
#[derive(Clone, Debug)]
pub struct MetricsReader(Arc<Counters>);

/// Written by the loop's thread alone, so a store needs no read-modify-write; read by anyone. Nothing is published with
/// them, so Relaxed does.
#[derive(Debug)]
pub(crate) struct Counters {
    turns: AtomicU64,
    events: AtomicU64,
    events_waiting: AtomicU64,
    idle: AtomicU64,
    /// The last look at the driver blocked.
    waited: AtomicBool,
    /// When the present wait began, by the loop's clock; `AWAKE` outside of one.
    waiting_since: AtomicU64,
    /// When the first run began, by the loop's clock; `NOT_YET` before.
    started: AtomicU64,
}

const AWAKE: u64 = u64::MAX;
const NOT_YET: u64 = u64::MAX;

impl Default for Counters {
    fn default() -> Self {
        Self {
            turns: AtomicU64::new(0),
            events: AtomicU64::new(0),
            events_waiting: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            waited: AtomicBool::new(false),
            waiting_since: AtomicU64::new(AWAKE),
            started: AtomicU64::new(NOT_YET),
        }
    }
}

impl Counters {
    /// Turns begun.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    pub(crate) fn turn(&self) {
        add(&self.turns, 1);
    }

    /// Counts what a look at the driver and the inbox brought. `waited` tells whether it blocked for it.
    pub(crate) fn events(&self, count: usize, waited: bool) {
        self.waited.store(waited, Ordering::Relaxed);
        self.more_events(count);
    }

    /// Counts what turned out to be more than one event, by the last look.
    pub(crate) fn more_events(&self, count: usize) {
        if count > 0 {
            let waited = self.waited.load(Ordering::Relaxed);
            add(&self.events, count as u64);
            add(&self.events_waiting, if waited { 0 } else { count as u64 });
        }
    }

    pub(crate) fn begin_wait(&self, now: Nanos) {
        self.waiting_since.store(now, Ordering::Relaxed);
    }

    /// Gives when the wait began.
    pub(crate) fn end_wait(&self, now: Nanos) -> Nanos {
        let since = self.waiting_since.swap(AWAKE, Ordering::Relaxed);
        add(&self.idle, now.saturating_sub(since));
        since
    }

    /// Notes when the loop ran for the first time.
    pub(crate) fn start(&self, clock: &Clock) {
        if self.started.load(Ordering::Relaxed) == NOT_YET {
            self.started.store(clock.read(), Ordering::Relaxed);
        }
    }

    pub(crate) fn started(&self) -> Option<Nanos> {
        Some(self.started.load(Ordering::Relaxed)).filter(|started| *started != NOT_YET)
    }

    fn read(&self) -> Metrics {
        Metrics {
            turns: self.turns(),
            events: self.events.load(Ordering::Relaxed),
            events_waiting: self.events_waiting.load(Ordering::Relaxed),
            idle: Duration::from_nanos(self.idle.load(Ordering::Relaxed)),
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

impl LoopHandle {
    /// What the loop has done so far.
    pub fn metrics(&self) -> Metrics {
        self.state.metrics.read()
    }

    /// Reads the same from other threads.
    pub fn metrics_reader(&self) -> MetricsReader {
        MetricsReader(Arc::clone(&self.state.metrics))
    }
}

impl MetricsReader {
    /// What the loop has done so far. The figures are each right, but may be of different moments. A wait that has not
    /// ended is not in `idle`; see [`is_waiting`](Self::is_waiting).
    pub fn read(&self) -> Metrics {
        self.0.read()
    }

    /// True while the loop waits in poll.
    pub fn is_waiting(&self) -> bool {
        self.0.waiting_since.load(Ordering::Relaxed) != AWAKE
    }
}
