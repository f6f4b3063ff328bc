//! A loop that has found its size allocates nothing: not by the turn, the event, the timer, the wake or the tick.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::Write;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use phaseloop::net::{ReadEvent, TcpStream};
use phaseloop::{Check, EventLoop, Idle, LoopHandle, Prepare, RunMode, TestLoop, Timer, Wakeup, yield_now};

#[path = "allocations/sys.rs"]
mod sys;

#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;

const WARM_UP: u32 = 200;
const MEASURED: u32 = 200;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs `step` until everything has found its size, and then counts what it allocates.
#[track_caller]
fn allocates_nothing(mut step: impl FnMut()) {
    (0..WARM_UP).for_each(|_| step());
    let before = sys::allocations();
    (0..MEASURED).for_each(|_| step());
    assert_eq!(sys::allocations() - before, 0, "allocations in {MEASURED} steps");
}

#[test]
fn the_count_counts() {
    let before = sys::allocations();
    drop(Box::new(1));
    assert_eq!(sys::allocations() - before, 1);
}

#[test]
fn a_turn_allocates_nothing() {
    let lp = EventLoop::new().unwrap();
    Idle::new(&lp).start(|_| {}).unwrap();
    Prepare::new(&lp).start(|_| {}).unwrap();
    Check::new(&lp).start(|_| {}).unwrap();
    allocates_nothing(|| assert!(lp.run(RunMode::NoWait).is_ok()));
}

#[test]
fn a_tick_a_microtask_and_an_immediate_of_three_words_allocate_nothing() {
    let lp = TestLoop::new();
    let sum = Rc::new(Cell::new(0));
    let queue = |lp: &LoopHandle| {
        let (a, b) = (1_usize, 2_usize);
        let (tick, microtask, immediate) = (Rc::clone(&sum), Rc::clone(&sum), Rc::clone(&sum));
        lp.next_tick(move |_| tick.set(tick.get() + a + b));
        lp.queue_microtask(move |_| microtask.set(microtask.get() + a + b));
        lp.set_immediate(move |_| immediate.set(immediate.get() + a + b));
    };
    allocates_nothing(|| {
        queue(&lp);
        lp.turn();
    });
    assert_eq!(sum.get(), 9 * (WARM_UP + MEASURED) as usize);
}

#[test]
fn a_deferred_callback_allocates_nothing() {
    let lp = TestLoop::new();
    let ran = Rc::new(Cell::new(0));
    allocates_nothing(|| {
        let ran = Rc::clone(&ran);
        lp.defer(move |_| ran.set(ran.get() + 1));
        lp.turn();
    });
    assert_eq!(ran.get(), WARM_UP + MEASURED);
}

#[test]
fn a_readiness_event_of_a_read_callback_allocates_nothing() {
    let lp = EventLoop::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    let stream = TcpStream::from_std(&lp, listener.accept().unwrap().0).unwrap();
    let got = Rc::new(Cell::new(0));
    let counted = Rc::clone(&got);
    let on_read = move |_: &TcpStream, event: ReadEvent<'_>| {
        if let ReadEvent::Data(bytes) = event {
            counted.set(counted.get() + bytes.len());
        }
    };
    stream.read_start(on_read).unwrap();
    lp.run(RunMode::NoWait).unwrap();
    lp.run(RunMode::NoWait).unwrap();
    allocates_nothing(|| {
        peer.write_all(b"x").unwrap();
        let before = got.get();
        while got.get() == before {
            lp.run(RunMode::Once).unwrap();
        }
    });
}

#[test]
fn a_read_of_a_task_allocates_nothing() {
    let lp = EventLoop::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    let stream = TcpStream::from_std(&lp, listener.accept().unwrap().0).unwrap();
    let got = Rc::new(Cell::new(0));
    let counted = Rc::clone(&got);
    lp.spawn(async move {
        let mut buf = [0; 16];
        while let Ok(len @ 1..) = stream.read(&mut buf).await {
            counted.set(counted.get() + len);
        }
    });
    allocates_nothing(|| {
        peer.write_all(b"x").unwrap();
        let before = got.get();
        while got.get() == before {
            lp.run(RunMode::Once).unwrap();
        }
    });
}

#[test]
fn arming_a_timer_again_allocates_nothing() {
    let lp = TestLoop::new();
    let timer = Timer::new(&lp);
    timer.start_repeating(ms(10), ms(10), |_| {}).unwrap();
    let one_shot = lp.event_loop().timer(ms(1_000_000), |_| {});
    let timeout = lp.set_timeout(ms(1_000_000), |_| {});
    allocates_nothing(|| {
        timer.again().unwrap();
        assert!(lp.restart_timer(one_shot, ms(1_000_000)));
        assert!(lp.refresh_timeout(timeout));
        lp.advance(ms(1));
        lp.turn();
    });
}

#[test]
fn a_timer_and_an_interval_that_repeat_allocate_nothing() {
    let lp = TestLoop::new();
    let (ticks, counted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (first, second) = (Rc::clone(&ticks), Rc::clone(&counted));
    let timer = Timer::new(&lp);
    timer.start_repeating(ms(3), ms(3), move |_| first.set(first.get() + 1)).unwrap();
    lp.set_interval(ms(3), move |_| second.set(second.get() + 1));
    allocates_nothing(|| {
        lp.advance(ms(3));
        lp.turn();
    });
    assert!(ticks.get() >= MEASURED && counted.get() >= MEASURED);
}

#[test]
fn a_wake_of_a_task_allocates_nothing() {
    let lp = TestLoop::new();
    let (kept, polls) = (Rc::new(RefCell::new(None::<Waker>)), Rc::new(Cell::new(0)));
    let (keeps, counted) = (Rc::clone(&kept), Rc::clone(&polls));
    lp.spawn(poll_fn(move |cx| {
        counted.set(counted.get() + 1);
        keeps.replace(Some(cx.waker().clone()));
        Poll::<()>::Pending
    }));
    lp.spawn(async {
        loop {
            yield_now().await;
        }
    });
    lp.turn();
    allocates_nothing(|| {
        let waker = kept.take().unwrap();
        waker.wake();
        lp.turn();
    });
    assert_eq!(polls.get(), 1 + WARM_UP + MEASURED);
}

#[test]
fn a_sleep_in_a_task_allocates_nothing() {
    let lp = TestLoop::new();
    let handle = lp.event_loop().handle();
    let woken = Rc::new(Cell::new(0));
    let counted = Rc::clone(&woken);
    lp.spawn(async move {
        loop {
            handle.sleep(ms(3)).await;
            counted.set(counted.get() + 1);
        }
    });
    allocates_nothing(|| {
        lp.advance(ms(3));
        lp.turn();
    });
    assert!(woken.get() >= MEASURED);
}

#[test]
fn a_wakeup_allocates_nothing() {
    let lp = TestLoop::new();
    let wakeup = Wakeup::new(&lp, |_| {});
    let sender = wakeup.sender();
    allocates_nothing(|| {
        sender.send().unwrap();
        lp.turn();
    });
}
