//! What the rules are shown on: the presets, and pairs of callbacks in each phase.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use phaseloop::{JoinHandle, LoopHandle, Schedule, ScriptedSource, TestLoop, Timer};

use crate::trace::{Trace, ms};

/// Every preset that has an order of its own.
pub(crate) fn presets() -> [Schedule; 8] {
    [
        Schedule::node26(),
        Schedule::node24(),
        Schedule::node20(),
        Schedule::node12(),
        Schedule::node10(),
        Schedule::libuv(),
        Schedule::libuv_1_44(),
        Schedule::textbook(),
    ]
}

/// Where the loop calls user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A loop timer.
    Timer,
    /// A timeout on one of Node's lists.
    Timeout,
    /// Readiness of a source, in the poll phase.
    Source,
    /// An immediate, in the check phase.
    Immediate,
    /// A close callback.
    Close,
}

impl Place {
    pub(crate) const ALL: [Self; 5] =
        [Self::Timer, Self::Timeout, Self::Source, Self::Immediate, Self::Close];

    /// Has `first` and `second` run one after the other in one phase. Timers are due once the clock has moved on by 1 ms.
    pub(crate) fn pair(
        self,
        lp: &TestLoop,
        first: impl FnOnce(&LoopHandle) + 'static,
        second: impl FnOnce(&LoopHandle) + 'static,
    ) {
        let handle = lp.event_loop().handle();
        match self {
            Self::Timer => {
                handle.timer(ms(1), first);
                handle.timer(ms(1), second);
            }
            Self::Timeout => {
                handle.set_timeout(ms(1), first);
                handle.set_timeout(ms(1), second);
            }
            Self::Source => {
                once_ready(lp, first);
                once_ready(lp, second);
            }
            Self::Immediate => {
                handle.set_immediate(first);
                handle.set_immediate(second);
            }
            Self::Close => {
                Timer::new(&handle).close_with(second); // the last that was closed comes first
                Timer::new(&handle).close_with(first);
            }
        }
    }

    /// True if the queues are drained between the callbacks of a pair.
    pub(crate) fn drains_between(self, preset: &str) -> bool {
        match preset {
            "node10" => !matches!(self, Self::Timeout | Self::Immediate),
            "textbook" => false,
            _ => true,
        }
    }
}

/// Opens a source that is ready, calls `f` in the next poll phase, and forgets the source. It keeps the loop alive, which
/// a scripted source by itself does not.
pub(crate) fn once_ready(lp: &TestLoop, f: impl FnOnce(&LoopHandle) + 'static) {
    let own: Rc<RefCell<Option<ScriptedSource>>> = Rc::default();
    let (closes, mut f) = (Rc::clone(&own), Some((f, lp.begin_request())));
    let source = lp.source(move |lp| {
        if let Some(source) = closes.take() {
            source.close();
        }
        if let Some((f, _request)) = f.take() {
            f(lp);
        }
    });
    source.make_ready();
    own.replace(Some(source));
}

/// Runs a main program, and then its loop to the end. Gives the trace.
pub(crate) fn under(schedule: Schedule, main: impl FnOnce(&TestLoop, &Trace)) -> Vec<String> {
    let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
    main(&lp, &trace);
    finish(&lp, &trace);
    trace.take()
}

/// Runs a loop in default mode until it is no longer alive.
pub(crate) fn finish(lp: &TestLoop, trace: &Trace) {
    let outcome = lp.event_loop().run_until(lp.now() + ms(1_000_000)).expect("a script does not fail");
    assert!(!lp.is_alive(), "{outcome:?}; held by {:?}; trace {:?}", lp.why_alive(), trace.take());
}

/// Asserts the trace of a main program under every preset.
#[track_caller]
pub(crate) fn under_all(expected: &[&str], main: impl Fn(&TestLoop, &Trace)) {
    for schedule in presets() {
        let name = schedule.name.clone();
        assert_eq!(under(schedule, &main), expected, "under {name}");
    }
}

/// Asserts a trace that differs in the textbook, which drains between phases only.
#[track_caller]
pub(crate) fn under_all_but(expected: &[&str], textbook: &[&str], main: impl Fn(&TestLoop, &Trace)) {
    for schedule in presets() {
        let name = schedule.name.clone();
        let expected = if name == "textbook" { textbook } else { expected };
        assert_eq!(under(schedule, &main), expected, "under {name}");
    }
}

/// Spawns what `make` makes of the trace.
pub(crate) fn spawn<F>(lp: &LoopHandle, trace: &Trace, make: impl FnOnce(Trace) -> F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    lp.spawn(make(trace.clone()))
}

/// Logs when it is dropped.
pub(crate) struct Dropped(pub(crate) Trace, pub(crate) &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.log(self.1);
    }
}
