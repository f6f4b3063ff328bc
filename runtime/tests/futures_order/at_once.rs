//! F31: a task whose first poll is where it is spawned.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use phaseloop::channel::oneshot;
use phaseloop::{EventLoop, LoopHandle, MissedTicks, RunMode, yield_now};

use crate::stage::{once_ready, under_all};
use crate::trace::ms;

#[test]
fn f31_spawn_now_polls_before_it_returns_and_then_is_a_task_like_any_other() {
    under_all(&["begins", "main", "tick", "before", "goes on", "behind"], |lp, trace| {
        let trace = trace.clone();
        lp.set_immediate(move |lp| {
            let (sender, receiver) = oneshot();
            let logged = trace.clone();
            let task = lp.spawn_now(async move {
                logged.log("begins");
                receiver.await.unwrap();
                logged.log("goes on");
            });
            assert!(!task.is_finished());
            trace.log("main");
            lp.next_tick(trace.logs("tick"));
            lp.queue_microtask(trace.logs("before"));
            sender.send(()).unwrap();
            lp.queue_microtask(trace.logs("behind"));
        });
    });
}

#[test]
fn f31_what_ends_at_once_is_in_no_queue() {
    under_all(&["joined"], |lp, trace| {
        let trace = trace.clone();
        lp.set_immediate(move |lp| {
            let task = lp.spawn_now(async { "joined" });
            assert!(task.is_finished() && lp.task_count() == 0);
            lp.spawn_now(async move { trace.log(task.await.unwrap()) });
        });
    });
}

#[test]
fn f31_where_its_loop_does_not_run_it_is_spawn() {
    let (outer, inner) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (handle, other) = (outer.handle(), inner.handle());
    let before = handle.spawn_now(async { phaseloop::sleep(Duration::ZERO).await });
    assert!(!before.is_finished());
    let task = Rc::new(RefCell::new(None));
    let spawned = Rc::clone(&task);
    handle.set_immediate(move |_| {
        let task = other.spawn_now(async { phaseloop::current().now() });
        assert!(!task.is_finished());
        spawned.replace(Some(task));
    });
    outer.run(RunMode::Default).unwrap();
    assert!(before.is_finished());
    inner.run(RunMode::Default).unwrap();
    assert!(task.take().unwrap().is_finished());
}

#[test]
fn f31_a_wake_in_the_first_poll_is_a_yield() {
    under_all(&["begins", "microtask", "source", "goes on"], |lp, trace| {
        let logged = trace.clone();
        lp.spawn_now(async move {
            logged.log("begins");
            yield_now().await;
            logged.log("goes on");
        });
        lp.queue_microtask(trace.logs("microtask"));
        once_ready(lp, {
            let mut logs = trace.logs("source");
            move |lp: &LoopHandle| logs(lp)
        });
    });
}

#[test]
fn f31_a_panic_does_not_leave_spawn_now() {
    under_all(&["main", "told: nobody sees", "joined"], |lp, trace| {
        lp.on_uncaught(|_, _| unreachable!("a task's panic is its outcome"));
        let logged = trace.clone();
        lp.on_task_failure(move |_, failure| logged.log(format!("told: {}", failure.message().unwrap())));
        let unseen = lp.spawn_now(async { panic!("nobody sees") });
        let seen = lp.spawn_now(async { panic!("its joiner sees") });
        trace.log("main");
        unseen.detach();
        let logged = trace.clone();
        lp.spawn_now(async move {
            let outcome: Result<(), _> = seen.await;
            assert!(outcome.unwrap_err().is_panic());
            logged.log("joined");
        });
    });
}

#[test]
fn f31_both_tasks_have_their_own_budget() {
    under_all(&["inner: 128 ticks", "outer: 128 ticks"], |lp, trace| {
        let ticking = |limit: u32| {
            let mut interval = lp.interval(ms(1));
            interval.set_missed_ticks(MissedTicks::Burst);
            let counted = Rc::new(Cell::new(0));
            let counts = Rc::clone(&counted);
            let ticks = async move {
                while counts.get() < limit {
                    interval.tick().await;
                    counts.set(counts.get() + 1);
                }
            };
            (ticks, counted)
        };
        let ((outer_ticks, outer), (inner_ticks, inner), (half, _)) =
            (ticking(200), ticking(200), ticking(64));
        lp.advance(ms(300));
        let (handle, logged) = (lp.event_loop().handle(), trace.clone());
        let (seen, told) = (Rc::clone(&outer), trace.clone());
        lp.spawn(async move {
            half.await;
            handle.spawn_now(inner_ticks).detach();
            logged.log(format!("inner: {} ticks", inner.get()));
            outer_ticks.await;
        });
        lp.queue_microtask(move |_| told.log(format!("outer: {} ticks", seen.get() + 64)));
    });
}

#[test]
fn f31_a_task_in_a_task_may_spawn_in_turn() {
    under_all(&["a", "b", "c", "end of b", "end of a"], |lp, trace| {
        let (handle, logged) = (lp.event_loop().handle(), trace.clone());
        lp.spawn(async move {
            logged.log("a");
            let (inner, within) = (handle.clone(), logged.clone());
            handle.spawn_now(async move {
                within.log("b");
                let innermost = within.clone();
                inner.spawn_now(async move { innermost.log("c") });
                within.log("end of b");
            });
            logged.log("end of a");
        });
    });
}
