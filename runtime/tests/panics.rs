//! Panics of callbacks: rules X1 to X6 with an uncaught hook, and what a loop without one has left for the next run.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::panic::{AssertUnwindSafe, catch_unwind};

use phaseloop::request::Port;
use phaseloop::{Check, Idle, LoopHandle, Outcome, Prepare, RunMode, Schedule, TestLoop, Timer};
use trace::{Trace, ms};

/// A loop whose uncaught hook logs the message.
fn hooked(schedule: Schedule) -> (TestLoop, Trace) {
    let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
    let logged = trace.clone();
    lp.on_uncaught(move |_, uncaught| logged.log(format!("caught {}", uncaught.message().unwrap())));
    (lp, trace)
}

/// A callback that queues a tick and panics.
fn throws(trace: &Trace) -> impl FnOnce(&LoopHandle) + 'static {
    let trace = trace.clone();
    move |lp| {
        lp.next_tick(trace.logs("tick of the thrower"));
        panic!("thrown");
    }
}

#[test]
fn after_a_panic_the_next_immediate_runs_before_the_throwers_ticks() {
    let (lp, trace) = hooked(Schedule::node26());
    lp.set_immediate(throws(&trace));
    lp.set_immediate(trace.logs("next"));
    lp.run();
    assert_eq!(trace.take(), ["caught thrown", "next", "tick of the thrower"]);
}

#[test]
fn after_a_panic_the_next_timeout_runs_before_the_throwers_ticks() {
    let (lp, trace) = hooked(Schedule::node26());
    lp.set_timeout(ms(1), throws(&trace));
    lp.set_timeout(ms(1), trace.logs("next"));
    lp.advance(ms(1));
    lp.turn();
    assert_eq!(trace.take(), ["caught thrown", "next", "tick of the thrower"]);
}

#[test]
fn a_timers_phase_that_a_panic_ends_drains_at_its_end() {
    let (lp, trace) = hooked(Schedule::node26());
    lp.set_timeout(ms(1), throws(&trace));
    lp.advance(ms(1));
    lp.turn();
    assert_eq!(trace.take(), ["caught thrown", "tick of the thrower"]);
}

#[test]
fn after_a_panic_the_next_completion_and_the_next_close_callback_come_first() {
    let (lp, trace) = hooked(Schedule::node26());
    let _alive = lp.begin_request();
    let logged = trace.clone();
    let port = Port::new(&lp, move |lp, number: u32| {
        if number == 1 {
            throws(&logged)(lp);
        }
        logged.log("next completion");
    });
    port.sender().send_batch(&mut vec![1, 2]).unwrap();
    lp.turn();
    assert_eq!(trace.take(), ["caught thrown", "next completion", "tick of the thrower"]);
    Timer::new(&lp).close_with(trace.logs("next close"));
    Timer::new(&lp).close_with(throws(&trace));
    lp.turn();
    assert_eq!(trace.take(), ["caught thrown", "next close", "tick of the thrower"]);
}

#[test]
fn a_handled_panic_has_the_loop_turn_once_more() {
    let (lp, trace) = hooked(Schedule::node26());
    lp.event_loop().timer(ms(0), throws(&trace));
    assert_eq!(lp.turn(), Outcome::Alive);
    assert_eq!(lp.turn(), Outcome::Finished);
}

#[test]
fn libuv_alone_does_not_turn_once_more() {
    let (lp, trace) = hooked(Schedule::libuv());
    lp.defer(throws(&trace));
    assert_eq!(lp.turn(), Outcome::Finished);
}

/// A source panics and leaves a tick; where is it drained?
fn tick_left_by_a_source(schedule: Schedule) -> Vec<String> {
    let (lp, trace) = hooked(schedule);
    let thrower = trace.clone();
    let source = lp.source(move |lp| throws(&thrower)(lp));
    source.make_ready();
    lp.set_immediate(trace.logs("immediate"));
    lp.turn();
    trace.take()
}

#[test]
fn from_node_12_to_24_the_check_phase_opens_with_a_drain() {
    let expected = ["caught thrown", "tick of the thrower", "immediate"];
    assert_eq!(tick_left_by_a_source(Schedule::node12()), expected);
    assert_eq!(tick_left_by_a_source(Schedule::node22()), expected);
}

#[test]
fn in_node_26_what_a_source_left_runs_after_the_first_immediate() {
    let expected = ["caught thrown", "immediate", "tick of the thrower"];
    assert_eq!(tick_left_by_a_source(Schedule::node26()), expected);
}

#[test]
fn a_panic_in_a_microtask_does_not_stop_the_drain() {
    let (lp, trace) = hooked(Schedule::node26());
    lp.queue_microtask(|_| panic!("microtask"));
    lp.queue_microtask(trace.logs("next microtask"));
    lp.run();
    assert_eq!(trace.take(), ["caught microtask", "next microtask"]);
}

#[test]
fn a_panic_in_a_tick_abandons_the_drain_until_after_the_next_callback() {
    let (lp, trace) = hooked(Schedule::node26());
    let logged = trace.clone();
    lp.set_immediate(move |lp| {
        lp.next_tick(|_| panic!("tick"));
        lp.next_tick(logged.logs("second tick"));
        lp.queue_microtask(logged.logs("microtask"));
    });
    lp.set_immediate(trace.logs("next immediate"));
    lp.run();
    assert_eq!(trace.take(), ["caught tick", "next immediate", "second tick", "microtask"]);
}

#[test]
fn if_the_last_immediate_panics_new_ones_run_in_the_same_phase() {
    let (lp, trace) = hooked(Schedule::node26());
    let logged = trace.clone();
    lp.set_immediate(move |lp| {
        lp.set_immediate(logged.logs("new"));
        panic!("last");
    });
    lp.turn();
    assert_eq!(trace.take()[..], ["caught last", "new"]);
}

#[test]
fn if_another_immediate_panics_new_ones_wait() {
    let (lp, trace) = hooked(Schedule::node26());
    let logged = trace.clone();
    lp.set_immediate(move |lp| {
        lp.set_immediate(logged.logs("new"));
        panic!("first");
    });
    lp.set_immediate(trace.logs("second"));
    lp.turn();
    assert_eq!(trace.take(), ["caught first", "second"]);
    lp.turn();
    assert_eq!(trace.take(), ["new"]);
}

#[test]
fn an_interval_that_panics_goes_on() {
    let (lp, trace) = hooked(Schedule::node26());
    let id = lp.set_interval(ms(5), |_| panic!("interval"));
    for _ in 0..2 {
        lp.advance(ms(5));
        lp.turn();
    }
    lp.clear_timeout(id);
    assert_eq!(trace.take(), ["caught interval", "caught interval"]);
}

#[test]
fn a_handle_whose_callback_panics_stays_as_it_was() {
    let (lp, trace) = hooked(Schedule::node26());
    let check = Check::new(&lp);
    check.start(|_| panic!("check")).unwrap();
    lp.turn();
    lp.turn();
    assert_eq!(trace.take(), ["caught check", "caught check"]);
    assert!(check.is_active());
}

#[test]
fn without_the_hook_again_panics_leave_the_run() {
    let (lp, _trace) = hooked(Schedule::node26());
    lp.clear_on_uncaught();
    lp.set_immediate(|_| panic!("leaves"));
    assert!(catch_unwind(AssertUnwindSafe(|| lp.turn())).is_err());
}

#[test]
fn a_panic_in_the_opening_drain_leaves_the_run() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.next_tick(|_| panic!("leaves"));
    lp.next_tick(trace.logs("second tick"));
    assert!(catch_unwind(AssertUnwindSafe(|| lp.turn())).is_err());
    assert!(!lp.is_running());
    lp.turn();
    assert_eq!(trace.take(), ["second tick"]);
}

// --- a panic in each phase, without a hook ----------------------------------------------------------------------------

/// Runs until a panic leaves the run, then again, and gives what the loop logged in the second run.
fn left_for_the_next_run(set_up: impl FnOnce(&TestLoop, &Trace)) -> Vec<String> {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    set_up(&lp, &trace);
    lp.advance(ms(10));
    let left = catch_unwind(AssertUnwindSafe(|| lp.turn()));
    assert_eq!(*left.unwrap_err().downcast::<&str>().unwrap(), "leaves");
    assert!(!lp.is_running());
    assert!(phaseloop::try_current().is_none());
    trace.take();
    lp.turn();
    trace.take()
}

#[test]
fn a_panic_in_the_timers_phase_leaves_the_rest_for_the_next_run() {
    let left = left_for_the_next_run(|lp, trace| {
        lp.event_loop().timer(ms(1), |_| panic!("leaves"));
        lp.event_loop().timer(ms(2), trace.logs("timer"));
        lp.set_timeout(ms(3), trace.logs("timeout"));
    });
    assert_eq!(left, ["timer", "timeout"]);
}

#[test]
fn a_panic_in_a_timeout_leaves_the_rest_for_the_next_run() {
    let left = left_for_the_next_run(|lp, trace| {
        lp.set_timeout(ms(1), |_| panic!("leaves"));
        lp.set_timeout(ms(1), trace.logs("same list"));
        lp.set_timeout(ms(2), trace.logs("other list"));
        // The loop timer of what is left is set a millisecond ahead of the panic.
        let test = lp.clone();
        lp.set_immediate(move |lp| {
            lp.set_immediate(move |_| test.advance(ms(5)));
        });
    });
    assert_eq!(left, ["same list", "other list"]);
}

#[test]
fn a_panic_in_the_pending_phase_leaves_the_rest_for_the_next_run() {
    let left = left_for_the_next_run(|lp, trace| {
        lp.defer(|_| panic!("leaves"));
        lp.defer(trace.logs("pending"));
    });
    assert_eq!(left, ["pending"]);
}

#[test]
fn a_panic_in_the_idle_phase_leaves_the_loop_usable() {
    let left = left_for_the_next_run(|lp, trace| {
        Idle::new(lp).start(trace.logs("idle")).unwrap();
        Idle::new(lp).start(panics_once()).unwrap();
    });
    assert_eq!(left, ["idle"]);
}

#[test]
fn a_panic_in_the_prepare_phase_leaves_the_loop_usable() {
    let left = left_for_the_next_run(|lp, trace| {
        Prepare::new(lp).start(trace.logs("prepare")).unwrap();
        Prepare::new(lp).start(panics_once()).unwrap();
    });
    assert_eq!(left, ["prepare"]);
}

#[test]
fn a_panic_in_the_poll_phase_leaves_messages_and_events_for_the_next_run() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let _alive = lp.begin_request();
    let source = lp.source(trace.logs("source"));
    source.make_ready();
    let remote = lp.remote();
    remote.post(|_| panic!("leaves")).unwrap();
    remote.post(|lp| lp.next_tick(|_| {})).unwrap();
    let (port_trace, mut first) = (trace.clone(), true);
    let port = Port::new(&lp, move |_, number: u32| {
        if std::mem::take(&mut first) {
            panic!("leaves");
        }
        port_trace.log(format!("completion {number}"));
    });
    port.sender().send_batch(&mut vec![1, 2, 3]).unwrap();
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| lp.turn())).is_err());
    }
    lp.turn();
    lp.turn();
    let mut left = trace.take();
    left.sort();
    assert_eq!(left, ["completion 2", "completion 3", "source"]);
}

#[test]
fn a_panic_in_the_check_phase_leaves_the_rest_for_the_next_run() {
    let left = left_for_the_next_run(|lp, trace| {
        lp.set_immediate(|_| panic!("leaves"));
        lp.set_immediate(trace.logs("immediate"));
        Check::new(lp).start(trace.logs("check")).unwrap();
    });
    assert_eq!(left, ["check", "immediate"]);
}

#[test]
fn a_panic_in_the_close_phase_leaves_the_rest_for_the_next_run() {
    let left = left_for_the_next_run(|lp, trace| {
        Timer::new(lp).close_with(trace.logs("closed"));
        Timer::new(lp).close_with(|_| panic!("leaves"));
    });
    assert_eq!(left, ["closed"]);
}

fn panics_once<A>() -> impl FnMut(&A) + 'static {
    let mut first = true;
    move |_| {
        if std::mem::take(&mut first) {
            panic!("leaves");
        }
    }
}

#[test]
fn a_read_callback_that_panics_is_called_again_for_the_end_of_the_stream() {
    let (lp, trace) = (phaseloop::EventLoop::new().unwrap(), Trace::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = phaseloop::net::TcpStream::from_std(&lp, listener.accept().unwrap().0).unwrap();
    let logged = trace.clone();
    stream
        .read_start(move |_, event| match event {
            phaseloop::net::ReadEvent::Data(_) => panic!("leaves"),
            _ => logged.log("end"),
        })
        .unwrap();
    lp.run(RunMode::NoWait).unwrap();
    lp.run(RunMode::NoWait).unwrap();
    // Both come with one event of the system, and it tells of neither again.
    std::io::Write::write_all(&mut peer, b"x").unwrap();
    drop(peer);
    assert!(catch_unwind(AssertUnwindSafe(|| lp.run(RunMode::Default))).is_err());
    for _ in 0..3 {
        lp.run(RunMode::NoWait).unwrap();
    }
    assert_eq!(trace.take(), ["end"]);
}

#[test]
fn what_a_panic_left_in_the_queues_runs_before_the_loop_sleeps() {
    let (lp, trace) = hooked(Schedule::libuv()); // where no immediate follows a panic
    lp.event_loop().timer(ms(1), throws(&trace));
    lp.event_loop().timer(ms(50), trace.logs("a later timer"));
    lp.event_loop().run(RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["caught thrown", "tick of the thrower", "a later timer"]);
}
