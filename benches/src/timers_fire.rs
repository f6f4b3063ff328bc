//! What does a one-shot timer cost, from insert to its callback, when a million are due within a second?
//!
//! The delays are the same for all, from 1 to 1000 ms at random. The loop sleeps in between: CPU time is counted.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::numbers::{delays, delays_ms};
use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const LOW_MS: u64 = 1;
const HIGH_MS: u64 = 1000;

/// One timer, inserted and fired.
pub const QUESTIONS: &[Question] = &[Question {
    name: "timers_fire",
    operation: "timer",
    unit: Unit::CpuNs,
    full: 1_000_000,
    brief: 1_000,
    goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.4) }],
    contestants: &[
        Contestant::floor("floor", floor),
        Contestant::ours("phaseloop", phaseloop),
        Contestant::ours("phaseloop-lists", phaseloop_lists),
        Contestant::ours("phaseloop-sleep", phaseloop_sleep),
        Contestant::peer("tokio-delay-queue", tokio_delay_queue),
        Contestant::peer("tokio-sleep", tokio_sleep),
        #[cfg(feature = "libuv")]
        Contestant::peer("libuv", libuv),
        Contestant::peer("smol", smol),
        Contestant::peer("compio", compio),
        Contestant::peer("monoio", monoio),
        Contestant::peer("node", |ops| peers::node::run("timers_fire.js", ops)),
    ],
}];

/// The check that all share: none fired early, so the run lasted until the last was due.
fn checked(watch: Stopwatch, timers: u64, fired: u64, longest: Duration) -> Sample {
    let sample = watch.stop(timers);
    assert_eq!(fired, timers);
    assert!(sample.wall >= longest, "{:?} were over before {longest:?}", sample.wall);
    sample
}

/// A wheel of one slot a millisecond, each a list through a slab, and a sleep until the next slot in use.
fn floor(timers: u64) -> Sample {
    let delays = delays_ms(timers, LOW_MS, HIGH_MS);
    let longest = delays.iter().copied().max().unwrap_or(0);
    let mut fired = 0u64;
    let watch = Stopwatch::start();
    let begin = Instant::now();
    let mut wheel = peers::floor::Wheel::new(timers as usize, 1024);
    for (index, &delay_ms) in delays.iter().enumerate() {
        wheel.insert(index, delay_ms);
    }
    for now_ms in 0..=longest {
        if wheel.is_empty_at(now_ms) {
            continue;
        }
        let due = begin + Duration::from_millis(now_ms);
        let now = Instant::now();
        if due > now {
            std::thread::sleep(due - now);
        }
        wheel.drain(now_ms, |_| fired += 1);
    }
    checked(watch, timers, fired, Duration::from_millis(longest))
}

/// The loop's own timers.
fn phaseloop(timers: u64) -> Sample {
    let delays = delays(timers, LOW_MS, HIGH_MS);
    let longest = delays.iter().copied().max().unwrap_or_default();
    let lp = peers::phaseloop::new_loop();
    let fired = Rc::new(Cell::new(0));
    let watch = Stopwatch::start();
    lp.update_now();
    for &delay in &delays {
        let fired = fired.clone();
        lp.timer(delay, move |_| fired.set(fired.get() + 1));
    }
    peers::phaseloop::run(&lp);
    checked(watch, timers, fired.get(), longest)
}

/// Timers by Node's rules.
fn phaseloop_lists(timers: u64) -> Sample {
    let delays = delays(timers, LOW_MS, HIGH_MS);
    let longest = delays.iter().copied().max().unwrap_or_default();
    let lp = peers::phaseloop::new_loop();
    let fired = Rc::new(Cell::new(0));
    let watch = Stopwatch::start();
    for &delay in &delays {
        let fired = fired.clone();
        lp.set_timeout(delay, move |_| fired.set(fired.get() + 1));
    }
    peers::phaseloop::run(&lp);
    checked(watch, timers, fired.get(), longest.saturating_sub(Duration::from_millis(1))) // their clock is cut to ms
}

fn phaseloop_sleep(timers: u64) -> Sample {
    peers::phaseloop::block_on(async |lp| {
        let spawn = |begin: &Instant, delay| lp.spawn(lp.sleep_until(*begin + delay));
        join_all(delays(timers, LOW_MS, HIGH_MS), Instant::now, spawn).await
    })
}

fn tokio_delay_queue(timers: u64) -> Sample {
    let delays = delays(timers, LOW_MS, HIGH_MS);
    let longest = delays.iter().copied().max().unwrap_or_default();
    peers::tokio::current_thread().block_on(async move {
        let mut fired = 0;
        let watch = Stopwatch::start();
        let begin = tokio::time::Instant::now();
        let mut queue = tokio_util::time::DelayQueue::with_capacity(delays.len());
        for (number, &delay) in delays.iter().enumerate() {
            queue.insert_at(number, begin + delay);
        }
        while queue.next().await.is_some() {
            fired += 1;
        }
        checked(watch, timers, fired, longest)
    })
}

fn tokio_sleep(timers: u64) -> Sample {
    use tokio::time::{Instant, sleep_until};
    let spawn = |begin: &Instant, delay| tokio::spawn(sleep_until(*begin + delay));
    let root = join_all(delays(timers, LOW_MS, HIGH_MS), Instant::now, spawn);
    peers::tokio::current_thread().block_on(tokio::task::coop::unconstrained(root))
}

fn smol(timers: u64) -> Sample {
    let timer = |begin: &Instant, delay| async_io::Timer::at(*begin + delay);
    async_io::block_on(wait_for_all(delays(timers, LOW_MS, HIGH_MS), Instant::now, timer))
}

fn compio(timers: u64) -> Sample {
    let timer = |begin: &Instant, delay| compio::time::sleep_until(*begin + delay);
    peers::compio::block_on(wait_for_all(delays(timers, LOW_MS, HIGH_MS), Instant::now, timer))
}

fn monoio(timers: u64) -> Sample {
    use monoio::time::{Instant, sleep_until};
    let spawn = |begin: &Instant, delay| monoio::spawn(sleep_until(*begin + delay));
    peers::monoio::block_on(join_all(delays(timers, LOW_MS, HIGH_MS), Instant::now, spawn))
}

/// Spawns a task a delay and joins them all. For tokio and monoio this is the cheaper way: all timers in one task come
/// against tokio's budget of a poll.
async fn join_all<J: Future, N>(
    delays: Vec<Duration>,
    clock: impl Fn() -> N,
    spawn: impl Fn(&N, Duration) -> J,
) -> Sample {
    let longest = delays.iter().copied().max().unwrap_or_default();
    let mut fired = 0;
    let watch = Stopwatch::start();
    let begin = clock();
    let handles: Vec<J> = delays.iter().map(|&delay| spawn(&begin, delay)).collect();
    for handle in handles {
        handle.await;
        fired += 1;
    }
    checked(watch, delays.len() as u64, fired, longest)
}

/// Waits for a timer a delay, all in one task.
async fn wait_for_all<T: Future, N>(
    delays: Vec<Duration>,
    clock: impl Fn() -> N,
    timer: impl Fn(&N, Duration) -> T,
) -> Sample {
    let longest = delays.iter().copied().max().unwrap_or_default();
    let mut fired = 0;
    let watch = Stopwatch::start();
    let begin = clock();
    let mut timers: FuturesUnordered<T> = delays.iter().map(|&delay| timer(&begin, delay)).collect();
    while timers.next().await.is_some() {
        fired += 1;
    }
    checked(watch, delays.len() as u64, fired, longest)
}

#[cfg(feature = "libuv")]
fn libuv(timers: u64) -> Sample {
    let delays = delays_ms(timers, LOW_MS, HIGH_MS);
    let longest = delays.iter().copied().max().unwrap_or(0);
    let lp = peers::libuv::Loop::new();
    lp.update_time();
    let watch = Stopwatch::start();
    let block = peers::libuv::Timers::new(&lp, delays.len());
    for (index, &delay_ms) in delays.iter().enumerate() {
        block.start(index, delay_ms);
    }
    lp.run();
    checked(watch, timers, block.fired(), Duration::from_millis(longest.saturating_sub(1))) // its clock is cut to ms
}
