//! What a run does: its modes, when it ends, the order of a turn, and how long poll may wait.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::{
    Check, EventLoop, Idle, Outcome, Prepare, RunMode, Schedule, ScriptedSource, TestLoop, Timer,
};
use trace::{Trace, ms};

/// Starts something in every phase; each line appears where the phase stands in the turn.
fn in_every_phase(lp: &TestLoop, trace: &Trace) -> ScriptedSource {
    lp.timer(ms(0), {
        let trace = trace.clone();
        move |_| trace.log("timers")
    });
    lp.defer(trace.logs("pending"));
    once(Idle::new(lp), trace, "idle");
    once(Prepare::new(lp), trace, "prepare");
    let on_ready = trace.clone();
    let source = lp.source(move |_| on_ready.log("poll"));
    source.make_ready();
    once(Check::new(lp), trace, "check");
    lp.set_immediate(trace.logs("immediate"));
    Timer::new(lp).close_with(trace.logs("close"));
    source
}

fn once<K: Watched>(watcher: K, trace: &Trace, line: &'static str) {
    watcher.log_once(trace.clone(), line);
}

trait Watched {
    fn log_once(self, trace: Trace, line: &'static str);
}

macro_rules! watched {
    ($($kind:ty),*) => { $(impl Watched for $kind {
        fn log_once(self, trace: Trace, line: &'static str) {
            self.start(move |this| { trace.log(line); this.stop(); }).unwrap();
        }
    })* };
}
watched!(Idle, Prepare, Check);

const MODERN: [&str; 8] = ["pending", "idle", "prepare", "poll", "check", "immediate", "close", "timers"];
const CLASSIC: [&str; 8] = ["timers", "pending", "idle", "prepare", "poll", "check", "immediate", "close"];

#[test]
fn a_single_turn_ends_with_timers() {
    for mode in [RunMode::Once, RunMode::NoWait] {
        let (lp, trace) = (TestLoop::new(), Trace::default());
        let _source = in_every_phase(&lp, &trace);
        assert_eq!(lp.event_loop().run(mode).unwrap(), Outcome::Finished);
        assert_eq!(trace.take(), MODERN);
    }
}

#[test]
fn a_run_in_default_mode_opens_with_timers() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let _source = in_every_phase(&lp, &trace);
    assert_eq!(lp.event_loop().run(RunMode::Default).unwrap(), Outcome::Finished);
    assert_eq!(trace.take(), CLASSIC);
}

#[test]
fn a_turn_of_libuv_1_44_begins_with_timers_in_every_mode() {
    for mode in [RunMode::Default, RunMode::Once, RunMode::NoWait] {
        let (lp, trace) = (TestLoop::with_schedule(Schedule::libuv_1_44()), Trace::default());
        let _source = in_every_phase(&lp, &trace);
        lp.event_loop().run(mode).unwrap();
        assert_eq!(trace.take(), CLASSIC);
    }
}

#[test]
fn a_run_once_of_libuv_1_44_ends_with_the_timer_it_waited_for() {
    let (lp, trace) = (TestLoop::with_schedule(Schedule::libuv_1_44()), Trace::default());
    once(Check::new(&lp), &trace, "check");
    lp.set_immediate(trace.logs("immediate"));
    lp.event_loop().run(RunMode::NoWait).unwrap();
    lp.handle_timer(&trace);
    once(Check::new(&lp), &trace, "check");
    trace.take();
    assert_eq!(lp.event_loop().run(RunMode::Once).unwrap(), Outcome::Finished);
    assert_eq!(trace.take(), ["check", "timer"]);
}

trait HandleTimer {
    fn handle_timer(&self, trace: &Trace);
}

impl HandleTimer for TestLoop {
    fn handle_timer(&self, trace: &Trace) {
        let trace = trace.clone();
        self.timer(ms(5), move |_| trace.log("timer"));
    }
}

#[test]
fn a_run_in_no_wait_mode_of_libuv_1_44_does_not_end_with_timers() {
    let (lp, trace) = (TestLoop::with_schedule(Schedule::libuv_1_44()), Trace::default());
    let busy = lp.clone();
    lp.set_immediate(move |_| busy.advance(ms(5)));
    lp.handle_timer(&trace);
    assert_eq!(lp.event_loop().run(RunMode::NoWait).unwrap(), Outcome::Alive);
    assert!(trace.take().is_empty());
}

#[test]
fn run_once_waits_for_a_timer() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.handle_timer(&trace);
    assert_eq!(lp.event_loop().run(RunMode::Once).unwrap(), Outcome::Finished);
    assert_eq!(trace.take(), ["timer"]);
}

#[test]
fn run_no_wait_never_waits() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.handle_timer(&trace);
    let before = lp.update_now();
    assert_eq!(lp.event_loop().run(RunMode::NoWait).unwrap(), Outcome::Alive);
    assert_eq!(lp.update_now(), before);
    assert!(trace.take().is_empty());
}

#[test]
fn a_dead_loop_takes_no_turn() {
    let lp = TestLoop::new();
    assert!(!lp.is_alive());
    for mode in [RunMode::Default, RunMode::Once, RunMode::NoWait] {
        assert_eq!(lp.event_loop().run(mode).unwrap(), Outcome::Finished);
    }
    assert_eq!(lp.metrics().turns, 0);
}

#[test]
fn without_anything_referenced_the_opening_timers_do_not_run() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let id = lp.set_timeout(ms(1), trace.logs("timeout"));
    lp.unref_timeout(id);
    lp.advance(ms(5));
    lp.event_loop().run(RunMode::Default).unwrap();
    assert!(trace.take().is_empty());
}

#[test]
fn a_due_unreferenced_timer_fires_before_the_loop_gives_up() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let id = lp.set_timeout(ms(5), trace.logs("unreferenced"));
    lp.unref_timeout(id);
    lp.immediate(|lp| lp.advance(ms(9)));
    lp.event_loop().run(RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["unreferenced"]);
}

#[test]
fn before_libuv_1_45_a_due_unreferenced_timer_is_left_behind() {
    let (lp, trace) = (TestLoop::with_schedule(Schedule::node12()), Trace::default());
    let id = lp.set_timeout(ms(5), trace.logs("unreferenced"));
    lp.unref_timeout(id);
    lp.immediate(|lp| lp.advance(ms(9)));
    lp.event_loop().run(RunMode::Default).unwrap();
    assert!(trace.take().is_empty());
}

#[test]
fn stop_before_run_makes_that_run_return_at_once() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.set_immediate(trace.logs("immediate"));
    lp.stop();
    assert_eq!(lp.event_loop().run(RunMode::Default).unwrap(), Outcome::Stopped);
    assert!(trace.take().is_empty());
    assert_eq!(lp.event_loop().run(RunMode::Default).unwrap(), Outcome::Finished);
    assert_eq!(trace.take(), ["immediate"]);
}

#[test]
fn stop_takes_effect_at_the_end_of_the_turn() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let prepare = Prepare::new(&lp);
    prepare.start(|prepare| prepare.lp().stop()).unwrap();
    let counting = trace.clone();
    let check = Check::new(&lp);
    check.start(move |_| counting.log("check")).unwrap();
    assert_eq!(lp.event_loop().run(RunMode::Default).unwrap(), Outcome::Stopped);
    assert_eq!(trace.take(), ["check"]);
}

#[test]
fn after_stop_poll_does_not_wait() {
    let lp = TestLoop::new();
    lp.timer(ms(1000), |_| {});
    let prepare = Prepare::new(&lp);
    prepare.start(|prepare| prepare.lp().stop()).unwrap();
    let before = lp.now();
    lp.event_loop().run(RunMode::Default).unwrap();
    assert_eq!(lp.update_now(), before);
}

/// Stops in the first of two due timers, with a prepare and a check handle that run every turn.
fn stop_in_a_timer(schedule: Schedule) -> Vec<String> {
    let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
    let (prepare, check) = (Prepare::new(&lp), Check::new(&lp));
    prepare.start(trace.logs("prepare")).unwrap();
    check.start(trace.logs("check")).unwrap();
    lp.timer(ms(5), |lp| {
        lp.log("stop");
        lp.stop();
    });
    let other = trace.clone();
    lp.timer(ms(5), move |_| other.log("other timer"));
    lp.advance(ms(5));
    assert_eq!(lp.event_loop().run(RunMode::Default).unwrap(), Outcome::Stopped);
    trace.take()
}

#[test]
fn stop_in_a_timer_lets_the_other_due_timers_run_and_then_returns() {
    assert_eq!(stop_in_a_timer(Schedule::libuv()), ["other timer"]);
}

#[test]
fn stop_in_a_timer_of_libuv_1_44_finishes_the_turn() {
    assert_eq!(stop_in_a_timer(Schedule::libuv_1_44()), ["other timer", "prepare", "check"]);
}

#[test]
fn run_until_returns_when_the_instant_has_passed() {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    timer.start_repeating(ms(10), ms(10), |_| {}).unwrap();
    let end = lp.now() + ms(35);
    assert_eq!(lp.event_loop().run_until(end).unwrap(), Outcome::Alive);
    assert_eq!(lp.now(), end);
}

#[test]
fn running_a_loop_in_its_own_callback_panics_with_advice() {
    let lp = TestLoop::new();
    lp.on_uncaught(|_, uncaught| assert!(uncaught.message().unwrap().contains("spawn a task instead")));
    let seen = Rc::new(Cell::new(false));
    let after = Rc::clone(&seen);
    lp.immediate(move |lp| {
        after.set(true);
        let _ = lp.event_loop().run(RunMode::NoWait);
        unreachable!("the run above panics");
    });
    lp.run();
    assert!(seen.get());
}

// --- how long poll may wait -------------------------------------------------------------------------------------------

fn holder(lp: &TestLoop) -> phaseloop::request::Request {
    lp.begin_request()
}

#[test]
fn a_dead_loop_does_not_wait() {
    assert_eq!(TestLoop::new().backend_timeout(), Some(Duration::ZERO));
}

#[test]
fn a_loop_with_a_timer_waits_for_it() {
    let lp = TestLoop::new();
    lp.timer(ms(70), |_| {});
    lp.timer(ms(30), |_| {});
    assert_eq!(lp.backend_timeout(), Some(ms(30)));
    lp.advance(ms(10));
    lp.update_now();
    assert_eq!(lp.backend_timeout(), Some(ms(20)));
}

#[test]
fn an_unreferenced_timer_bounds_the_wait_too() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    let id = lp.event_loop().timer(ms(30), |_| {});
    lp.unref_timer(id);
    assert_eq!(lp.backend_timeout(), Some(ms(30)));
}

#[test]
fn an_overdue_timer_does_not_make_the_wait_negative() {
    let lp = TestLoop::new();
    lp.timer(ms(5), |_| {});
    lp.advance(ms(50));
    lp.update_now();
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
}

#[test]
fn a_loop_that_only_waits_for_others_waits_for_ever() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    assert_eq!(lp.backend_timeout(), None);
}

#[test]
fn an_active_idle_handle_keeps_poll_from_waiting() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    let idle = Idle::new(&lp);
    idle.start(|_| {}).unwrap();
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
    idle.stop();
    assert_eq!(lp.backend_timeout(), None);
}

#[test]
fn prepare_and_check_handles_let_poll_wait() {
    let lp = TestLoop::new();
    Prepare::new(&lp).start(|_| {}).unwrap();
    Check::new(&lp).start(|_| {}).unwrap();
    assert_eq!(lp.backend_timeout(), None);
}

#[test]
fn a_referenced_immediate_keeps_poll_from_waiting_and_an_unreferenced_one_does_not() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    let id = lp.set_immediate(|_| {});
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
    lp.unref_immediate(id);
    assert_eq!(lp.backend_timeout(), None);
}

#[test]
fn a_closing_handle_keeps_poll_from_waiting() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    Timer::new(&lp).close();
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
}

#[test]
fn a_deferred_callback_keeps_poll_from_waiting() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    lp.defer(|_| {});
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
}

#[test]
fn queued_ticks_and_microtasks_are_due_now() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    lp.tick(|_| {});
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    lp.microtask(|_| {});
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
}

#[test]
fn a_stopped_loop_does_not_wait() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    lp.stop();
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
}

#[test]
fn a_message_from_another_thread_is_due_now() {
    let lp = TestLoop::new();
    let _alive = holder(&lp);
    lp.remote().wake();
    assert_eq!(lp.backend_timeout(), Some(Duration::ZERO));
}

// --- pending, and its second chance after poll ------------------------------------------------------------------------

/// Defers a callback that defers a callback, and so on; the chain begins in the poll phase.
fn chain(lp: &phaseloop::LoopHandle, trace: Trace, left: u32) {
    lp.defer(move |lp| {
        trace.log("pending");
        if left > 1 {
            chain(lp, trace, left - 1);
        }
    });
}

#[test]
fn pending_runs_again_up_to_eight_times_after_poll() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let _alive = holder(&lp);
    let begin = trace.clone();
    let source = lp.source(move |lp| chain(lp, begin.clone(), 10));
    source.make_ready();
    lp.set_immediate(trace.logs("check"));
    lp.turn();
    let first: Vec<String> = trace.take();
    assert_eq!(first.iter().filter(|line| *line == "pending").count(), 8);
    assert_eq!(first.last().unwrap(), "check");
    lp.turn();
    assert_eq!(trace.take(), ["pending"; 2], "once in its phase, once after poll");
    source.close();
}

#[test]
fn what_pending_defers_in_its_own_phase_waits() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let deferring = trace.clone();
    lp.defer(move |lp| {
        deferring.log("first");
        lp.defer(deferring.logs("second"));
    });
    let prepare = Prepare::new(&lp);
    prepare.start(trace.logs("prepare")).unwrap();
    prepare.unref();
    lp.turn();
    assert_eq!(trace.take(), ["first", "prepare", "second"], "the second one after poll");
}

// --- closing a loop ---------------------------------------------------------------------------------------------------

#[test]
fn a_loop_with_an_open_handle_is_busy_and_says_what_holds_it() {
    let lp = EventLoop::new().unwrap();
    let timer = Timer::new(&lp);
    let busy = lp.close().unwrap_err();
    assert!(busy.to_string().contains("Timer (inactive) from "), "{busy}");
    let lp = busy.event_loop;
    timer.close();
    let lp = lp.close().unwrap_err().event_loop; // its close callback is due
    lp.run(RunMode::Default).unwrap();
    assert!(lp.close().is_ok());
}

#[test]
fn a_loop_with_a_request_a_task_or_a_timeout_is_busy() {
    let lp = EventLoop::new().unwrap();
    let request = lp.begin_request();
    let task = lp.spawn(std::future::pending::<()>());
    let timeout = lp.set_timeout(ms(1000), |_| {});
    let busy = lp.close().unwrap_err();
    assert_eq!((busy.requests, busy.tasks, busy.scheduled), (1, 1, 1));
    let lp = busy.event_loop;
    drop(request);
    task.abort();
    lp.clear_timeout(timeout);
    lp.run(RunMode::Default).unwrap();
    assert!(lp.close().is_ok());
}

#[test]
fn a_loop_may_be_closed_at_once() {
    assert!(EventLoop::new().unwrap().close().is_ok());
}

#[test]
fn the_loops_time_stands_still_within_a_turn_until_it_is_updated() {
    let lp = TestLoop::new();
    let before = lp.now();
    lp.immediate(move |lp| {
        lp.advance(ms(20));
        assert_eq!(lp.now(), before);
        assert_eq!(lp.update_now(), before + ms(20));
        assert_eq!(lp.now(), before + ms(20));
    });
    lp.turn();
}

#[test]
fn an_exit_hook_that_ends_the_program_again_runs_once() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    lp.on_exit(move |lp, code| {
        logged.log(format!("exit {code}"));
        lp.end(2);
    });
    assert_eq!(lp.event_loop().run_program(|lp| lp.end(1)).unwrap(), 1);
    assert_eq!(trace.take(), ["exit 1"]);
}
