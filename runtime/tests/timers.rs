//! Timers as libuv has them: order, repeats, restarts, and what lies at the ends of the range.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::{
    AgainError, Check, Closing, EventLoop, LoopHandle, MissedTicks, Outcome, RunMode, Schedule, TestLoop,
    Timer,
};
use trace::{Trace, ms};

fn log_after(lp: &TestLoop, delay: Duration, line: &'static str) {
    lp.timer(delay, move |lp| lp.log(line));
}

#[test]
fn timers_run_by_due_time() {
    let lp = TestLoop::new();
    log_after(&lp, ms(3), "third");
    log_after(&lp, ms(1), "first");
    log_after(&lp, ms(2), "second");
    lp.advance(ms(10));
    assert_eq!(lp.turn_log(), ["first", "second", "third"]);
}

#[test]
fn equal_due_times_run_in_the_order_of_starting() {
    let lp = TestLoop::new();
    log_after(&lp, ms(5), "a");
    lp.advance(ms(2));
    lp.update_now();
    log_after(&lp, ms(3), "b");
    log_after(&lp, ms(3), "c");
    lp.advance(ms(10));
    assert_eq!(lp.turn_log(), ["a", "b", "c"]);
}

#[test]
fn a_restart_counts_as_a_new_start_among_equals() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let first = lp.event_loop().timer(ms(5), trace.logs("restarted"));
    lp.event_loop().timer(ms(5), trace.logs("other"));
    assert!(lp.restart_timer(first, ms(5)));
    lp.advance(ms(5));
    lp.turn();
    assert_eq!(trace.take(), ["other", "restarted"]);
}

#[test]
fn a_timer_started_by_a_timer_runs_next_turn() {
    let lp = TestLoop::new();
    lp.timer(ms(5), |lp| {
        lp.log("first");
        log_after(lp, ms(0), "second");
    });
    lp.advance(ms(5));
    assert_eq!(lp.turn_log(), ["first"]);
    assert_eq!(lp.turn_log(), ["second"]);
}

#[test]
fn a_timer_that_restarts_itself_with_zero_runs_once_a_phase() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let again = trace.clone();
    let timer = Timer::new(&lp);
    timer.start_repeating(ms(0), Duration::from_nanos(1), move |_| again.log("timer")).unwrap();
    let check = Check::new(&lp);
    check.start(trace.logs("check")).unwrap();
    for _ in 0..3 {
        lp.advance(ms(1));
        lp.turn();
    }
    assert_eq!(trace.take(), ["check", "timer", "check", "timer", "check", "timer"]);
}

#[test]
fn up_to_libuv_1_46_a_timer_that_restarts_itself_with_zero_starves_the_loop() {
    let (lp, trace) = (TestLoop::with_schedule(Schedule::libuv_1_44()), Trace::default());
    let (mut left, again) = (4, trace.clone());
    let timer = Timer::new(&lp);
    timer.start(ms(0), move |timer| restart(timer.clone(), &mut left, again.clone())).unwrap();
    lp.set_immediate(trace.logs("immediate"));
    lp.turn();
    assert_eq!(trace.take(), ["timer", "timer", "timer", "timer", "immediate"]);
}

fn restart(timer: Timer, left: &mut u32, trace: Trace) {
    trace.log("timer");
    *left -= 1;
    if *left > 0 {
        let mut left = *left;
        let next = timer.clone();
        next.start(ms(0), move |timer| restart(timer.clone(), &mut left, trace.clone()))
            .expect("the timer is open");
    }
}

#[test]
fn a_timer_is_never_early_by_the_loops_time() {
    let lp = TestLoop::new();
    log_after(&lp, ms(5), "due");
    lp.advance(ms(5) - Duration::from_nanos(1));
    assert!(lp.turn_log().is_empty());
    lp.advance(Duration::from_nanos(1));
    assert_eq!(lp.turn_log(), ["due"]);
}

#[test]
fn a_timer_counts_from_the_loops_cached_time() {
    let lp = TestLoop::new();
    lp.immediate(|lp| {
        lp.advance(ms(50)); // busy
        log_after(lp, ms(20), "due already");
    });
    assert_eq!(lp.turn_log(), ["due already"]);
}

#[test]
fn a_timer_started_in_check_runs_later() {
    let (lp, trace) = (TestLoop::with_schedule(Schedule::libuv_1_44()), Trace::default());
    let logged = trace.clone();
    let check = Check::new(&lp);
    check
        .start(move |check| {
            let trace = logged.clone();
            check.lp().timer(ms(0), move |_| trace.log("timer"));
            logged.log("check");
            check.stop();
        })
        .unwrap();
    lp.turn();
    assert_eq!(trace.take(), ["check"]);
    lp.turn();
    assert_eq!(trace.take(), ["timer"]);
}

#[test]
fn starting_twice_replaces() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let timer = Timer::new(&lp);
    timer.start(ms(1), trace.logs("old")).unwrap();
    timer.start(ms(2), trace.logs("new")).unwrap();
    lp.run();
    assert_eq!(trace.take(), ["new"]);
}

#[test]
fn again_restarts_a_repeating_timer_with_its_period() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let timer = Timer::new(&lp);
    timer.start_repeating(ms(2), ms(10), trace.logs("due")).unwrap();
    timer.again().unwrap();
    assert_eq!(timer.due_in(), Some(ms(10)));
    timer.stop();
    timer.again().unwrap();
    assert!(timer.is_active());
}

#[test]
fn again_in_the_timers_own_callback_works() {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    timer
        .start_repeating(ms(2), ms(10), |timer| {
            timer.set_period(Some(ms(30)));
            timer.again().unwrap();
        })
        .unwrap();
    lp.advance(ms(2));
    lp.turn();
    assert_eq!(timer.due_in(), Some(ms(30)));
}

#[test]
fn again_on_a_timer_that_was_never_started_is_refused() {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    assert_eq!(timer.again(), Err(AgainError::NeverStarted));
    timer.close();
    assert_eq!(timer.again(), Err(AgainError::Closing));
}

#[test]
fn again_without_a_period_changes_nothing() {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    timer.start(ms(7), |_| {}).unwrap();
    timer.again().unwrap();
    assert_eq!(timer.due_in(), Some(ms(7)));
}

#[test]
fn a_repeating_timer_is_restarted_before_its_callback() {
    let lp = TestLoop::new();
    let due_in = Rc::new(Cell::new(None));
    let seen = Rc::clone(&due_in);
    let timer = Timer::new(&lp);
    timer.start_repeating(ms(5), ms(10), move |timer| seen.set(timer.due_in())).unwrap();
    lp.advance(ms(8));
    lp.turn();
    assert_eq!(due_in.get(), Some(ms(10)), "from the loop's time, not from when it was due");
}

#[test]
fn a_late_repeating_timer_fires_once_a_turn() {
    for mode in [RunMode::Once, RunMode::NoWait] {
        let (lp, trace) = (TestLoop::new(), Trace::default());
        let timer = Timer::new(&lp);
        timer.start_repeating(ms(1), ms(1), trace.logs("due")).unwrap();
        lp.advance(ms(100));
        assert_eq!(lp.event_loop().run(mode).unwrap(), Outcome::Alive);
        assert_eq!(trace.take(), ["due"]);
    }
}

/// Runs a timer of 10 ms that is first looked at after 35 ms, and says when it is due next, turn by turn.
fn next_dues(policy: MissedTicks) -> Vec<Option<Duration>> {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    timer.set_missed_ticks(policy);
    timer.start_repeating(ms(10), ms(10), |_| {}).expect("the timer is open");
    lp.advance(ms(35));
    let due = |_| {
        lp.turn();
        timer.due_in()
    };
    (0..3).map(due).collect()
}

#[test]
fn missed_ticks_delay_the_next_one_or_are_skipped_or_made_up_for() {
    assert_eq!(next_dues(MissedTicks::Delay)[0], Some(ms(10)));
    assert_eq!(next_dues(MissedTicks::Skip)[0], Some(ms(5)));
    let made_up = next_dues(MissedTicks::Burst);
    assert_eq!(made_up, [Some(ms(0)), Some(ms(0)), Some(ms(5))], "one in each timers phase");
}

#[test]
fn a_burst_does_not_hold_up_timers_that_were_due_before() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let timer = Timer::new(&lp);
    timer.set_missed_ticks(MissedTicks::Burst);
    timer.start_repeating(ms(1), ms(1), trace.logs("burst")).unwrap();
    let other = trace.clone();
    lp.timer(ms(5), move |_| other.log("other"));
    lp.advance(ms(10));
    lp.turn();
    assert_eq!(trace.take(), ["burst", "other"]);
}

#[test]
fn huge_delays_and_periods_do_not_overflow() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let timers: Vec<_> = (0..3).map(|_| Timer::new(&lp)).collect();
    timers[0].start(Duration::MAX, trace.logs("never")).unwrap();
    timers[1].start_repeating(ms(1), Duration::MAX, trace.logs("repeats never")).unwrap();
    timers[2].start(Duration::from_nanos(u64::MAX - 1), trace.logs("never")).unwrap();
    lp.advance(ms(10));
    lp.turn();
    lp.turn();
    assert_eq!(trace.take(), ["repeats never"]);
}

#[test]
fn a_timer_may_stop_another_that_is_due_in_the_same_phase() {
    let lp = TestLoop::new();
    let second = lp.event_loop().timer(ms(6), |_| unreachable!("it was stopped"));
    lp.timer(ms(5), move |lp| assert!(lp.stop_timer(second)));
    lp.advance(ms(10));
    lp.turn();
    assert!(!lp.stop_timer(second));
}

#[test]
fn a_timer_may_close_itself_and_others_in_its_callback() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let other = Timer::new(&lp);
    other.start(ms(6), |_| unreachable!("it was closed")).unwrap();
    let (closed, closing) = (trace.clone(), other.clone());
    let timer = Timer::new(&lp);
    timer
        .start_repeating(ms(5), ms(5), move |timer| {
            timer.close_with(closed.logs("closed"));
            closing.close();
        })
        .unwrap();
    lp.advance(ms(10));
    lp.run();
    assert_eq!(trace.take(), ["closed"]);
    assert!(timer.is_closing());
}

#[test]
fn a_closed_timer_refuses_to_start() {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    assert!(!timer.is_closing());
    timer.close();
    assert!(timer.is_closing());
    assert_eq!(timer.start(ms(0), |_| {}), Err(Closing));
    assert!(!timer.close_with(|_| unreachable!("it was closed before")));
}

#[test]
fn a_period_set_to_none_makes_the_next_tick_the_last() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let timer = Timer::new(&lp);
    timer.start_repeating(ms(1), ms(1), trace.logs("due")).unwrap();
    timer.set_period(None);
    assert_eq!(timer.period(), None);
    lp.run();
    assert_eq!(trace.take(), ["due"]);
    assert!(!timer.is_active());
}

#[test]
fn time_left_is_counted_by_the_loops_time() {
    let lp = TestLoop::new();
    let id = lp.event_loop().timer(ms(10), |_| {});
    assert_eq!(lp.timer_due_in(id), Some(ms(10)));
    lp.advance(ms(4));
    lp.update_now();
    assert_eq!(lp.timer_due_in(id), Some(ms(6)));
    lp.stop_timer(id);
    assert_eq!(lp.timer_due_in(id), None);
}

#[test]
fn a_timer_that_is_never_due_does_not_keep_poll_from_waiting() {
    let lp = EventLoop::new().unwrap();
    lp.timer(Duration::MAX, |_| unreachable!("it is never due"));
    lp.timer(ms(1), |_| {});
    lp.timer(ms(20), |lp| lp.stop());
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Stopped);
    assert!(lp.metrics().turns < 10, "{} turns", lp.metrics().turns);
}

#[test]
fn an_id_that_is_shown_to_another_loop_finds_nobody_there() {
    let (here, there) = (TestLoop::new(), TestLoop::new());
    let trace = Trace::default();
    let set = |lp: &LoopHandle, name: &'static str| {
        let (timer, timeout, immediate) = (trace.clone(), trace.clone(), trace.clone());
        let timer = lp.timer(ms(1), move |_| timer.log(format!("{name} timer")));
        let timeout = lp.set_timeout(ms(1), move |_| timeout.log(format!("{name} timeout")));
        (timer, timeout, lp.set_immediate(move |_| immediate.log(format!("{name} immediate"))))
    };
    let (timer, timeout, immediate) = set(&here, "here");
    set(&there, "there");
    assert!(!there.stop_timer(timer) && !there.clear_timeout(timeout) && !there.clear_immediate(immediate));
    there.advance(ms(2));
    there.turn();
    assert_eq!(trace.take().len(), 3, "all of them run there");
    assert!(here.stop_timer(timer) && here.clear_timeout(timeout) && here.clear_immediate(immediate));
    here.advance(ms(2));
    here.turn();
    assert!(trace.take().is_empty());
}
