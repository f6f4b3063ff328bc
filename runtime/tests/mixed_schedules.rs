//! Schedules that are no preset: fields of several put together. Whatever a user writes, what a phase sets does not prolong
//! it, what is due runs, and what is queued is drained.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use phaseloop::{
    Drain, EventLoop, ImmediateBatch, IntervalBeats, ListTimers, LoopHandle, NestedClamp, RunMode, Schedule,
    TimeoutId, TimerBatch,
};

/// More than any test here needs.
const TURNS_MAX: usize = 200;

/// How often a timer of these tests runs. It also bounds a phase that would go on for ever.
const CALLS: usize = 9;

/// Node 26 with each value of the fields that say how the timers of `set_timeout` and its kin run.
fn mixtures() -> Vec<Schedule> {
    let mut mixtures = Vec::new();
    for list_timers in [ListTimers::Shared, ListTimers::EachList, ListTimers::Tasks] {
        for interval_beats in [IntervalBeats::Drift, IntervalBeats::Grid] {
            for timer_batch in [TimerBatch::DueAtStart, TimerBatch::UntilNoneDue] {
                for immediate_batch in [ImmediateBatch::SetBefore, ImmediateBatch::One] {
                    for shortest_delay in [ms(0), ms(1)] {
                        let mut mixture = Schedule::node26();
                        (mixture.list_timers, mixture.interval_beats) = (list_timers, interval_beats);
                        (mixture.timer_batch, mixture.immediate_batch) = (timer_batch, immediate_batch);
                        mixture.shortest_delay = shortest_delay;
                        mixtures.push(mixture);
                    }
                }
            }
        }
    }
    mixtures
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn virtual_loop(schedule: &Schedule) -> EventLoop {
    EventLoop::builder().schedule(schedule.clone()).virtual_time(true).build().unwrap()
}

/// Turns, a millisecond each, until nothing keeps the loop alive. False if something always does.
fn comes_to_its_end(lp: &EventLoop) -> bool {
    (0..TURNS_MAX).any(|_| {
        lp.run(RunMode::NoWait).unwrap();
        lp.advance_clock(ms(1)).unwrap();
        !lp.is_alive()
    })
}

/// The turns in which a timer ran.
#[derive(Clone, Default)]
struct Calls(Rc<RefCell<Vec<u64>>>);

impl Calls {
    /// True until the last call.
    fn note(&self, lp: &LoopHandle) -> bool {
        let mut turns = self.0.borrow_mut();
        turns.push(lp.place().turn);
        turns.len() < CALLS
    }

    fn is_one_a_turn(&self) -> bool {
        let turns = self.0.borrow();
        turns.len() == CALLS && turns.windows(2).all(|pair| pair[0] < pair[1])
    }
}

/// Runs a timer that goes on by itself, in every mixture.
#[track_caller]
fn assert_one_a_turn(start: fn(&LoopHandle, Calls)) {
    for schedule in mixtures() {
        let (lp, calls) = (virtual_loop(&schedule), Calls::default());
        start(&lp, calls.clone());
        assert!(comes_to_its_end(&lp) && calls.is_one_a_turn(), "{:?}\n{schedule:?}", calls.0);
    }
}

/// Sets an interval that clears itself in its last call.
fn interval(
    lp: &LoopHandle,
    period: Duration,
    calls: Calls,
    also: impl Fn(&LoopHandle, TimeoutId) + 'static,
) {
    let (id, own_id) = (Rc::new(Cell::new(None)), Rc::<Cell<Option<TimeoutId>>>::default());
    id.set(Some(lp.set_interval(period, {
        let id = Rc::clone(&own_id);
        move |lp| {
            let id = id.get().unwrap();
            if calls.note(lp) {
                also(lp, id);
            } else {
                lp.clear_timeout(id);
            }
        }
    })));
    own_id.set(id.get());
}

#[test]
fn an_interval_without_a_period_runs_once_a_turn() {
    assert_one_a_turn(|lp, calls| interval(lp, ms(0), calls, |_, _| {}));
}

#[test]
fn an_interval_with_a_period_goes_on() {
    assert_one_a_turn(|lp, calls| interval(lp, ms(3), calls, |_, _| {}));
}

#[test]
fn an_interval_that_refreshes_itself_runs_once_a_turn() {
    assert_one_a_turn(|lp, calls| {
        interval(lp, ms(0), calls, |lp, id| assert!(lp.refresh_timeout(id)));
    });
}

#[test]
fn a_timeout_that_sets_itself_anew_runs_once_a_turn() {
    fn set(lp: &LoopHandle, calls: Calls) {
        lp.set_timeout(ms(0), move |lp| {
            if calls.note(lp) {
                set(lp, calls);
            }
        });
    }
    assert_one_a_turn(set);
}

#[test]
fn an_unreferenced_interval_without_a_period_lets_the_loop_end() {
    for schedule in mixtures() {
        let lp = virtual_loop(&schedule);
        let id = lp.set_interval(ms(0), |_| {});
        lp.unref_timeout(id);
        assert!(comes_to_its_end(&lp), "{schedule:?}");
    }
}

#[test]
fn a_timer_in_line_that_is_refreshed_falls_behind() {
    let lp = virtual_loop(&Schedule::browser());
    let log = Rc::new(RefCell::new(Vec::new()));
    let logs = |line: &'static str| {
        let log = Rc::clone(&log);
        move |_: &LoopHandle| log.borrow_mut().push(line)
    };
    let first = lp.set_timeout(ms(0), logs("first"));
    lp.set_timeout(ms(0), logs("second"));
    lp.refresh_timeout(first);
    lp.run(RunMode::Default).unwrap();
    assert_eq!(*log.borrow(), ["second", "first"]);
}

/// How long a timer without a delay waits that the main program sets.
fn due_after_nesting(lp: &EventLoop) -> Duration {
    let ran = Rc::new(Cell::new(None));
    let when = Rc::clone(&ran);
    lp.set_timeout(ms(0), move |lp| when.set(Some(lp.now())));
    let set = lp.now();
    lp.run(RunMode::Default).unwrap();
    ran.get().unwrap() - set
}

#[test]
fn only_what_a_nested_timer_sets_is_nested() {
    let mut schedule = Schedule::browser();
    schedule.immediate_batch = ImmediateBatch::SetBefore;
    schedule.nested_clamp = Some(NestedClamp { levels: 0, shortest: ms(4) });
    let lp = virtual_loop(&schedule);
    let due = Rc::new(Cell::new(None));
    lp.set_timeout(ms(0), |_| {});
    let when = Rc::clone(&due);
    lp.set_immediate(move |lp| {
        lp.set_timeout(ms(0), move |lp| when.set(Some(lp.now())));
    });
    let start = lp.now();
    lp.run(RunMode::Default).unwrap();
    assert_eq!(due.get().unwrap() - start, ms(0), "an immediate behind a timer is not nested");
    assert_eq!(due_after_nesting(&lp), ms(0), "nor is the main program");
}

#[test]
fn a_panic_that_leaves_the_run_leaves_no_nesting() {
    let mut schedule = Schedule::browser();
    schedule.nested_clamp = Some(NestedClamp { levels: 0, shortest: ms(4) });
    let lp = virtual_loop(&schedule);
    lp.set_timeout(ms(0), |_| panic!("left"));
    let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lp.run(RunMode::Default)));
    assert!(left.is_err());
    assert_eq!(due_after_nesting(&lp), ms(0));
}

#[test]
fn only_node_10_has_two_long_intervals_take_turns_in_one_phase() {
    for schedule in [Schedule::node10(), Schedule::node12(), Schedule::node20(), Schedule::node26()] {
        let (lp, calls) = (virtual_loop(&schedule), Calls::default());
        for period in [ms(1), ms(2)] {
            interval(&lp, period, calls.clone(), |lp, _| lp.advance_clock(ms(3)).unwrap());
        }
        comes_to_its_end(&lp);
        let (first, ninth) = (calls.0.borrow()[0], calls.0.borrow()[CALLS - 1]);
        assert_eq!(first == ninth, schedule.name == "node10", "{}: {:?}", schedule.name, calls.0);
    }
}

#[test]
fn every_mixture_of_drains_drains() {
    let drains = [Drain::EachCallback, Drain::EachList, Drain::EachPhase];
    for drain in drains {
        for (drain_timers, drain_immediates) in drains.into_iter().flat_map(|a| drains.map(|b| (a, b))) {
            let mut schedule = Schedule::node26();
            (schedule.drain, schedule.drain_timers) = (drain, drain_timers);
            schedule.drain_immediates = drain_immediates;
            let lp = virtual_loop(&schedule);
            let ticks = Rc::new(Cell::new(0));
            let ticking = || {
                let ticks = Rc::clone(&ticks);
                move |lp: &LoopHandle| lp.next_tick(move |_| ticks.set(ticks.get() + 1))
            };
            // Each is the last that its loop runs.
            lp.set_timeout(ms(1), ticking());
            lp.run(RunMode::Default).unwrap();
            lp.timer(ms(1), ticking());
            lp.run(RunMode::Default).unwrap();
            lp.set_immediate(ticking());
            lp.run(RunMode::Default).unwrap();
            phaseloop::Timer::new(&lp).close_with(ticking());
            lp.run(RunMode::Default).unwrap();
            assert_eq!(ticks.get(), 4, "{schedule:?}");
        }
    }
}

#[test]
fn what_a_panic_left_is_drained_by_the_phase_that_is_next() {
    let lp = virtual_loop(&Schedule::textbook());
    lp.on_uncaught(|_, _| {});
    let log = Rc::new(RefCell::new(Vec::new()));
    let logs = |line: &'static str| {
        let log = Rc::clone(&log);
        move |_: &LoopHandle| log.borrow_mut().push(line)
    };
    let (tick, immediate) = (logs("tick"), logs("immediate"));
    phaseloop::Timer::new(&lp).close_with(move |lp| {
        lp.next_tick(|_| panic!("abandons the drain"));
        lp.next_tick(tick);
        lp.set_immediate(immediate);
    });
    lp.run(RunMode::Default).unwrap();
    assert_eq!(*log.borrow(), ["tick", "immediate"], "the textbook drains behind timers, which come first");
}
