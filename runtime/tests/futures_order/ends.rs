//! F10 to F13: how a task ends, and who is told.

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;

use phaseloop::channel::oneshot;
use phaseloop::{JoinHandle, LoopHandle, yield_now};

use crate::queue::every_pair;
use crate::stage::{Dropped, once_ready, spawn, under, under_all};
use crate::trace::{Trace, ms};

#[test]
fn f10_a_joiner_goes_on_behind_what_was_queued_before_the_end() {
    let expected = ["before", "task", "behind", "joiner", "of the task", "immediate"];
    under_all(&expected, |lp, trace| {
        let (sender, receiver) = oneshot();
        let task = spawn(lp, trace, |trace| async move {
            let handle: LoopHandle = receiver.await.unwrap();
            trace.log("task");
            handle.next_tick(trace.logs("of the task")); // a tick waits for the microtasks, the joiner among them
        });
        spawn(lp, trace, |trace| async move {
            task.await.unwrap();
            trace.log("joiner");
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            lp.queue_microtask(logged.logs("before"));
            sender.send(lp.clone()).unwrap();
            lp.queue_microtask(logged.logs("behind"));
        });
        lp.set_immediate({
            let trace = trace.clone();
            move |lp| {
                lp.queue_microtask(move |lp| {
                    lp.set_immediate(trace.logs("immediate"));
                })
            }
        });
    });
}

#[test]
fn f10_a_chain_of_joins_unwinds_in_one_drain() {
    under_all(&["innermost", "inner", "outer", "immediate"], |lp, trace| {
        let innermost = spawn(lp, trace, |trace| async move { trace.log("innermost") });
        let inner = spawn(lp, trace, |trace| async move {
            innermost.await.unwrap();
            trace.log("inner");
        });
        spawn(lp, trace, |trace| async move {
            inner.await.unwrap();
            trace.log("outer");
        });
        lp.set_immediate(trace.logs("immediate"));
    });
}

/// A task that waits for ever and logs when it is dropped.
fn waits(lp: &LoopHandle, trace: &Trace) -> JoinHandle<()> {
    let dropped = Dropped(trace.clone(), "dropped");
    lp.spawn(async move {
        let _dropped = dropped;
        pending::<()>().await;
    })
}

#[test]
fn f11_abort_drops_the_future_as_a_microtask_of_the_moment_in_every_phase() {
    for (schedule, place) in every_pair() {
        let name = schedule.name.clone();
        let seen = under(schedule, |lp, trace| {
            let task = waits(lp, trace);
            let logged = trace.clone();
            let first = move |lp: &LoopHandle| {
                lp.queue_microtask(logged.logs("before"));
                task.abort();
                lp.queue_microtask(logged.logs("behind"));
                lp.next_tick(logged.logs("tick"));
                logged.log("aborted");
            };
            place.pair(lp, first, trace.logs("second"));
            lp.advance(ms(1));
        });
        let expected = if place.drains_between(&name) {
            ["aborted", "tick", "before", "dropped", "behind", "second"]
        } else {
            ["aborted", "second", "tick", "before", "dropped", "behind"]
        };
        assert_eq!(seen, expected, "{place:?} under {name}");
    }
}

#[test]
fn f11_abort_leaves_a_task_that_was_woken_in_its_place_and_does_not_poll_it() {
    under_all(&["dropped", "between", "behind"], |lp, trace| {
        let (sender, receiver) = oneshot::<()>();
        let dropped = Dropped(trace.clone(), "dropped");
        let task = lp.spawn(async move {
            let _dropped = dropped;
            receiver.await.unwrap();
            unreachable!("it was aborted before it was polled again");
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            sender.send(()).unwrap();
            lp.queue_microtask(logged.logs("between"));
            task.abort();
            lp.queue_microtask(logged.logs("behind"));
        });
    });
}

#[test]
fn f11_abort_drops_a_task_that_yields_in_the_check_phase() {
    under_all(&["microtask", "source", "dropped"], |lp, trace| {
        let dropped = Dropped(trace.clone(), "dropped");
        let task = lp.spawn(async move {
            let _dropped = dropped;
            yield_now().await;
            unreachable!("it was aborted before it went on");
        });
        let logged = trace.clone();
        lp.queue_microtask(move |_| {
            task.abort();
            logged.log("microtask");
        });
        let mut source = trace.logs("source");
        once_ready(lp, move |lp| source(lp));
    });
}

#[test]
fn f11_a_joiner_hears_of_an_abort_behind_the_drop() {
    under_all(&["dropped", "behind", "cancelled"], |lp, trace| {
        let task = waits(lp, trace);
        let aborts = Rc::new(RefCell::new(Some(task)));
        let own = Rc::clone(&aborts);
        spawn(lp, trace, |trace| {
            poll_fn(move |cx| {
                let mut task = own.borrow_mut();
                let polled = Pin::new(task.as_mut().unwrap()).poll(cx);
                polled.map(|outcome| {
                    assert!(outcome.unwrap_err().is_cancelled());
                    trace.log("cancelled");
                })
            })
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            aborts.borrow().as_ref().unwrap().abort();
            lp.queue_microtask(logged.logs("behind"));
        });
    });
}

/// Has a task abort itself while it is polled, and then end or wait.
fn aborts_itself(lp: &LoopHandle, trace: &Trace, ends: bool) -> Rc<RefCell<Option<JoinHandle<()>>>> {
    let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let (handle, dropped) = (Rc::clone(&own), Dropped(trace.clone(), "dropped"));
    let task = spawn(lp, trace, |trace| async move {
        let _dropped = dropped;
        handle.borrow().as_ref().unwrap().abort();
        trace.log("polled");
        if !ends {
            pending::<()>().await;
        }
    });
    own.replace(Some(task));
    own
}

#[test]
fn f12_a_task_that_aborts_itself_is_dropped_as_a_microtask_behind_its_poll() {
    under_all(&["polled", "microtask", "dropped", "tick"], |lp, trace| {
        let own = aborts_itself(lp, trace, false);
        let logged = trace.clone();
        lp.queue_microtask(move |lp| {
            logged.log("microtask");
            lp.next_tick(logged.logs("tick"));
        });
        lp.set_immediate(move |_| assert!(own.take().unwrap().is_finished()));
    });
}

#[test]
fn f12_a_task_that_aborts_itself_and_ends_in_the_same_poll_keeps_its_outcome() {
    under_all(&["polled", "dropped", "microtask", "joined"], |lp, trace| {
        let own = aborts_itself(lp, trace, true);
        lp.queue_microtask(trace.logs("microtask"));
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            let task = own.take().unwrap();
            lp.spawn(async move {
                task.await.unwrap();
                logged.log("joined");
            });
        });
    });
}

#[test]
fn f13_a_panic_of_a_task_is_its_outcome_and_the_drain_goes_on() {
    under_all(&["panicked", "microtask", "tick of the task", "immediate"], |lp, trace| {
        lp.on_uncaught(|_, _| unreachable!("a task's panic is its outcome"));
        let handle = lp.event_loop().handle();
        let task = spawn(lp, trace, |trace| async move {
            handle.next_tick(trace.logs("tick of the task"));
            panic!("of the task");
        });
        spawn(lp, trace, |trace| async move {
            let outcome: Result<(), _> = task.await;
            assert!(outcome.unwrap_err().is_panic());
            trace.log("panicked");
        });
        lp.queue_microtask(trace.logs("microtask"));
        lp.set_immediate(trace.logs("immediate"));
    });
}

#[test]
fn f13_the_failure_of_a_detached_task_is_told_where_it_ends() {
    under_all(&["told: nobody sees", "microtask"], |lp, trace| {
        let logged = trace.clone();
        lp.on_task_failure(move |_, failure| logged.log(format!("told: {}", failure.message().unwrap())));
        lp.spawn(async { panic!("nobody sees") }).detach();
        lp.queue_microtask(trace.logs("microtask"));
    });
}
