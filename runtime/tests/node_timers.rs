//! Timeouts and intervals by Node's rules: T1 to T15 of the semantics, as far as virtual time can show them.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use phaseloop::{LoopHandle, RunMode, Schedule, TestLoop, TimeoutId};
use trace::{Trace, ms};

/// Lets time pass inside a callback, as one that blocks would.
fn busy(lp: &TestLoop, trace: &Trace, line: &'static str, millis: u64) -> impl FnOnce(&LoopHandle) + 'static {
    let (lp, trace) = (lp.clone(), trace.clone());
    move |_| {
        trace.log(line);
        lp.advance(ms(millis));
    }
}

#[test]
fn a_duration_out_of_range_becomes_one_millisecond() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.set_timeout(ms(0), trace.logs("zero"));
    lp.set_timeout(ms(1 << 31), trace.logs("huge"));
    lp.set_timeout(std::time::Duration::from_micros(1900), trace.logs("fraction"));
    lp.advance(ms(1));
    lp.turn();
    assert_eq!(trace.take(), ["zero", "huge", "fraction"]);
}

#[test]
fn setting_a_timeout_reads_the_clock() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    lp.immediate(move |lp| {
        lp.advance(ms(50));
        lp.set_timeout(ms(20), logged.logs("due later"));
    });
    lp.turn();
    assert!(trace.take().is_empty());
    lp.advance(ms(20));
    lp.turn();
    assert_eq!(trace.take(), ["due later"]);
}

#[test]
fn different_durations_run_by_due_time() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    for (millis, line) in [(30, "30"), (10, "10"), (20, "20")] {
        lp.set_timeout(ms(millis), trace.logs(line));
    }
    lp.advance(ms(40));
    lp.turn();
    assert_eq!(trace.take(), ["10", "20", "30"]);
}

#[test]
fn a_whole_list_runs_before_an_earlier_timeout_of_another() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.set_timeout(ms(10), trace.logs("a"));
    lp.advance(ms(1));
    lp.set_timeout(ms(12), trace.logs("b"));
    lp.advance(ms(4));
    lp.set_timeout(ms(10), trace.logs("c"));
    lp.advance(ms(40));
    lp.turn();
    assert_eq!(trace.take(), ["a", "c", "b"]);
}

#[test]
fn a_timeout_set_in_the_phase_waits_even_if_it_has_become_due() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (test, logged) = (lp.clone(), trace.clone());
    lp.set_timeout(ms(1), move |lp| {
        logged.log("first");
        lp.set_timeout(ms(1), logged.logs("second"));
        test.advance(ms(10));
    });
    lp.advance(ms(1));
    lp.turn();
    assert_eq!(trace.take(), ["first"]);
    lp.turn();
    assert_eq!(trace.take(), ["second"]);
}

#[test]
fn refresh_leaves_the_due_time_of_the_list_alone() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let first = lp.set_timeout(ms(10), trace.logs("refreshed"));
    lp.set_timeout(ms(11), trace.logs("other"));
    lp.advance(ms(5));
    assert!(lp.refresh_timeout(first));
    lp.advance(ms(30));
    lp.turn();
    assert_eq!(trace.take(), ["refreshed", "other"], "its list kept the due time of 10");
}

#[test]
fn a_refreshed_timeout_is_not_early() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let id = lp.set_timeout(ms(10), trace.logs("due"));
    lp.advance(ms(6));
    lp.refresh_timeout(id);
    lp.advance(ms(6));
    lp.turn();
    assert!(trace.take().is_empty());
    lp.advance(ms(4));
    lp.turn();
    assert_eq!(trace.take(), ["due"]);
}

#[test]
fn an_interval_is_armed_from_when_its_callback_began() {
    let lp = TestLoop::new();
    let begun = Rc::new(RefCell::new(Vec::new()));
    let (test, seen, start) = (lp.clone(), Rc::clone(&begun), lp.now());
    let mut left = 3;
    let own = Rc::new(Cell::new(None::<TimeoutId>));
    let id = Rc::clone(&own);
    own.set(Some(lp.set_interval(ms(10), move |lp| {
        seen.borrow_mut().push((lp.now() - start).as_millis());
        test.advance(ms(4));
        left -= 1;
        if left == 0 {
            lp.clear_timeout(id.get().unwrap());
        }
    })));
    lp.run();
    assert_eq!(*begun.borrow(), [10, 20, 30]);
}

#[test]
fn an_interval_never_runs_twice_in_one_phase() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let weak = Rc::new(RefCell::new(Some(lp.clone())));
    let (test, logged) = (Rc::clone(&weak), trace.clone());
    let id = lp.set_interval(ms(10), move |_| {
        logged.log("interval");
        if let Some(lp) = &*test.borrow() {
            lp.advance(ms(100));
        }
    });
    lp.advance(ms(10));
    lp.turn();
    assert_eq!(trace.take(), ["interval"]);
    lp.turn();
    assert_eq!(trace.take(), ["interval"]);
    lp.clear_timeout(id);
    weak.take();
}

#[test]
fn refresh_arms_a_refreshable_timeout_that_has_fired() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let id = lp.set_refreshable_timeout(ms(5), trace.logs("due"));
    lp.run();
    assert!(!lp.is_alive());
    assert!(lp.refresh_timeout(id));
    assert!(lp.is_alive());
    lp.run();
    assert_eq!(trace.take(), ["due", "due"]);
    assert!(lp.clear_timeout(id));
}

#[test]
fn refresh_does_nothing_after_clear_or_after_a_one_shot_ran() {
    let lp = TestLoop::new();
    let cleared = lp.set_timeout(ms(5), |_| {});
    lp.clear_timeout(cleared);
    assert!(!lp.refresh_timeout(cleared));
    let ran = lp.set_timeout(ms(5), |_| {});
    lp.run();
    assert!(!lp.refresh_timeout(ran));
    assert!(!lp.is_alive());
}

#[test]
fn clearing_a_due_timeout_from_another_one_works() {
    let lp = TestLoop::new();
    let victim = Rc::new(Cell::new(None));
    let known = Rc::clone(&victim);
    lp.set_timeout(ms(5), move |lp| assert!(lp.clear_timeout(known.get().unwrap())));
    victim.set(Some(lp.set_timeout(ms(5), |_| unreachable!("it was cleared"))));
    lp.advance(ms(10));
    lp.run();
}

#[test]
fn clearing_a_due_timeout_from_a_tick_in_between_works() {
    let lp = TestLoop::new();
    let victim = Rc::new(Cell::new(None));
    let known = Rc::clone(&victim);
    lp.set_timeout(ms(5), move |lp| {
        lp.next_tick(move |lp| assert!(lp.clear_timeout(known.get().unwrap())));
    });
    victim.set(Some(lp.set_timeout(ms(5), |_| unreachable!("it was cleared"))));
    lp.advance(ms(10));
    lp.run();
}

#[test]
fn an_unreferenced_timeout_fires_if_the_loop_turns() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let id = lp.set_timeout(ms(5), trace.logs("unreferenced"));
    assert!(lp.unref_timeout(id));
    lp.set_timeout(ms(9), trace.logs("referenced"));
    lp.run();
    assert_eq!(trace.take(), ["unreferenced", "referenced"]);
}

#[test]
fn clearing_an_unreferenced_last_timeout_leaves_its_list() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let id = lp.set_timeout(ms(10), |_| unreachable!("it was cleared"));
    lp.unref_timeout(id);
    lp.clear_timeout(id);
    lp.set_timeout(ms(12), trace.logs("b"));
    lp.advance(ms(8));
    lp.set_timeout(ms(10), trace.logs("c"));
    lp.advance(ms(30));
    lp.turn();
    assert_eq!(trace.take(), ["c", "b"], "c inherited the due time of 10");
}

#[test]
fn clearing_a_referenced_last_timeout_removes_its_list() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let id = lp.set_timeout(ms(10), |_| unreachable!("it was cleared"));
    lp.clear_timeout(id);
    lp.set_timeout(ms(12), trace.logs("b"));
    lp.advance(ms(8));
    lp.set_timeout(ms(10), trace.logs("c"));
    lp.advance(ms(30));
    lp.turn();
    assert_eq!(trace.take(), ["b", "c"]);
}

/// The drain after the last timer sets one, blocks, and reads the clock.
fn drain_that_blocks(schedule: Schedule) -> Vec<String> {
    let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
    let (test, logged) = (lp.clone(), trace.clone());
    lp.set_timeout(ms(1), move |lp| {
        lp.set_immediate(logged.logs("immediate"));
        lp.next_tick(move |lp| {
            lp.set_timeout(ms(1), logged.logs("timeout"));
            test.advance(ms(10));
            lp.update_now();
        });
    });
    lp.advance(ms(1));
    lp.event_loop().run(RunMode::Default).expect("the loop runs");
    trace.take()
}

#[test]
fn the_timers_phase_is_not_repeated_behind_a_drain_that_blocks() {
    assert_eq!(drain_that_blocks(Schedule::node26()), ["immediate", "timeout"]);
}

#[test]
fn up_to_node_20_the_timers_phase_is_repeated_behind_a_drain_that_blocks() {
    assert_eq!(drain_that_blocks(Schedule::node20()), ["timeout", "immediate"]);
}

#[test]
fn ticks_and_microtasks_run_between_two_timeouts_of_one_list() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    for line in ["first", "second"] {
        let logged = trace.clone();
        lp.set_timeout(ms(1), move |lp| {
            logged.log(line);
            lp.queue_microtask(logged.logs("microtask"));
            lp.next_tick(logged.logs("tick"));
        });
    }
    lp.advance(ms(1));
    lp.turn();
    assert_eq!(trace.take(), ["first", "tick", "microtask", "second", "tick", "microtask"]);
}

#[test]
fn a_busy_timeout_does_not_make_the_next_one_run_twice() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.set_timeout(ms(1), busy(&lp, &trace, "busy", 20));
    lp.set_timeout(ms(10), trace.logs("other"));
    lp.advance(ms(1));
    lp.turn();
    assert_eq!(trace.take(), ["busy"], "the phase reads the clock once");
    lp.turn();
    assert_eq!(trace.take(), ["other"]);
}

#[test]
fn a_tick_between_two_lists_may_refresh_the_first_timer_of_the_second() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let second: Rc<Cell<Option<TimeoutId>>> = Rc::default();
    let refreshed = Rc::clone(&second);
    lp.set_timeout(ms(1), move |lp| {
        lp.next_tick(move |lp| assert!(lp.refresh_timeout(refreshed.get().unwrap())));
    });
    second.set(Some(lp.set_timeout(ms(2), trace.logs("refreshed"))));
    lp.advance(ms(5));
    lp.turn();
    assert!(trace.take().is_empty());
    lp.advance(ms(2));
    lp.turn();
    assert_eq!(trace.take(), ["refreshed"]);
}
