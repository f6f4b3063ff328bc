//! `LoopBound`: values of one loop that cross threads and come home.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;
use std::time::Duration;

use phaseloop::{EventLoop, LoopBound, LoopHandle, Outcome, RunMode, TestLoop};
use trace::Trace;

/// Logs where it is dropped.
struct Witness {
    trace: Trace,
    home: thread::ThreadId,
}

impl Witness {
    fn new(trace: &Trace) -> Self {
        Self { trace: trace.clone(), home: thread::current().id() }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        assert_eq!(self.home, thread::current().id(), "dropped on a thread that must not touch it");
        self.trace.log("dropped");
    }
}

fn assert_send_sync<T: Send + Sync>(value: T) -> T {
    value
}

#[test]
fn it_is_send_and_sync_whatever_it_holds() {
    let lp = TestLoop::new();
    let bound = assert_send_sync(LoopBound::new(&lp, Rc::new(Cell::new(1))));
    bound.get().set(2);
    assert_eq!(bound.into_inner().unwrap().get(), 2);
}

#[test]
fn another_thread_sees_nothing_and_takes_nothing() {
    let lp = TestLoop::new();
    let mut bound = LoopBound::new(&lp, Rc::new(3));
    let bound = thread::spawn(move || {
        assert!(!bound.is_home());
        assert!(bound.try_get().is_none());
        assert!(bound.try_get_mut().is_none());
        assert_eq!(format!("{bound:?}"), "LoopBound(of another thread)");
        bound.into_inner().expect_err("this is not its thread")
    })
    .join()
    .unwrap();
    assert_eq!(format!("{bound:?}"), "LoopBound(3)");
    assert_eq!(*bound.into_inner().unwrap(), 3);
}

#[test]
fn a_touch_from_another_thread_panics() {
    let lp = TestLoop::new();
    let bound = LoopBound::new(&lp, Rc::new(3));
    let message = thread::scope(|scope| {
        let touching = scope.spawn(|| **bound.get());
        *touching.join().unwrap_err().downcast::<&str>().unwrap()
    });
    assert!(message.contains("bound to the thread of another loop"), "{message}");
    assert_eq!(**bound.get(), 3);
}

#[test]
fn at_home_it_drops_at_once() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    drop(LoopBound::new(&lp, Witness::new(&trace)));
    assert_eq!(trace.take(), ["dropped"]);
}

#[test]
fn dropped_elsewhere_it_goes_home_and_ends_in_the_poll_phase() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let bound = LoopBound::new(&lp, Witness::new(&trace));
    thread::spawn(move || drop(bound)).join().unwrap();
    assert!(trace.take().is_empty());
    lp.set_immediate(trace.logs("check"));
    lp.turn();
    assert_eq!(trace.take(), ["dropped", "check"]);
}

#[test]
fn what_is_on_its_way_home_does_not_keep_the_loop_alive() {
    let (lp, trace) = (EventLoop::new().unwrap(), Trace::default());
    let bound = LoopBound::new(&lp, Witness::new(&trace));
    thread::spawn(move || drop(bound)).join().unwrap();
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Finished);
    drop(lp); // takes what the run did not
    assert_eq!(trace.take(), ["dropped"]);
}

#[test]
fn without_a_loop_it_leaks_rather_than_drop_on_a_wrong_thread() {
    let (lp, trace) = (EventLoop::new().unwrap(), Trace::default());
    let (bound, handle) = (LoopBound::new(&lp, Witness::new(&trace)), LoopHandle::clone(&lp));
    drop(lp);
    thread::spawn(move || drop(bound)).join().unwrap();
    assert!(trace.take().is_empty());
    // What leaks on purpose stays within reach, or a leak check would tell of it.
    static LEAKED: AtomicPtr<(Trace, LoopHandle)> = AtomicPtr::new(std::ptr::null_mut());
    LEAKED.store(Box::into_raw(Box::new((trace, handle))), Ordering::Relaxed);
}

#[test]
fn as_a_future_it_is_awaited_at_home() {
    let lp = TestLoop::new();
    let sleep = assert_send_sync(LoopBound::new(&lp, lp.sleep(Duration::from_millis(5))));
    let log = lp.clone();
    lp.spawn(async move {
        sleep.await;
        log.log("slept");
    });
    assert!(lp.turn_log().is_empty());
    lp.advance(Duration::from_millis(5));
    assert_eq!(lp.turn_log(), ["slept"]);
}
