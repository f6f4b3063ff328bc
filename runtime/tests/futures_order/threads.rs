//! F25 and F26: other threads.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::Poll;
use std::thread;

use phaseloop::{LoopHandle, TestLoop};

use crate::stage::{once_ready, spawn, under_all_but};
use crate::trace::Trace;

thread_local! {
    /// The trace of the loop of this thread: what comes from another one can not bring it along.
    static TRACE: RefCell<Trace> = RefCell::default();
}

fn own_trace() -> Trace {
    TRACE.with_borrow(Clone::clone)
}

/// A source that is ready and an immediate, to be seen against.
fn source_and_immediate(lp: &TestLoop, trace: &Trace) {
    TRACE.set(trace.clone());
    let mut source = trace.logs("source");
    once_ready(lp, move |lp| source(lp));
    lp.set_immediate(trace.logs("immediate"));
}

#[test]
fn f25_a_task_from_another_thread_is_made_and_begins_in_the_poll_phase() {
    let each = ["drained", "made", "begins", "tick", "source", "immediate"];
    let textbook = ["drained", "made", "source", "begins", "tick", "immediate"];
    under_all_but(&each, &textbook, |lp, trace| {
        source_and_immediate(lp, trace);
        lp.queue_microtask(trace.logs("drained"));
        let remote = lp.remote();
        thread::spawn(move || {
            let make = move |lp: &LoopHandle| {
                let (trace, handle) = (own_trace(), lp.clone());
                trace.log("made");
                async move {
                    trace.log("begins");
                    handle.next_tick(trace.logs("tick"));
                }
            };
            assert!(remote.spawn(make).is_ok());
        })
        .join()
        .unwrap();
    });
}

#[test]
fn f26_a_wake_from_another_thread_is_a_microtask_of_the_poll_phase() {
    let each = ["begins", "drained", "woken", "tick", "posted", "source", "immediate"];
    let textbook = ["begins", "drained", "posted", "source", "woken", "tick", "immediate"];
    under_all_but(&each, &textbook, |lp, trace| {
        source_and_immediate(lp, trace);
        wake_from_a_thread(lp, trace);
        let remote = lp.remote();
        lp.queue_microtask(move |_| {
            // Behind the first poll of the task, so behind its wake.
            thread::spawn(move || assert!(remote.post(move |_| own_trace().log("posted")).is_ok()))
                .join()
                .unwrap();
        });
        lp.queue_microtask(trace.logs("drained"));
    });
}

/// A task whose first poll has another thread wake it, three times.
fn wake_from_a_thread(lp: &TestLoop, trace: &Trace) {
    let handle = lp.event_loop().handle();
    spawn(lp, trace, |trace| async move {
        trace.log("begins");
        let mut woken = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut woken, true) {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            thread::spawn(move || (0..3).for_each(|_| waker.wake_by_ref())).join().unwrap();
            Poll::Pending
        })
        .await;
        trace.log("woken");
        handle.next_tick(trace.logs("tick"));
    });
}

#[test]
fn f26_tasks_woken_by_another_thread_run_in_the_order_of_the_wakes() {
    let each = ["a", "tick", "b", "tick"];
    under_all_but(&each, &["a", "b", "tick", "tick"], |lp, trace| {
        for line in ["a", "b"] {
            let (handle, mut polled) = (lp.event_loop().handle(), false);
            spawn(lp, trace, |trace| {
                poll_fn(move |cx| {
                    if std::mem::replace(&mut polled, true) {
                        trace.log(line);
                        handle.next_tick(trace.logs("tick"));
                        return Poll::Ready(());
                    }
                    let waker = cx.waker().clone();
                    thread::spawn(move || waker.wake()).join().unwrap();
                    Poll::Pending
                })
            });
        }
    });
}
