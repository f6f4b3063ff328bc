//! F27 to F30: `block_on`, liveness and the end of a program.

use std::cell::Cell;
use std::future::pending;

use phaseloop::channel::oneshot;
use phaseloop::{EventLoop, LoopHandle, Outcome, RunMode, Schedule, TestLoop};

use crate::stage::{finish, once_ready, presets, spawn};
use crate::trace::{Trace, ms};

/// Runs `body` under every preset, with what the trace is to be.
#[track_caller]
fn each(expected: impl Fn(&str) -> Vec<&'static str>, body: impl Fn(&TestLoop, &Trace)) {
    for schedule in presets() {
        let name = schedule.name.clone();
        let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
        body(&lp, &trace);
        assert_eq!(trace.take(), expected(&name), "under {name}");
    }
}

#[test]
fn f27_block_on_queues_its_future_as_a_task() {
    each(
        |_| vec!["tick", "microtask", "task before", "future", "tick of the future", "returned"],
        |lp, trace| {
            lp.queue_microtask(trace.logs("microtask"));
            spawn(lp, trace, |trace| async move { trace.log("task before") });
            lp.next_tick(trace.logs("tick"));
            let handle = lp.event_loop().handle();
            let future = async {
                trace.log("future");
                handle.next_tick(trace.logs("tick of the future"));
            };
            lp.event_loop().block_on(future).unwrap();
            trace.log("returned");
        },
    );
}

#[test]
fn f27_a_future_that_is_done_in_the_first_drain_takes_no_turn() {
    each(
        |_| vec!["returned", "timer", "immediate"],
        |lp, trace| {
            lp.set_immediate(trace.logs("immediate"));
            lp.event_loop().timer(ms(0), trace.logs("timer"));
            lp.event_loop().block_on(async {}).unwrap();
            trace.log("returned");
            finish(lp, trace);
        },
    );
}

#[test]
fn f27_block_on_returns_at_the_end_of_the_turn_in_which_its_future_ended() {
    let expected = |name: &str| match name {
        // A turn ends with the timers phase, or with the close phase.
        "node26" | "node24" | "node20" | "libuv" => {
            vec!["done", "immediate", "close", "timer", "returned", "next"]
        }
        _ => vec!["done", "immediate", "close", "returned", "timer", "next"],
    };
    each(expected, |lp, trace| {
        let (sender, receiver) = oneshot();
        let logged = trace.clone();
        once_ready(lp, move |lp| {
            sender.send(()).unwrap();
            let next = logged.clone();
            lp.set_immediate(move |lp| {
                next.log("immediate");
                lp.set_immediate(next.logs("next"));
            });
            phaseloop::Timer::new(lp).close_with(logged.logs("close"));
            lp.timer(ms(0), logged.logs("timer"));
        });
        let future = async {
            receiver.await.unwrap();
            trace.log("done");
        };
        lp.event_loop().block_on(future).unwrap();
        trace.log("returned");
        finish(lp, trace);
    });
}

#[test]
fn f28_a_task_keeps_the_loop_alive_until_it_ends_whether_or_not_it_can() {
    each(
        |_| vec!["slept"],
        |lp, trace| {
            let handle = lp.event_loop().handle();
            spawn(lp, trace, |trace| async move {
                handle.sleep(ms(5)).await; // the timer of a sleep keeps nothing alive, the task does
                trace.log("slept");
            });
            let stuck = lp.spawn(pending::<()>());
            let outcome = lp.event_loop().run_until(lp.now() + ms(100)).unwrap();
            assert_eq!(outcome, Outcome::Alive);
            assert_eq!(lp.why_alive().len(), 1, "{:?}", lp.why_alive());
            stuck.unref();
            assert_eq!(lp.event_loop().run(RunMode::Default).unwrap(), Outcome::Finished);
        },
    );
}

#[test]
fn f28_an_unreferenced_task_runs_while_something_else_keeps_the_loop_alive() {
    each(
        |_| vec!["5 ms", "10 ms"],
        |lp, trace| {
            let handle = lp.event_loop().handle();
            let task = spawn(lp, trace, |trace| async move {
                handle.sleep(ms(5)).await;
                trace.log("5 ms");
                handle.sleep(ms(10)).await;
                trace.log("15 ms");
            });
            task.unref();
            lp.event_loop().timer(ms(10), trace.logs("10 ms"));
            assert_eq!(lp.event_loop().run(RunMode::Default).unwrap(), Outcome::Finished);
            assert_eq!(lp.task_count(), 1, "it waits for a run that goes on");
        },
    );
}

#[test]
fn f28_a_sleep_of_an_unreferenced_task_that_is_due_gets_a_last_chance_since_node_20() {
    let expected = |name: &str| match name {
        "node26" | "node24" | "node20" | "libuv" => vec!["immediate", "slept"],
        _ => vec!["immediate"],
    };
    each(expected, |lp, trace| {
        let handle = lp.event_loop().handle();
        let task = spawn(lp, trace, |trace| async move {
            handle.sleep(ms(5)).await;
            trace.log("slept");
        });
        task.unref();
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            logged.log("immediate");
            assert!(lp.advance_clock(ms(5)).is_ok());
        });
        lp.event_loop().run(RunMode::Default).unwrap();
    });
}

/// A program in virtual time with hooks that log.
fn program(schedule: Schedule, trace: &Trace) -> EventLoop {
    let lp = EventLoop::builder().schedule(schedule).virtual_time(true).build().unwrap();
    let logged = trace.clone();
    lp.on_exit(move |_, code| logged.log(format!("exit {code}")));
    lp
}

#[test]
fn f29_a_task_that_before_exit_spawns_brings_the_loop_back_if_it_waits() {
    for (waits, expected) in [
        (true, &["before exit", "begins", "waited", "before exit", "exit 0"][..]),
        (false, &["before exit", "begins", "exit 0"][..]),
    ] {
        for schedule in presets() {
            let (name, trace) = (schedule.name.clone(), Trace::default());
            let lp = program(schedule, &trace);
            let (logged, first) = (trace.clone(), Cell::new(true));
            lp.on_before_exit(move |lp: &LoopHandle| {
                logged.log("before exit");
                if first.replace(false) {
                    let handle = lp.clone();
                    spawn(lp, &logged, |trace| async move {
                        trace.log("begins");
                        if waits {
                            handle.sleep(ms(5)).await;
                            trace.log("waited");
                        }
                    });
                }
            });
            assert_eq!(lp.run_program(|_| {}).unwrap(), 0);
            assert_eq!(trace.take(), expected, "under {name}, waits: {waits}");
        }
    }
}

#[test]
fn f30_a_program_that_has_ended_polls_no_task() {
    for schedule in presets() {
        let (name, trace) = (schedule.name.clone(), Trace::default());
        let lp = program(schedule, &trace);
        let (sender, receiver) = oneshot::<()>();
        lp.spawn(async move {
            receiver.await.unwrap();
            unreachable!("the program has ended");
        });
        let logged = trace.clone();
        let code = lp.run_program(move |lp| {
            lp.set_immediate(move |lp| {
                sender.send(()).unwrap();
                lp.end(3);
                lp.spawn_now(async { unreachable!("nor any that it would poll at once") });
                logged.log("the callback goes on");
            });
        });
        assert_eq!(code.unwrap(), 3);
        assert_eq!(trace.take(), ["exit 3", "the callback goes on"], "under {name}");
    }
}
