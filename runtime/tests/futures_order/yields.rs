//! F8 and F9: wakes that reach a task while it is polled, and budgets.

use std::cell::Cell;
use std::rc::Rc;

use phaseloop::channel::oneshot;
use phaseloop::{MissedTicks, yield_now};

use crate::stage::{once_ready, spawn, under_all};
use crate::trace::{Trace, ms};

fn source(lp: &phaseloop::TestLoop, trace: &Trace) {
    let mut logs = trace.logs("source");
    once_ready(lp, move |lp| logs(lp));
}

#[test]
fn f8_a_task_that_wakes_itself_goes_on_in_line_with_the_immediates() {
    let expected = ["begins", "timer", "source", "immediate before", "goes on", "immediate behind"];
    under_all(&expected, |lp, trace| {
        lp.set_immediate(trace.logs("immediate before"));
        spawn(lp, trace, |trace| async move {
            trace.log("begins");
            yield_now().await;
            trace.log("goes on");
        });
        let logged = trace.clone();
        lp.queue_microtask(move |lp| {
            lp.set_immediate(logged.logs("immediate behind"));
        });
        source(lp, trace);
        lp.event_loop().timer(ms(0), trace.logs("timer"));
    });
}

#[test]
fn f8_from_the_check_phase_it_waits_for_the_next_one() {
    under_all(&["immediate", "begins", "close", "timer", "source", "goes on"], |lp, trace| {
        let logged = trace.clone();
        lp.immediate(move |lp| {
            logged.log("immediate");
            spawn(lp, &logged, |trace| async move {
                trace.log("begins");
                yield_now().await;
                trace.log("goes on");
            });
            phaseloop::Timer::new(lp).close_with(logged.logs("close"));
            lp.set_timeout(ms(1), logged.logs("timer"));
            lp.advance(ms(1));
            source(lp, &logged);
        });
    });
}

#[test]
fn f8_each_yield_is_a_turn() {
    under_all(&["a0", "b0", "a1", "b1", "a2", "b2"], |lp, trace| {
        for name in ["a", "b"] {
            let handle = lp.event_loop().handle();
            spawn(lp, trace, |trace| async move {
                let turns = handle.metrics().turns;
                for round in 0..3 {
                    trace.log(format!("{name}{round}"));
                    assert_eq!(handle.metrics().turns - turns, round);
                    yield_now().await;
                }
            });
        }
    });
}

#[test]
fn f8_poll_does_not_wait_for_time_while_a_task_yields() {
    under_all(&["0 ms", "slept 50 ms"], |lp, trace| {
        for unref in [false, true] {
            let handle = lp.event_loop().handle();
            let start = lp.now();
            let task = spawn(lp, trace, |trace| async move {
                yield_now().await;
                if unref {
                    trace.log(format!("{} ms", (handle.update_now() - start).as_millis()));
                }
            });
            if unref {
                task.unref();
            }
        }
        let (handle, start) = (lp.event_loop().handle(), lp.now());
        spawn(lp, trace, |trace| async move {
            handle.sleep(ms(50)).await;
            trace.log(format!("slept {} ms", (handle.now() - start).as_millis()));
        });
    });
}

#[test]
fn f8_halves_of_one_task_that_wake_each_other_are_a_yield_too() {
    under_all(&["sent", "microtask", "source", "received"], |lp, trace| {
        let (sender, receiver) = oneshot();
        let sends = trace.clone();
        spawn(lp, trace, |trace| async move {
            let receive = async { trace.log(receiver.await.unwrap()) };
            let send = async {
                sends.log("sent");
                sender.send("received").unwrap();
            };
            futures::join!(receive, send); // the receiver is polled first, and then woken from within the same poll
        });
        lp.queue_microtask(trace.logs("microtask"));
        source(lp, trace);
    });
}

#[test]
fn f8_halves_of_one_task_need_no_yield_if_the_sender_is_polled_first() {
    under_all(&["sent", "received", "microtask", "source"], |lp, trace| {
        let (sender, receiver) = oneshot();
        let sends = trace.clone();
        spawn(lp, trace, |trace| async move {
            let receive = async { trace.log(receiver.await.unwrap()) };
            let send = async {
                sends.log("sent");
                sender.send("received").unwrap();
            };
            futures::join!(send, receive);
        });
        lp.queue_microtask(trace.logs("microtask"));
        source(lp, trace);
    });
}

#[test]
fn f9_a_task_that_always_finds_more_yields_after_its_budget() {
    under_all(&["128 ticks", "source", "128 ticks", "200 ticks"], |lp, trace| {
        let mut interval = lp.interval(ms(1));
        interval.set_missed_ticks(MissedTicks::Burst);
        lp.advance(ms(200));
        let ticks = Rc::new(Cell::new(0));
        let counts = Rc::clone(&ticks);
        spawn(lp, trace, |trace| async move {
            while counts.get() < 200 {
                interval.tick().await;
                counts.set(counts.get() + 1);
            }
            trace.log("200 ticks");
        });
        let (seen, logged) = (Rc::clone(&ticks), trace.clone());
        lp.queue_microtask(move |_| logged.log(format!("{} ticks", seen.get())));
        source(lp, trace);
        let logged = trace.clone();
        lp.set_immediate(move |_| logged.log(format!("{} ticks", ticks.get())));
    });
}
