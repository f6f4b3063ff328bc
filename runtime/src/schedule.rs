//! The turn as data: which phases a turn has, in which order, and the rules that differ between loops.
//!
//! The figures come from running eight versions of Node, four of libuv and one browser. ARCHITECTURE.md lists the rules
//! with their sources.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A named stage of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Timers that are due.
    Timers,
    /// Callbacks that were deferred to the loop: finished writes, failed connects.
    Pending,
    /// Idle handles: once a turn, and they keep poll from waiting.
    Idle,
    /// Prepare handles: just before poll.
    Prepare,
    /// Waits for I/O, finished jobs and other threads, and runs what came.
    Poll,
    /// Check handles, then immediates: just after poll.
    Check,
    /// Close callbacks.
    Close,
}

impl fmt::Display for Phase {
    /// The name in lower case, such as `timers`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timers => "timers",
            Self::Pending => "pending",
            Self::Idle => "idle",
            Self::Prepare => "prepare",
            Self::Poll => "poll",
            Self::Check => "check",
            Self::Close => "close",
        })
    }
}

/// When the nextTick and microtask queues are drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drain {
    /// After each callback. Node 11 and later; browsers.
    EachCallback,
    /// After all timers of one list. Node 10. Where there are no lists, as `EachPhase`.
    EachList,
    /// When the phase is over. Node 10 for immediates; the textbook for everything.
    EachPhase,
}

/// How the timers phase takes due timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimerBatch {
    /// Those that are due when the phase begins; one that is started in the phase waits. libuv since 1.48.
    DueAtStart,
    /// Until none is due by the loop's cached time. libuv up to 1.47. The phase has no bound: a loop timer that its callback
    /// starts for no time is due again in the same phase, for ever. Source: SEMANTICS T15, U4.
    UntilNoneDue,
}

/// Which loop timers stand for the lists of `set_timeout` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListTimers {
    /// One loop timer for all lists. When it is due it runs all lists that are due by one reading of the clock. Clearing an
    /// unreferenced timer that was the last of its list leaves the empty list. Node 11 and later; SEMANTICS T6, T14.
    Shared,
    /// A loop timer for each list, which reads the clock and is a handle that is closed when the list is empty. A timer
    /// that is unreferenced while it is set leaves its list for one of its own. The phase has no bound: two intervals that
    /// each take longer than the other's period are due again when the other has run. Node 10; SEMANTICS T6, T12, T14.
    EachList,
    /// No lists. A timer that is due becomes a task: it joins the immediates, in the order of due times and then of setting,
    /// before the next turn; one without a delay joins them when it is set. Browsers; SEMANTICS B3, B5, and measured.
    Tasks,
}

/// How many immediates a check phase runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImmediateBatch {
    /// Those that were set before the phase. Node; SEMANTICS I1.
    SetBefore,
    /// One, so that timers that became due meanwhile get in line before what the next one sets. Browsers: HTML, "event
    /// loop processing model", and measured.
    One,
}

/// When an interval is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IntervalBeats {
    /// One period after its callback began, so it drifts; armed after the callback. Node; SEMANTICS T8.
    Drift,
    /// At the next whole number of periods after it was set that lies ahead; armed before the callback. Beats that a late
    /// loop missed are lost. Browsers: measured in Chromium.
    Grid,
}

/// Timers that timers set wait, from some depth on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NestedClamp {
    /// The callback of a timer is a level deeper than the callback that set the timer, and each call of an interval a level
    /// deeper than the one before. What a callback deeper than this sets, in its microtasks too, is clamped.
    pub levels: u8,
    /// The shortest delay of such a timer, in whole milliseconds.
    pub shortest: Duration,
}

/// How many jobs a whole file takes: each job is a hop through the pool, and so a poll phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileHops {
    /// Reading up to 512 KiB, or writing, is one job. Node 26.
    Whole,
    /// Opening, asking for the size, each piece and closing are jobs of their own, each submitted by the completion of
    /// the one before. Node 12 to 24.
    PerCall,
    /// As `PerCall`, but a file is read in pieces of 8 KiB. Node 10.
    SmallPieces,
}

/// The order and the rules of a loop. A plain value: take a preset, change fields, give it to the builder.
///
/// ```
/// use phaseloop::{EventLoop, Phase, Schedule};
///
/// let mut schedule = Schedule::node26();
/// schedule.name = "timers first".into();
/// schedule.turn.to_mut().rotate_right(1);
/// assert_eq!(schedule.turn[0], Phase::Timers);
/// let lp = EventLoop::builder().schedule(schedule).build()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Shown in traces and messages.
    pub name: Cow<'static, str>,
    /// Phases that a run in default mode goes through once before its first turn.
    pub opening: Cow<'static, [Phase]>,
    /// The phases of a turn. What belongs to a phase that is left out never runs, and yet keeps the loop alive and turning.
    pub turn: Cow<'static, [Phase]>,
    /// Phases that follow the turn of a run in once mode.
    pub once_ending: Cow<'static, [Phase]>,
    /// How often *pending* runs again right after poll while there is something in it.
    pub pending_after_poll: u32,
    /// Which timers one timers phase runs.
    pub timer_batch: TimerBatch,
    /// Which loop timers the lists of `set_timeout` hang on.
    pub list_timers: ListTimers,
    /// Fractions of a millisecond are cut off a delay before its list is chosen. In Node 10 each fraction has a list.
    /// Source: SEMANTICS T1.
    pub delays_are_whole: bool,
    /// The first delay that is negative, and the first that is not a number, are [warned](crate::Warning) of. Node 24
    /// and later; SEMANTICS T2.
    pub odd_delays_warn: bool,
    /// A delay of more than 2^31 - 1 ms is [warned](crate::Warning) of. Not in browsers. Source: SEMANTICS T2.
    pub long_delays_warn: bool,
    /// What stands for a delay that is shorter or too long, in whole milliseconds: 1 ms in Node, none in browsers. On a list
    /// it is 1 ms at least ([`ListTimers`]), so that what a timers phase sets is never due in the same phase.
    /// Source: SEMANTICS T1, B1.
    pub shortest_delay: Duration,
    /// Timers that are set by nested timers wait. Browsers: 4 ms beyond five levels. Source: HTML, "timer initialization
    /// steps"; SEMANTICS B1.
    pub nested_clamp: Option<NestedClamp>,
    /// When an interval is due again.
    pub interval_beats: IntervalBeats,
    /// An interval whose callback panicked, and whose panic the uncaught hook took, is armed again. Not in Node 10.
    /// Source: SEMANTICS X9. One that keeps to a grid is armed before its callback, so it always is.
    pub interval_survives_panic: bool,
    /// When the queues are drained among the timers of `set_timeout` and its kin. Not where they are
    /// [tasks](ListTimers::Tasks).
    pub drain_timers: Drain,
    /// When the queues are drained among the immediates.
    pub drain_immediates: Drain,
    /// How many immediates one check phase runs.
    pub immediate_batch: ImmediateBatch,
    /// The queues drain after a callback that panicked too, if the uncaught hook took the panic. Browsers, against Node's
    /// X1. Source: SEMANTICS B4.
    pub panic_drains: bool,
    /// When the queues are drained among all other callbacks, those of loop timers included.
    pub drain: Drain,
    /// The check phase drains before its first immediate, which finds work only after a panic. Node 12 to 24.
    pub check_opens_with_drain: bool,
    /// If the last immediate of a check phase panics, the phase goes on with those set meanwhile. In Node 10 only if
    /// another one of the phase panicked before. So an immediate that sets itself anew and then panics, each time, keeps
    /// the loop in the phase. Source: SEMANTICS I5.
    pub last_panic_takes_new_immediates: bool,
    /// The clock is read before poll computes how long to wait, so a callback that blocked does not make poll
    /// oversleep. libuv only when it is configured with `UV_METRICS_IDLE_TIME`, as Node does.
    pub wait_reads_clock: bool,
    /// An uncaught panic that the hook took queues an empty, referenced immediate. Node.
    pub uncaught_queues_immediate: bool,
    /// A main body that panicked, and whose panic the uncaught hook took, is followed by a drain. Not in Node 10.
    /// Only for [`run_program`](crate::EventLoop::run_program).
    pub main_panic_drains: bool,
    /// The phase that delivers the completions of requests: poll, or pending. Any other counts as poll.
    pub completions: Phase,
    /// How many jobs reading or writing a whole file takes. It is here because it moves callbacks by whole turns; the
    /// loop itself does not use it, a file API does. Source: SEMANTICS W3, measured.
    pub file_hops: FileHops,
}

const MODERN_TURN: &[Phase] =
    &[Phase::Pending, Phase::Idle, Phase::Prepare, Phase::Poll, Phase::Check, Phase::Close, Phase::Timers];
const CLASSIC_TURN: &[Phase] =
    &[Phase::Timers, Phase::Pending, Phase::Idle, Phase::Prepare, Phase::Poll, Phase::Check, Phase::Close];
const TIMERS: &[Phase] = &[Phase::Timers];

impl Schedule {
    /// Node 26 on libuv 1.52: the default.
    ///
    /// Timers run once before the first turn and then at the end of each, so that a due but unreferenced timer fires
    /// before the loop gives up. Queues drain after each callback.
    /// Source: libuv 1.45 (`uv_run`) and 1.48 (`uv__run_timers`); Node 26, `lib/internal/timers.js`.
    pub fn node26() -> Self {
        Self {
            name: Cow::Borrowed("node26"),
            opening: Cow::Borrowed(TIMERS),
            turn: Cow::Borrowed(MODERN_TURN),
            once_ending: Cow::Borrowed(&[]),
            pending_after_poll: 8,
            timer_batch: TimerBatch::DueAtStart,
            list_timers: ListTimers::Shared,
            delays_are_whole: true,
            odd_delays_warn: true,
            long_delays_warn: true,
            shortest_delay: Duration::from_millis(1),
            nested_clamp: None,
            interval_beats: IntervalBeats::Drift,
            interval_survives_panic: true,
            drain_timers: Drain::EachCallback,
            drain_immediates: Drain::EachCallback,
            immediate_batch: ImmediateBatch::SetBefore,
            panic_drains: false,
            drain: Drain::EachCallback,
            check_opens_with_drain: false,
            last_panic_takes_new_immediates: true,
            wait_reads_clock: true,
            uncaught_queues_immediate: true,
            main_panic_drains: true,
            completions: Phase::Poll,
            file_hops: FileHops::Whole,
        }
    }

    /// Node 24 on libuv 1.51.
    pub fn node24() -> Self {
        Self {
            name: Cow::Borrowed("node24"),
            check_opens_with_drain: true,
            file_hops: FileHops::PerCall,
            ..Self::node26()
        }
    }

    /// Node 22 on libuv 1.51.
    pub fn node22() -> Self {
        Self { name: Cow::Borrowed("node22"), odd_delays_warn: false, ..Self::node24() }
    }

    /// Node 20 on libuv 1.46.
    pub fn node20() -> Self {
        Self { name: Cow::Borrowed("node20"), timer_batch: TimerBatch::UntilNoneDue, ..Self::node22() }
    }

    /// Node 12, 16 and 18 on libuv 1.40 to 1.44: timers at the beginning of a turn only.
    pub fn node12() -> Self {
        Self {
            name: Cow::Borrowed("node12"),
            opening: Cow::Borrowed(&[]),
            turn: Cow::Borrowed(CLASSIC_TURN),
            once_ending: Cow::Borrowed(TIMERS),
            ..Self::node20()
        }
    }

    /// Node 10 on libuv 1.34: queues drain once per list of timers and once per check phase.
    pub fn node10() -> Self {
        Self {
            name: Cow::Borrowed("node10"),
            list_timers: ListTimers::EachList,
            delays_are_whole: false,
            interval_survives_panic: false,
            drain_timers: Drain::EachList,
            drain_immediates: Drain::EachPhase,
            check_opens_with_drain: false,
            last_panic_takes_new_immediates: false,
            main_panic_drains: false,
            file_hops: FileHops::SmallPieces,
            ..Self::node12()
        }
    }

    /// libuv since 1.48, alone: poll may oversleep behind a callback that blocks, as libuv's does.
    pub fn libuv() -> Self {
        Self {
            name: Cow::Borrowed("libuv"),
            wait_reads_clock: false,
            uncaught_queues_immediate: false,
            ..Self::node26()
        }
    }

    /// libuv up to 1.44, alone.
    pub fn libuv_1_44() -> Self {
        Self {
            name: Cow::Borrowed("libuv 1.44"),
            check_opens_with_drain: false,
            wait_reads_clock: false,
            uncaught_queues_immediate: false,
            file_hops: FileHops::Whole,
            ..Self::node12()
        }
    }

    /// A page in a browser, as Chromium 156 runs it: one queue of tasks, and a turn for each.
    ///
    /// A task is an immediate: [`set_immediate`](crate::LoopHandle::set_immediate) stands for a posted message. A timer of
    /// [`set_timeout`](crate::LoopHandle::set_timeout) or [`set_interval`](crate::LoopHandle::set_interval) joins the tasks
    /// when it is due, by due time, or at once if it has no delay; so a message and a zero timeout run in the order in which
    /// they were posted and set. Microtasks run after each task, even after one that panicked. Deeply nested timers wait
    /// 4 ms, and intervals keep to their grid. A page has no ticks; here they run before the microtasks, as ever.
    /// The loop's own timers, handles and I/O keep their phases.
    /// Source: HTML, "event loop processing model" and "timer initialization steps"; SEMANTICS B1 to B5, and measured.
    pub fn browser() -> Self {
        Self {
            name: Cow::Borrowed("browser"),
            opening: Cow::Borrowed(&[]),
            turn: Cow::Borrowed(CLASSIC_TURN),
            once_ending: Cow::Borrowed(TIMERS),
            list_timers: ListTimers::Tasks,
            odd_delays_warn: false,
            long_delays_warn: false,
            shortest_delay: Duration::ZERO,
            nested_clamp: Some(NestedClamp { levels: 5, shortest: Duration::from_millis(4) }),
            interval_beats: IntervalBeats::Grid,
            immediate_batch: ImmediateBatch::One,
            panic_drains: true,
            uncaught_queues_immediate: false,
            ..Self::node26()
        }
    }

    /// The model that articles draw: timers first, completions in *pending*, queues drained between phases.
    pub fn textbook() -> Self {
        Self {
            name: Cow::Borrowed("textbook"),
            drain_timers: Drain::EachPhase,
            drain_immediates: Drain::EachPhase,
            drain: Drain::EachPhase,
            completions: Phase::Pending,
            file_hops: FileHops::Whole,
            ..Self::node12()
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::node26()
    }
}
