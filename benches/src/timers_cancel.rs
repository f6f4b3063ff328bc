//! What does it cost to cancel a timer and insert another?
//!
//! 10,000 slots hold a timer each. An operation cancels a slot's timer and inserts one that is due in 5 to 6 s. The
//! clock is read every 100 operations, as a loop reads it once a turn. Nothing fires.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::numbers::{Numbers, delays};
use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const SLOTS: u64 = 10_000;
const OPS_A_CLOCK: usize = 100;
const LOW_MS: u64 = 5000;
const HIGH_MS: u64 = 6000;

/// One timer cancelled and one inserted.
pub const QUESTIONS: &[Question] = &[Question {
    name: "timers_cancel",
    operation: "cancel and insert",
    unit: Unit::CpuNs,
    full: 3_000_000,
    brief: 1_000,
    goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.25) }],
    contestants: &[
        Contestant::floor("floor", floor),
        Contestant::ours("phaseloop", phaseloop),
        Contestant::ours("phaseloop-lists", phaseloop_lists),
        Contestant::peer("tokio-sleep", tokio_sleep),
        Contestant::peer("tokio-delay-queue", tokio_delay_queue),
        #[cfg(feature = "libuv")]
        Contestant::peer("libuv", libuv),
        Contestant::peer("smol", smol),
        Contestant::peer("compio", compio),
        Contestant::peer("monoio", monoio),
        Contestant::peer("node", |ops| peers::node::run("timers_cancel.js", ops)),
    ],
}];

/// One operation: which slot, and when its new timer is due.
struct Op {
    slot: usize,
    delay: Duration,
}

/// The same operations for everyone, in a block that is gone through again and again.
fn operations() -> Vec<Op> {
    let mut numbers = Numbers::new();
    (0..50_000)
        .map(|_| Op {
            slot: numbers.between(0, SLOTS - 1) as usize,
            delay: Duration::from_millis(numbers.between(LOW_MS, HIGH_MS)),
        })
        .collect()
}

/// Goes through `ops` operations: `clock` reads the time, `replace` does one. Returns the sample.
fn measure<N>(ops: u64, mut clock: impl FnMut() -> N, mut replace: impl FnMut(&N, &Op)) -> Sample {
    let operations = operations();
    let watch = Stopwatch::start();
    let mut done = 0;
    for turn in operations.chunks(OPS_A_CLOCK).cycle() {
        let now = clock();
        for op in turn {
            replace(&now, op);
        }
        done += turn.len() as u64;
        if done >= ops {
            break;
        }
    }
    watch.stop(done)
}

/// A wheel of one slot a millisecond.
fn floor(ops: u64) -> Sample {
    let mut wheel = peers::floor::Wheel::new(SLOTS as usize, 8192);
    let begin = Instant::now();
    for index in 0..SLOTS as usize {
        wheel.insert(index, LOW_MS);
    }
    measure(
        ops,
        || begin.elapsed().as_millis() as u64,
        |now_ms, op| {
            wheel.remove(op.slot);
            wheel.insert(op.slot, now_ms + op.delay.as_millis() as u64);
        },
    )
}

/// The loop's own timers.
fn phaseloop(ops: u64) -> Sample {
    let lp = peers::phaseloop::new_loop();
    let fired = Rc::new(Cell::new(0));
    let insert = |delay| {
        let fired = fired.clone();
        lp.timer(delay, move |_| fired.set(fired.get() + 1))
    };
    let mut slots: Vec<_> = delays(SLOTS, LOW_MS, HIGH_MS).into_iter().map(insert).collect();
    let sample = measure(
        ops,
        || lp.update_now(),
        |_, op| {
            assert!(lp.stop_timer(slots[op.slot]));
            slots[op.slot] = insert(op.delay);
        },
    );
    assert!(slots.into_iter().all(|timer| lp.stop_timer(timer)));
    assert_eq!(fired.get(), 0);
    sample
}

/// Timers by Node's rules: each insert reads the clock.
fn phaseloop_lists(ops: u64) -> Sample {
    let lp = peers::phaseloop::new_loop();
    let fired = Rc::new(Cell::new(0));
    let insert = |delay| {
        let fired = fired.clone();
        lp.set_timeout(delay, move |_| fired.set(fired.get() + 1))
    };
    let mut slots: Vec<_> = delays(SLOTS, LOW_MS, HIGH_MS).into_iter().map(insert).collect();
    let sample = measure(
        ops,
        || (),
        |(), op| {
            assert!(lp.clear_timeout(slots[op.slot]));
            slots[op.slot] = insert(op.delay);
        },
    );
    assert!(slots.into_iter().all(|timer| lp.clear_timeout(timer)));
    assert_eq!(fired.get(), 0);
    sample
}

/// Futures: the old one is dropped, the new one polled once, which inserts it.
fn replace_futures<T: Future, N>(
    ops: u64,
    cx: &mut Context<'_>,
    clock: impl Fn() -> N,
    timer: impl Fn(&N, Duration) -> T,
) -> Sample {
    let now = clock();
    let mut slots: Vec<Pin<Box<T>>> =
        delays(SLOTS, LOW_MS, HIGH_MS).into_iter().map(|delay| Box::pin(timer(&now, delay))).collect();
    for slot in &mut slots {
        assert!(slot.as_mut().poll(cx).is_pending());
    }
    let sample = measure(ops, &clock, |now, op| {
        slots[op.slot].set(timer(now, op.delay)); // in place: no allocation of ours
        assert!(slots[op.slot].as_mut().poll(cx).is_pending());
    });
    for slot in &mut slots {
        assert!(slot.as_mut().poll(cx).is_pending(), "a timer fired");
    }
    sample
}

fn tokio_sleep(ops: u64) -> Sample {
    peers::tokio::current_thread().block_on(std::future::poll_fn(|cx| {
        // As much as one poll may do before tokio would have it wait for the next turn is no limit here.
        let clock = tokio::time::Instant::now;
        let sample = replace_futures(ops, cx, clock, |now, delay| {
            tokio::task::coop::unconstrained(tokio::time::sleep_until(*now + delay))
        });
        std::task::Poll::Ready(sample)
    }))
}

fn tokio_delay_queue(ops: u64) -> Sample {
    peers::tokio::current_thread().block_on(async {
        let now = tokio::time::Instant::now();
        let mut queue = tokio_util::time::DelayQueue::with_capacity(SLOTS as usize);
        let mut keys: Vec<_> = delays(SLOTS, LOW_MS, HIGH_MS)
            .into_iter()
            .map(|delay| queue.insert_at((), now + delay))
            .collect();
        let sample = measure(ops, tokio::time::Instant::now, |now, op| {
            queue.remove(&keys[op.slot]);
            keys[op.slot] = queue.insert_at((), *now + op.delay);
        });
        assert_eq!(queue.len() as u64, SLOTS);
        sample
    })
}

fn smol(ops: u64) -> Sample {
    async_io::block_on(std::future::poll_fn(|cx| {
        let sample = replace_futures(ops, cx, Instant::now, |now, delay| async_io::Timer::at(*now + delay));
        std::task::Poll::Ready(sample)
    }))
}

fn compio(ops: u64) -> Sample {
    peers::compio::block_on(std::future::poll_fn(|cx| {
        let sample =
            replace_futures(ops, cx, Instant::now, |now, delay| compio::time::sleep_until(*now + delay));
        std::task::Poll::Ready(sample)
    }))
}

fn monoio(ops: u64) -> Sample {
    peers::monoio::block_on(std::future::poll_fn(|cx| {
        let clock = monoio::time::Instant::now;
        let sample = replace_futures(ops, cx, clock, |now, delay| monoio::time::sleep_until(*now + delay));
        std::task::Poll::Ready(sample)
    }))
}

#[cfg(feature = "libuv")]
fn libuv(ops: u64) -> Sample {
    let lp = peers::libuv::Loop::new();
    let timers = peers::libuv::Timers::new(&lp, SLOTS as usize);
    lp.update_time();
    for (index, delay) in delays(SLOTS, LOW_MS, HIGH_MS).into_iter().enumerate() {
        timers.start(index, delay.as_millis() as u64);
    }
    let sample = measure(
        ops,
        || lp.update_time(),
        |(), op| {
            timers.stop(op.slot);
            timers.start(op.slot, op.delay.as_millis() as u64);
        },
    );
    assert!((0..SLOTS as usize).all(|index| timers.is_active(index)));
    assert_eq!(timers.fired(), 0);
    sample
}
