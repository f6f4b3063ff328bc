//! F1 to F4: a task in the microtask queue.

use std::cell::RefCell;
use std::future::{poll_fn, ready};
use std::rc::Rc;
use std::task::{Poll, Waker};

use phaseloop::channel::oneshot;

use crate::stage::{Place, presets, spawn, under, under_all};
use crate::trace::ms;

#[test]
fn f1_a_spawned_task_is_a_microtask_of_the_moment() {
    under_all(&["main", "tick", "microtask", "task", "microtask behind"], |lp, trace| {
        lp.queue_microtask(trace.logs("microtask"));
        spawn(lp, trace, |trace| async move { trace.log("task") });
        lp.queue_microtask(trace.logs("microtask behind"));
        lp.next_tick(trace.logs("tick"));
        trace.log("main"); // nothing ran inside `spawn`
    });
}

#[test]
fn f1_a_task_runs_wherever_a_microtask_would_in_every_phase() {
    for (schedule, place) in every_pair() {
        let name = schedule.name.clone();
        let seen = under(schedule, |lp, trace| {
            let logged = trace.clone();
            let first = move |lp: &phaseloop::LoopHandle| {
                logged.log("first");
                lp.queue_microtask(logged.logs("microtask"));
                spawn(lp, &logged, |trace| async move { trace.log("task") });
                lp.queue_microtask(logged.logs("behind"));
                lp.next_tick(logged.logs("tick"));
            };
            place.pair(lp, first, trace.logs("second"));
            lp.advance(ms(1));
        });
        let expected = if place.drains_between(&name) {
            ["first", "tick", "microtask", "task", "behind", "second"]
        } else {
            ["first", "second", "tick", "microtask", "task", "behind"]
        };
        assert_eq!(seen, expected, "{place:?} under {name}");
    }
}

#[test]
fn f1_tasks_begin_in_the_order_of_spawning() {
    under_all(&["a", "b", "inner of a", "c"], |lp, trace| {
        let handle = lp.event_loop().handle();
        spawn(lp, trace, |trace| async move {
            trace.log("a");
            spawn(&handle, &trace, |trace| async move { trace.log("inner of a") });
            handle.next_tick(trace.logs("c")); // a tick: only when the microtasks are done
        });
        spawn(lp, trace, |trace| async move { trace.log("b") });
    });
}

#[test]
fn f2_await_of_what_is_ready_costs_nothing() {
    under_all(&["begins", "value", "sent", "ended", "microtask"], |lp, trace| {
        let (sender, receiver) = oneshot();
        sender.send("sent").unwrap();
        let ended = lp.spawn(ready("ended"));
        spawn(lp, trace, |trace| async move {
            trace.log("begins");
            trace.log(ready("value").await);
            trace.log(receiver.await.unwrap());
            trace.log(ended.await.unwrap());
        });
        lp.queue_microtask(trace.logs("microtask"));
    });
}

#[test]
fn f3_await_of_a_pending_future_goes_on_behind_the_microtasks_of_its_wake() {
    under_all(&["begins", "tick", "before", "goes on", "behind"], |lp, trace| {
        let (sender, receiver) = oneshot();
        spawn(lp, trace, |trace| async move {
            trace.log("begins");
            receiver.await.unwrap();
            trace.log("goes on");
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            lp.queue_microtask(logged.logs("before"));
            sender.send(()).unwrap();
            lp.queue_microtask(logged.logs("behind"));
            lp.next_tick(logged.logs("tick"));
        });
    });
}

#[test]
fn f3_a_tick_queued_before_the_wake_or_behind_it_comes_first() {
    under_all(&["tick", "late tick", "goes on"], |lp, trace| {
        let (sender, receiver) = oneshot();
        spawn(lp, trace, |trace| async move {
            receiver.await.unwrap();
            trace.log("goes on");
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            let late = logged.clone();
            lp.next_tick(move |lp| {
                late.log("tick");
                sender.send(()).unwrap();
                lp.next_tick(late.logs("late tick"));
            });
        });
    });
}

#[test]
fn f4_many_wakes_make_one_poll_in_the_place_of_the_first() {
    under_all(&["polled", "before", "polled", "behind"], |lp, trace| {
        let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
        let keeps = Rc::clone(&kept);
        spawn(lp, trace, |trace| {
            poll_fn(move |cx| {
                trace.log("polled");
                if keeps.borrow().is_some() {
                    return Poll::Ready(());
                }
                keeps.replace(Some(cx.waker().clone()));
                Poll::Pending
            })
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            let wake = |kept: &RefCell<Option<Waker>>| kept.borrow().as_ref().unwrap().wake_by_ref();
            lp.queue_microtask(logged.logs("before"));
            wake(&kept);
            lp.queue_microtask(logged.logs("behind"));
            wake(&kept);
            wake(&kept);
        });
    });
}

pub(crate) fn every_pair() -> impl Iterator<Item = (phaseloop::Schedule, Place)> {
    presets().into_iter().flat_map(|schedule| Place::ALL.map(|place| (schedule.clone(), place)))
}
