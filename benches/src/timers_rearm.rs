//! What does it cost to push a timer further away, as a server does with its idle timeouts on every message?
//!
//! 10,000 timers; an operation pushes one to five seconds from now. The clock is read every 100 operations. Nothing
//! fires.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::numbers::Numbers;
use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const TIMERS: u64 = 10_000;
const OPS_A_CLOCK: usize = 100;
const DELAY: Duration = Duration::from_secs(5);

/// One timer pushed away.
pub const QUESTIONS: &[Question] = &[Question {
    name: "timers_rearm",
    operation: "re-arm",
    unit: Unit::CpuNs,
    full: 10_000_000,
    brief: 1_000,
    goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.35) }],
    contestants: &[
        Contestant::floor("floor-lazy", floor_lazy),
        Contestant::floor("floor-wheel", floor_wheel),
        Contestant::ours("phaseloop", phaseloop),
        Contestant::ours("phaseloop-lists", phaseloop_lists),
        Contestant::peer("tokio-sleep", tokio_sleep),
        Contestant::peer("tokio-delay-queue", tokio_delay_queue),
        #[cfg(feature = "libuv")]
        Contestant::peer("libuv", libuv),
        Contestant::peer("smol", smol),
        Contestant::peer("monoio", monoio),
        Contestant::peer("node", |ops| peers::node::run("timers_rearm.js", ops)),
    ],
}];

/// Goes through `ops` operations: `clock` reads the time, `push` pushes one timer.
fn measure<N>(ops: u64, mut clock: impl FnMut() -> N, mut push: impl FnMut(&N, usize)) -> Sample {
    let order = order();
    let watch = Stopwatch::start();
    let mut done = 0;
    for turn in order.chunks(OPS_A_CLOCK).cycle() {
        let now = clock();
        for &index in turn {
            push(&now, index);
        }
        done += turn.len() as u64;
        if done >= ops {
            break;
        }
    }
    watch.stop(done)
}

/// Every timer five times, shuffled: one that was left out would fire in a run that lasts as long as the delay.
fn order() -> Vec<usize> {
    let mut numbers = Numbers::new();
    let mut order: Vec<usize> = (0..5).flat_map(|_| 0..TIMERS as usize).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, numbers.between(0, last as u64) as usize);
    }
    order
}

/// Only the later deadline is stored; the timer would be filed again when it expires.
fn floor_lazy(ops: u64) -> Sample {
    let begin = Instant::now();
    let mut deadlines_ms = vec![0u64; TIMERS as usize];
    let sample = measure(
        ops,
        || begin.elapsed().as_millis() as u64,
        |now_ms, index| std::hint::black_box(&mut deadlines_ms)[index] = now_ms + DELAY.as_millis() as u64,
    );
    assert!(deadlines_ms.iter().any(|&deadline_ms| deadline_ms > 0));
    sample
}

/// A wheel of one slot a millisecond, in which the timer is filed anew.
fn floor_wheel(ops: u64) -> Sample {
    let begin = Instant::now();
    let mut wheel = peers::floor::Wheel::new(TIMERS as usize, 8192);
    for index in 0..TIMERS as usize {
        wheel.insert(index, DELAY.as_millis() as u64);
    }
    measure(
        ops,
        || begin.elapsed().as_millis() as u64,
        |now_ms, index| {
            wheel.remove(index);
            wheel.insert(index, now_ms + DELAY.as_millis() as u64);
        },
    )
}

/// The loop's own timers.
fn phaseloop(ops: u64) -> Sample {
    let lp = peers::phaseloop::new_loop();
    let timers: Vec<_> = (0..TIMERS).map(|_| lp.timer(DELAY, |_| unreachable!("a timer fired"))).collect();
    let sample = measure(ops, || lp.update_now(), |_, index| assert!(lp.restart_timer(timers[index], DELAY)));
    assert!(timers.into_iter().all(|timer| lp.stop_timer(timer)));
    sample
}

/// Timers by Node's rules: each re-arm reads the clock.
fn phaseloop_lists(ops: u64) -> Sample {
    let lp = peers::phaseloop::new_loop();
    let timers: Vec<_> =
        (0..TIMERS).map(|_| lp.set_timeout(DELAY, |_| unreachable!("a timer fired"))).collect();
    let sample = measure(ops, || (), |(), index| assert!(lp.refresh_timeout(timers[index])));
    assert!(timers.into_iter().all(|timer| lp.clear_timeout(timer)));
    sample
}

/// Futures that can be reset: each is polled once first, which inserts it, and looked at again at the end.
fn push_futures<T: Future, N>(
    ops: u64,
    cx: &mut Context<'_>,
    clock: impl Fn() -> N,
    timer: impl Fn(&N) -> T,
    push: impl Fn(Pin<&mut T>, &N),
) -> Sample {
    let now = clock();
    let mut timers: Vec<Pin<Box<T>>> = (0..TIMERS).map(|_| Box::pin(timer(&now))).collect();
    for timer in &mut timers {
        assert!(timer.as_mut().poll(cx).is_pending());
    }
    let sample = measure(ops, &clock, |now, index| push(timers[index].as_mut(), now));
    for timer in &mut timers {
        assert!(timer.as_mut().poll(cx).is_pending(), "a timer fired");
    }
    sample
}

fn tokio_sleep(ops: u64) -> Sample {
    use tokio::task::coop::unconstrained;
    use tokio::time::{Instant, sleep_until};
    let root = std::future::poll_fn(|cx| {
        let push = |timer: Pin<&mut tokio::time::Sleep>, now: &Instant| timer.reset(*now + DELAY);
        Poll::Ready(push_futures(ops, cx, Instant::now, |now| sleep_until(*now + DELAY), push))
    });
    peers::tokio::current_thread().block_on(unconstrained(root))
}

fn tokio_delay_queue(ops: u64) -> Sample {
    use tokio::time::Instant;
    peers::tokio::current_thread().block_on(async {
        let now = Instant::now();
        let mut queue = tokio_util::time::DelayQueue::with_capacity(TIMERS as usize);
        let keys: Vec<_> = (0..TIMERS).map(|_| queue.insert_at((), now + DELAY)).collect();
        let sample = measure(ops, Instant::now, |now, index| queue.reset_at(&keys[index], *now + DELAY));
        assert_eq!(queue.len() as u64, TIMERS);
        sample
    })
}

fn smol(ops: u64) -> Sample {
    async_io::block_on(std::future::poll_fn(|cx| {
        let push = |timer: Pin<&mut async_io::Timer>, now: &Instant| timer.get_mut().set_at(*now + DELAY);
        Poll::Ready(push_futures(ops, cx, Instant::now, |now| async_io::Timer::at(*now + DELAY), push))
    }))
}

fn monoio(ops: u64) -> Sample {
    use monoio::time::{Instant, Sleep, sleep_until};
    peers::monoio::block_on(std::future::poll_fn(|cx| {
        let push = |timer: Pin<&mut Sleep>, now: &Instant| timer.reset(*now + DELAY);
        Poll::Ready(push_futures(ops, cx, Instant::now, |now| sleep_until(*now + DELAY), push))
    }))
}

#[cfg(feature = "libuv")]
fn libuv(ops: u64) -> Sample {
    let lp = peers::libuv::Loop::new();
    let timers = peers::libuv::Timers::new(&lp, TIMERS as usize);
    lp.update_time();
    let delay_ms = DELAY.as_millis() as u64;
    for index in 0..TIMERS as usize {
        timers.start(index, delay_ms);
    }
    let sample = measure(ops, || lp.update_time(), |(), index| timers.start(index, delay_ms));
    assert!((0..TIMERS as usize).all(|index| timers.is_active(index)));
    assert_eq!(timers.fired(), 0);
    sample
}
