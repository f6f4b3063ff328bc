//! The end of a loop that still has work: all of it is dropped exactly once, and what outlives the loop does no harm.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop::request::Port;
use phaseloop::{Check, Closing, EventLoop, Idle, LoopHandle, Prepare, Timer, Wakeup, yield_now};

const LONG: Duration = Duration::from_secs(1000);

/// Counts drops.
#[derive(Clone)]
struct Counter(Rc<Cell<u32>>);

struct Counted(Rc<Cell<u32>>);

impl Counter {
    fn new() -> Self {
        Self(Rc::default())
    }

    /// A value that counts its drop.
    fn value(&self) -> Counted {
        Counted(Rc::clone(&self.0))
    }

    /// A callback that owns such a value and must not run.
    fn callback<A: ?Sized>(&self) -> impl FnMut(&A) + 'static {
        let value = self.value();
        move |_| {
            let _owned = &value;
            unreachable!("the loop was dropped before");
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Has a closure own what it only looks at.
fn observe<T>(_value: &T) {}

#[test]
fn dropping_a_loop_drops_everything_that_is_pending_exactly_once() {
    let (lp, counter) = (EventLoop::new().unwrap(), Counter::new());
    lp.next_tick(counter.callback());
    lp.queue_microtask(counter.callback());
    lp.set_immediate(counter.callback());
    lp.defer(counter.callback());
    lp.timer(LONG, counter.callback());
    lp.set_timeout(LONG, counter.callback());
    lp.set_interval(LONG, counter.callback());
    lp.set_refreshable_timeout(LONG, counter.callback());
    Timer::new(&lp).start(LONG, counter.callback()).unwrap();
    Idle::new(&lp).start(counter.callback()).unwrap();
    Prepare::new(&lp).start(counter.callback()).unwrap();
    Check::new(&lp).start(counter.callback()).unwrap();
    Timer::new(&lp).close_with(counter.callback());
    let _wakeup = Wakeup::new(&lp, counter.callback());
    let value = counter.value();
    let _port = Port::new(&lp, move |_, _: u32| observe(&value));
    let value = counter.value();
    lp.on_uncaught(move |_, _| observe(&value));
    let value = counter.value();
    lp.on_task_failure(move |_, _| observe(&value));
    assert_eq!(counter.0.get(), 0);
    drop(lp);
    assert_eq!(counter.0.get(), 17);
}

#[test]
fn dropping_a_loop_drops_its_tasks_in_whatever_state() {
    let (lp, counter) = (EventLoop::new().unwrap(), Counter::new());
    let value = counter.value();
    let never_polled = lp.spawn(async move {
        let _value = value;
    });
    let value = counter.value();
    let sleeping = lp.spawn(async move {
        let _value = value;
        phaseloop::sleep(LONG).await;
    });
    let value = counter.value();
    let yielding = lp.spawn(async move {
        let _value = value;
        loop {
            yield_now().await;
        }
    });
    lp.run(phaseloop::RunMode::NoWait).unwrap();
    let value = counter.value();
    let done = lp.spawn(async move { value });
    lp.run(phaseloop::RunMode::NoWait).unwrap();
    let value = counter.value();
    lp.spawn(async move {
        let _value = value;
        pending::<()>().await;
    })
    .detach();
    drop(lp);
    assert_eq!(counter.0.get(), 4, "all but the output that is still to be taken");
    assert!(never_polled.is_finished());
    assert!(sleeping.now_or_never().unwrap().unwrap_err().is_cancelled());
    assert!(yielding.now_or_never().unwrap().unwrap_err().is_cancelled());
    drop(done);
    assert_eq!(counter.0.get(), 5);
}

#[test]
fn what_was_posted_and_not_run_is_dropped() {
    struct Sent(Arc<()>);
    let (lp, value) = (EventLoop::new().unwrap(), Arc::new(()));
    let sent = Sent(Arc::clone(&value));
    lp.remote().post(move |_| drop(sent.0)).unwrap();
    let port = Port::new(&lp, |_, _: Arc<()>| {});
    port.sender().send(Arc::clone(&value)).unwrap();
    drop((lp, port));
    assert_eq!(Arc::strong_count(&value), 1);
}

/// Schedules everything there is, in its drop.
struct SchedulesInDrop(LoopHandle, Counter);

impl Drop for SchedulesInDrop {
    fn drop(&mut self) {
        let (lp, counter) = (&self.0, &self.1);
        lp.next_tick(counter.callback());
        lp.queue_microtask(counter.callback());
        lp.set_immediate(counter.callback());
        lp.defer(counter.callback());
        lp.timer(LONG, counter.callback());
        lp.set_timeout(LONG, counter.callback());
        lp.set_interval(LONG, counter.callback());
        let value = counter.value();
        lp.spawn(async move {
            let _value = value;
        });
        drop(lp.remote().post(|_| {}));
        counter.0.set(counter.0.get() + 100);
    }
}

#[test]
fn what_is_scheduled_while_the_loop_is_dropped_is_dropped_too() {
    let (lp, counter) = (EventLoop::new().unwrap(), Counter::new());
    let schedules = || SchedulesInDrop(lp.handle(), counter.clone());
    let in_task = schedules();
    lp.spawn(async move {
        let _in_task = in_task;
        pending::<()>().await;
    })
    .detach();
    let in_tick = schedules();
    lp.next_tick(move |_| drop(in_tick));
    let in_handle = schedules();
    Check::new(&lp).start(move |_| observe(&in_handle)).unwrap();
    let in_timer = schedules();
    lp.set_timeout(LONG, move |_| drop(in_timer));
    let in_immediate = schedules();
    lp.set_immediate(move |_| drop(in_immediate));
    drop(lp);
    assert_eq!(counter.0.get(), 5 * 108);
}

#[test]
fn a_handle_that_outlives_its_loop_does_no_harm() {
    let lp = EventLoop::new().unwrap();
    let handle = lp.handle();
    let (timer, check, wakeup) = (Timer::new(&lp), Check::new(&lp), Wakeup::new(&lp, |_| {}));
    timer.start(LONG, |_| {}).unwrap();
    let (timeout, immediate) = (lp.set_timeout(LONG, |_| {}), lp.set_immediate(|_| {}));
    let one_shot = lp.timer(LONG, |_| {});
    let request = lp.begin_request();
    drop(lp);
    assert!(handle.is_closed());
    assert!(!timer.is_active() && timer.is_closing());
    assert_eq!(timer.start(LONG, |_| {}), Err(Closing));
    assert_eq!(check.start(|_| {}), Err(Closing));
    assert!(timer.again().is_err());
    timer.stop();
    timer.close();
    check.unref();
    wakeup.close();
    assert!(!handle.clear_timeout(timeout));
    assert!(!handle.refresh_timeout(timeout));
    assert!(!handle.clear_immediate(immediate));
    assert!(!handle.stop_timer(one_shot));
    drop(request);
    assert!(handle.walk_is_empty());
}

trait WalkIsEmpty {
    fn walk_is_empty(&self) -> bool;
}

impl WalkIsEmpty for LoopHandle {
    fn walk_is_empty(&self) -> bool {
        let mut empty = true;
        self.walk(|_| empty = false);
        empty
    }
}

#[test]
fn a_sleep_that_outlives_its_loop_is_over() {
    let lp = EventLoop::new().unwrap();
    let (mut polled, fresh) = (lp.sleep(LONG), lp.sleep(LONG));
    assert!((&mut polled).now_or_never().is_none());
    drop(lp);
    assert!(polled.now_or_never().is_some());
    assert!(fresh.now_or_never().is_some(), "nobody would ever wake it");
}

#[test]
fn a_join_handle_that_outlives_its_loop_says_cancelled() {
    let lp = EventLoop::new().unwrap();
    let task = lp.spawn(pending::<()>());
    drop(lp);
    task.abort();
    task.unref();
    task.ref_();
    assert!(task.now_or_never().unwrap().unwrap_err().is_cancelled());
}

#[test]
fn a_task_spawned_on_a_loop_that_is_gone_is_cancelled() {
    let lp = EventLoop::new().unwrap();
    let (handle, counter) = (lp.handle(), Counter::new());
    drop(lp);
    let value = counter.value();
    let task = handle.spawn(async move {
        let _value = value;
    });
    assert_eq!(counter.0.get(), 1);
    assert!(task.now_or_never().unwrap().unwrap_err().is_cancelled());
}

#[test]
fn a_stream_that_outlives_its_loop_fails() {
    let lp = EventLoop::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = TcpStream::from_std(&lp, listener.accept().unwrap().0).unwrap();
    let accepting = TcpListener::from_std(&lp, listener).unwrap();
    let counter = Counter::new();
    let value = counter.value();
    stream.read_start(move |_, _| observe(&value)).unwrap();
    let value = counter.value();
    accepting.on_connection(move |_, _| observe(&value)).unwrap();
    drop(lp);
    let mut buf = [0; 4];
    assert!(stream.read(&mut buf).now_or_never().unwrap().is_err());
    assert!(accepting.accept().now_or_never().unwrap().is_err());
    stream.read_stop();
    drop((stream, accepting));
    assert_eq!(counter.0.get(), 2);
}

#[test]
fn a_waker_that_outlives_its_loop_does_nothing_on_any_thread() {
    let lp = EventLoop::new().unwrap();
    let (kept, slot) = (Rc::new(Cell::new(None)), Rc::new(()));
    let waker = Rc::clone(&kept);
    lp.spawn(std::future::poll_fn(move |cx| {
        let _slot = &slot;
        waker.set(Some(cx.waker().clone()));
        std::task::Poll::<()>::Pending
    }))
    .detach();
    lp.run(phaseloop::RunMode::NoWait).unwrap();
    drop(lp);
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    std::thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn a_handle_made_on_a_closed_loop_can_not_be_started_and_leaks_nothing() {
    let lp = EventLoop::new().unwrap();
    let handle = lp.handle();
    drop(lp);
    let (timer, owned) = (Timer::new(&handle), Rc::new(()));
    let (kept, lp) = (Rc::clone(&owned), handle.clone());
    let started = timer.start(Duration::ZERO, move |_| drop((kept.clone(), lp.clone())));
    assert!(started.is_err());
    assert!(timer.is_closing());
    assert_eq!(Rc::strong_count(&owned), 1);
}
