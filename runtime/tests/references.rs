//! Ref and unref: what keeps a loop alive, for each kind of thing that can.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::net::TcpStream as StdStream;
use std::time::Duration;

use phaseloop::net::{TcpListener, TcpStream};
use phaseloop::request::Port;
use phaseloop::{Check, EventLoop, Idle, Outcome, Prepare, RunMode, TestLoop, Timer, Wakeup, yield_now};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Checks that a handle holds the loop while it is referenced, and that `has_ref` and the count follow.
macro_rules! follows_references {
    ($lp:expr, $handle:expr) => {
        assert!($handle.is_referenced());
        assert!($lp.is_alive());
        $handle.unref();
        $handle.unref();
        assert!(!$handle.is_referenced());
        assert!(!$lp.is_alive(), "{:?}", $lp.why_alive());
        $handle.ref_();
        $handle.ref_();
        assert!($lp.is_alive());
        $handle.unref();
        assert_eq!($lp.event_loop().run(RunMode::Default).unwrap(), Outcome::Finished);
    };
}

#[test]
fn a_timer_handle_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    assert!(!lp.is_alive(), "it is not active");
    timer.start(ms(10), |_| unreachable!("it alone does not keep the loop turning")).unwrap();
    follows_references!(lp, timer);
}

#[test]
fn an_idle_handle_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let idle = Idle::new(&lp);
    idle.start(|_| {}).unwrap();
    follows_references!(lp, idle);
}

#[test]
fn a_prepare_handle_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let prepare = Prepare::new(&lp);
    prepare.start(|_| {}).unwrap();
    follows_references!(lp, prepare);
}

#[test]
fn a_check_handle_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let check = Check::new(&lp);
    check.start(|_| {}).unwrap();
    follows_references!(lp, check);
}

#[test]
fn a_wakeup_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let wakeup = Wakeup::new(&lp, |_| {});
    follows_references!(lp, wakeup);
}

#[test]
fn a_task_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let task = lp.spawn(std::future::pending::<()>());
    follows_references!(lp, task);
}

#[test]
fn a_port_holds_the_loop_only_when_asked_to() {
    let lp = TestLoop::new();
    let port = Port::new(&lp, |_, _: u32| {});
    assert!(port.is_active());
    assert!(!port.is_referenced());
    assert!(!lp.is_alive());
    port.ref_();
    assert!(lp.is_alive());
}

#[test]
fn a_request_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let mut request = lp.begin_request();
    assert!(lp.is_alive());
    request.unref();
    request.unref();
    assert!(!lp.is_alive());
    request.ref_();
    request.ref_();
    assert!(lp.is_alive());
    drop(request);
    assert!(!lp.is_alive());
}

#[test]
fn a_one_shot_timer_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let id = lp.event_loop().timer(ms(10), |_| {});
    assert!(lp.is_alive());
    assert!(lp.unref_timer(id));
    assert!(!lp.is_alive());
    assert!(lp.ref_timer(id));
    assert!(lp.is_alive());
    lp.stop_timer(id);
    assert!(!lp.is_alive());
    assert!(!lp.ref_timer(id));
}

#[test]
fn a_timeout_and_an_interval_hold_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    for id in [lp.set_timeout(ms(10), |_| {}), lp.set_interval(ms(10), |_| {})] {
        lp.unref_timeout(id);
    }
    assert!(!lp.is_alive());
    let id = lp.set_interval(ms(10), |_| {});
    assert!(lp.is_timeout_referenced(id));
    assert!(lp.is_alive());
    lp.unref_timeout(id);
    assert!(!lp.is_timeout_referenced(id));
    assert!(lp.ref_timeout(id));
    lp.clear_timeout(id);
    assert!(!lp.is_alive());
}

#[test]
fn an_interval_unreferenced_in_its_callback_ends_the_loop() {
    let lp = TestLoop::new();
    let id = std::rc::Rc::new(std::cell::Cell::new(None));
    let own = std::rc::Rc::clone(&id);
    id.set(Some(lp.set_interval(ms(10), move |lp| {
        lp.unref_timeout(own.get().unwrap());
    })));
    lp.run();
    assert!(!lp.is_alive());
}

#[test]
fn an_immediate_holds_the_loop_unless_unreferenced() {
    let lp = TestLoop::new();
    let id = lp.set_immediate(|_| {});
    assert!(lp.is_immediate_referenced(id) && lp.is_alive());
    assert!(lp.unref_immediate(id));
    assert!(!lp.is_immediate_referenced(id) && !lp.is_alive());
    assert!(lp.ref_immediate(id));
    assert!(lp.is_alive());
    lp.run();
    assert!(!lp.ref_immediate(id));
}

#[test]
fn unref_inside_a_callback_ends_the_loop() {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    timer.start_repeating(ms(1), ms(1), |timer| timer.unref()).unwrap();
    let check = Check::new(&lp);
    check.start(|check| check.unref()).unwrap();
    lp.run();
    assert!(timer.is_active());
}

#[test]
fn ticks_and_microtasks_alone_do_not_hold_the_loop() {
    let lp = TestLoop::new();
    lp.tick(|lp| lp.log("tick"));
    lp.microtask(|lp| lp.log("microtask"));
    assert!(!lp.is_alive());
    assert_eq!(lp.run(), ["tick", "microtask"], "but a run begins with them");
}

#[test]
fn an_unreferenced_task_that_yields_does_not_hold_the_loop() {
    let lp = TestLoop::new();
    let task = lp.spawn(async {
        loop {
            yield_now().await;
        }
    });
    task.unref();
    lp.set_immediate(|_| {});
    lp.run();
    assert!(!task.is_finished());
}

#[test]
fn an_unreferenced_task_that_yields_still_goes_on_at_once() {
    let lp = TestLoop::new();
    let _alive = lp.begin_request();
    let task = lp.spawn(yield_now());
    task.unref();
    lp.turn();
    assert!(task.is_finished());
    let task = lp.spawn(async {
        yield_now().await;
        yield_now().await;
    });
    task.unref();
    lp.turn();
    assert_eq!(lp.backend_timeout(), Some(ms(0)), "poll must not wait while a task is ready");
}

fn listener(lp: &EventLoop) -> TcpListener {
    TcpListener::bind(lp, "127.0.0.1:0".parse().expect("an address")).expect("a port is free")
}

#[test]
fn a_listener_holds_the_loop_while_it_has_a_callback_unless_unreferenced() {
    let lp = EventLoop::new().unwrap();
    let listener = listener(&lp);
    assert!(!lp.is_alive());
    listener.on_connection(|_, _| {}).unwrap();
    assert!(lp.is_alive());
    listener.unref();
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Finished);
    listener.ref_();
    assert!(lp.is_alive());
    listener.close();
    lp.run(RunMode::Default).unwrap();
    assert!(!lp.is_alive());
}

#[test]
fn a_stream_holds_the_loop_while_it_reads_unless_unreferenced() {
    let lp = EventLoop::new().unwrap();
    let std_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _peer = StdStream::connect(std_listener.local_addr().unwrap()).unwrap();
    let stream = TcpStream::from_std(&lp, std_listener.accept().unwrap().0).unwrap();
    assert!(!lp.is_alive());
    stream.read_start(|_, _| {}).unwrap();
    assert!(lp.is_alive());
    stream.unref();
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Finished);
    stream.ref_();
    assert!(lp.is_alive());
    stream.read_stop();
    assert!(!lp.is_alive());
}
