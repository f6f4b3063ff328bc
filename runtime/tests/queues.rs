//! Ticks, microtasks and immediates: rules Q1 to Q5, I1 to I3, L2 to L5.

mod trace;

use std::cell::Cell;
use std::rc::Rc;

use phaseloop::{Drain, EventLoop, RunMode, Schedule, TestLoop};
use trace::{Trace, ms};

#[test]
fn ticks_run_before_microtasks_and_both_before_the_loop_turns() {
    let lp = TestLoop::new();
    lp.immediate(|lp| lp.log("immediate"));
    lp.microtask(|lp| lp.log("microtask"));
    lp.tick(|lp| lp.log("tick"));
    assert_eq!(lp.run(), ["tick", "microtask", "immediate"]);
}

#[test]
fn ticks_queued_by_ticks_run_before_the_first_microtask() {
    let lp = TestLoop::new();
    lp.microtask(|lp| lp.log("microtask"));
    lp.tick(|lp| {
        lp.log("outer");
        lp.tick(|lp| lp.log("inner"));
    });
    assert_eq!(lp.run(), ["outer", "inner", "microtask"]);
}

#[test]
fn microtasks_queued_by_microtasks_run_in_the_same_drain_behind_the_others() {
    let lp = TestLoop::new();
    lp.microtask(|lp| {
        lp.log("first");
        lp.microtask(|lp| lp.log("third"));
    });
    lp.microtask(|lp| lp.log("second"));
    lp.immediate(|lp| lp.log("immediate"));
    assert_eq!(lp.run(), ["first", "second", "third", "immediate"]);
}

#[test]
fn ticks_queued_by_microtasks_run_when_the_microtasks_are_done_and_then_microtasks_again() {
    let lp = TestLoop::new();
    lp.microtask(|lp| {
        lp.tick(|lp| {
            lp.log("tick");
            lp.microtask(|lp| lp.log("third microtask"));
        });
        lp.log("first microtask");
    });
    lp.microtask(|lp| lp.log("second microtask"));
    assert_eq!(lp.run(), ["first microtask", "second microtask", "tick", "third microtask"]);
}

#[test]
fn no_callback_runs_before_both_queues_are_empty() {
    fn again(lp: &TestLoop, left: u32) {
        lp.log("drained");
        if left > 0 {
            lp.tick(move |lp| lp.microtask(move |lp| again(lp, left - 1)));
        }
    }
    let lp = TestLoop::new();
    lp.immediate(|lp| again(lp, 50));
    lp.immediate(|lp| lp.log("next"));
    let log = lp.run();
    assert_eq!(log.len(), 52);
    assert_eq!(log.last().unwrap(), "next");
}

#[test]
fn the_queues_drain_between_two_immediates() {
    let lp = TestLoop::new();
    for name in ["first", "second"] {
        lp.immediate(move |lp| {
            lp.log(name);
            lp.tick(|lp| lp.log("tick"));
        });
    }
    assert_eq!(lp.run(), ["first", "tick", "second", "tick"]);
}

#[test]
fn in_the_textbook_the_queues_drain_when_the_phase_is_over() {
    let lp = TestLoop::with_schedule(Schedule::textbook());
    for name in ["first", "second"] {
        lp.immediate(move |lp| {
            lp.log(name);
            lp.tick(|lp| lp.log("tick"));
        });
    }
    assert_eq!(lp.run(), ["first", "second", "tick", "tick"]);
}

#[test]
fn with_a_drain_for_each_list_timeouts_of_one_duration_run_together() {
    let schedule = Schedule { drain_timers: Drain::EachList, ..Schedule::node12() };
    let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
    for (millis, line) in [(1, "a"), (1, "b"), (2, "c")] {
        let logged = trace.clone();
        lp.set_timeout(ms(millis), move |lp| {
            logged.log(line);
            lp.next_tick(logged.logs("tick"));
        });
    }
    lp.advance(ms(5));
    lp.turn();
    assert_eq!(trace.take(), ["a", "b", "tick", "tick", "c", "tick"]);
}

#[test]
fn the_queues_drain_between_two_sources_and_between_two_close_callbacks() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let _alive = lp.begin_request();
    let sources: Vec<_> = ["one", "two"]
        .into_iter()
        .map(|line| {
            let logged = trace.clone();
            lp.source(move |lp| {
                logged.log(line);
                lp.next_tick(logged.logs("tick"));
            })
        })
        .collect();
    sources.iter().for_each(phaseloop::ScriptedSource::make_ready);
    lp.turn();
    assert_eq!(trace.take(), ["one", "tick", "two", "tick"]);
    for _ in 0..2 {
        let logged = trace.clone();
        phaseloop::Timer::new(&lp).close_with(move |lp| {
            logged.log("closed");
            lp.next_tick(logged.logs("tick"));
        });
    }
    lp.turn();
    assert_eq!(trace.take(), ["closed", "tick", "closed", "tick"]);
}

#[test]
fn an_immediate_set_in_the_check_phase_waits_for_the_next() {
    let lp = TestLoop::new();
    lp.immediate(|lp| {
        lp.log("first");
        lp.immediate(|lp| lp.log("from an immediate"));
        lp.tick(|lp| lp.immediate(|lp| lp.log("from a drain")));
    });
    assert_eq!(lp.turn_log(), ["first"]);
    assert_eq!(lp.turn_log(), ["from an immediate", "from a drain"]);
}

#[test]
fn clearing_an_immediate_of_the_running_phase_works() {
    let lp = TestLoop::new();
    let victim = Rc::new(Cell::new(None));
    let known = Rc::clone(&victim);
    lp.set_immediate(move |lp| assert!(lp.clear_immediate(known.get().unwrap())));
    victim.set(Some(lp.set_immediate(|_| unreachable!("it was cleared"))));
    lp.run();
    assert!(!lp.clear_immediate(victim.get().unwrap()));
}

#[test]
fn an_unreferenced_immediate_runs_whenever_check_is_reached() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let id = lp.set_immediate(trace.logs("unreferenced"));
    lp.unref_immediate(id);
    lp.turn();
    assert!(trace.take().is_empty(), "the loop is not alive");
    lp.timer(ms(5), |_| {});
    lp.run();
    assert_eq!(trace.take(), ["unreferenced"]);
}

#[test]
fn from_io_an_immediate_beats_a_due_timer() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    let source = lp.source(move |lp| {
        lp.set_timeout(ms(1), logged.logs("timeout"));
        lp.advance(ms(5));
        lp.set_immediate(logged.logs("immediate"));
    });
    source.make_ready();
    let _alive = lp.begin_request();
    lp.turn();
    assert_eq!(trace.take(), ["immediate", "timeout"]);
}

#[test]
fn from_an_immediate_a_due_timer_beats_the_next_immediate() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    lp.immediate(move |lp| {
        lp.set_immediate(logged.logs("immediate"));
        lp.set_timeout(ms(1), logged.logs("timeout"));
        lp.advance(ms(5));
    });
    lp.event_loop().run(RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["timeout", "immediate"]);
}

#[test]
fn what_becomes_ready_in_a_poll_phase_waits_for_the_next() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let _alive = lp.begin_request();
    let second = Rc::new(lp.source(trace.logs("second")));
    let (ready, logged) = (Rc::downgrade(&second), trace.clone());
    let first = lp.source(move |_| {
        logged.log("first");
        ready.upgrade().unwrap().make_ready();
    });
    first.make_ready();
    lp.turn();
    assert_eq!(trace.take(), ["first"]);
    lp.turn();
    assert_eq!(trace.take(), ["second"]);
}

#[test]
fn a_source_closed_by_another_in_the_same_phase_is_not_called() {
    let lp = TestLoop::new();
    let _alive = lp.begin_request();
    let victim = Rc::new(lp.source(|_| unreachable!("it was closed")));
    let known = Rc::downgrade(&victim);
    let first = lp.source(move |_| known.upgrade().unwrap().close());
    first.make_ready();
    victim.make_ready();
    lp.turn();
}

#[test]
fn the_seed_reorders_what_became_ready_together_and_nothing_else() {
    let order = |seed| {
        let (lp, trace) = (TestLoop::new(), Trace::default());
        lp.seed(seed);
        let _alive = lp.begin_request();
        let sources: Vec<_> = ["a", "b", "c", "d", "e"].map(|line| lp.source(trace.logs(line))).into();
        sources.iter().for_each(phaseloop::ScriptedSource::make_ready);
        lp.turn();
        trace.take()
    };
    assert_eq!(order(7), order(7));
    let orders: std::collections::BTreeSet<_> = (1..20).map(order).collect();
    assert!(orders.len() > 1);
}

#[test]
fn a_deferred_callback_never_runs_inside_the_call_that_owes_it() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.defer(trace.logs("deferred"));
    assert!(trace.take().is_empty());
    lp.turn();
    assert_eq!(trace.take(), ["deferred"]);
}

#[test]
fn free_functions_act_on_the_running_loop() {
    let (lp, trace) = (EventLoop::new().unwrap(), Trace::default());
    let logged = trace.clone();
    lp.set_immediate(move |_| {
        phaseloop::queue_microtask(logged.logs("microtask"));
        phaseloop::next_tick(logged.logs("tick"));
        phaseloop::set_immediate(logged.logs("immediate"));
    });
    lp.run(RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["tick", "microtask", "immediate"]);
    assert!(phaseloop::try_current().is_none());
}
