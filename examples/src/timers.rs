//! Timers in their kinds, each with the times at which it really ran.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use phaseloop::{EventLoop, LoopHandle, MissedTicks, RunMode, Timer};

use crate::page::Page;

/// Shows all kinds, one after the other, each on a loop of its own.
///
/// # Errors
/// The system's, when a loop can not be made or run.
pub fn run(page: &Page) -> io::Result<()> {
    one_shot(page)?;
    missed_ticks(page)?;
    lists(page)?;
    refresh(page)?;
    unref(page)?;
    futures(page)
}

/// The loop's own timers count in nanoseconds and are never early. The driver waits in milliseconds, so they are late.
fn one_shot(page: &Page) -> io::Result<()> {
    page.headline("One-shot timers, in microseconds", true);
    let (lp, clock) = (EventLoop::new()?, Stopwatch::start());
    for micros in [2_700, 300, 1_500] {
        let page = page.clone();
        lp.timer(Duration::from_micros(micros), move |_| {
            page.line(format!("{}  asked for {micros} us", clock.stamp()));
        });
    }
    lp.run(RunMode::Default)?;
    Ok(())
}

/// A timer that repeats every 10 ms, and whose first callback blocks for 34 ms: what becomes of the ticks it missed?
fn missed_ticks(page: &Page) -> io::Result<()> {
    page.headline("Every 10 ms, when the first callback blocks for 34 ms", false);
    page.line(
        "           0    10   20   30   40   50   60   70   80 ms     (# blocked, digit: ticks in 2 ms)",
    );
    for policy in [MissedTicks::Delay, MissedTicks::Skip, MissedTicks::Burst] {
        let ticks = ticks_behind_a_block(policy)?;
        let name = format!("{policy:?}");
        page.line(format!("  {name:7}  {}", ruler(&ticks)));
    }
    page.line(
        "  Delay counts from the late tick, Skip keeps to multiples of 10, Burst makes up for all it missed.",
    );
    Ok(())
}

/// The times of its ticks in the first 80 ms, in milliseconds.
fn ticks_behind_a_block(policy: MissedTicks) -> io::Result<Vec<f64>> {
    let (lp, clock) = (EventLoop::new()?, Stopwatch::start());
    let ticks = Rc::new(RefCell::new(Vec::new()));
    let timer = Timer::new(&lp);
    timer.set_missed_ticks(policy);
    let period = Duration::from_millis(10);
    let started = timer.start_repeating(period, period, {
        let ticks = Rc::clone(&ticks);
        move |timer| {
            let mut ticks = ticks.borrow_mut();
            ticks.push(clock.millis());
            match ticks.len() {
                1 => block(34),
                _ if clock.millis() > 80.0 => timer.close(),
                _ => {}
            }
        }
    });
    started.expect("the timer is not closed");
    lp.run(RunMode::Default)?;
    Ok(ticks.take())
}

/// One character for 2 ms: how many ticks there were, or whether the callback blocked.
fn ruler(ticks: &[f64]) -> String {
    let cell = |millis: f64| (millis / 2.0) as usize;
    let mut cells = vec!['.'; 44];
    cells[cell(10.0)..cell(46.0)].fill('#');
    for (index, cell_of_tick) in ticks.iter().map(|millis| cell(*millis)).enumerate() {
        let count = ticks[..=index].iter().filter(|other| cell(**other) == cell_of_tick).count();
        if let Some(cell) = cells.get_mut(cell_of_tick) {
            *cell = char::from_digit(count as u32, 10).unwrap_or('+');
        }
    }
    cells.into_iter().collect()
}

/// Node keeps a list for each duration, and a list whose turn has come runs all its due timers: C goes before B.
fn lists(page: &Page) -> io::Result<()> {
    page.headline("set_timeout, Node's way: A and C of 10 ms, B of 11 ms, and a loop that is late", false);
    let (lp, clock) = (EventLoop::new()?, Stopwatch::start());
    let logs = |name: &'static str| logs(page, clock, name);
    lp.set_timeout(Duration::from_millis(10), logs("A, due at 10"));
    lp.set_timeout(Duration::from_millis(11), logs("B, due at 11"));
    block(4);
    lp.set_timeout(Duration::from_millis(10), logs("C, due at 14: it was on A's list, which went first"));
    block(16);
    lp.run(RunMode::Default)?;

    page.headline("The same with lp.timer, libuv's way: by due time alone", false);
    let (lp, clock) = (EventLoop::new()?, Stopwatch::start());
    let logs = |name: &'static str| self::logs(page, clock, name);
    lp.timer(Duration::from_millis(10), logs("A, due at 10"));
    lp.timer(Duration::from_millis(11), logs("B, due at 11"));
    block(4);
    lp.update_now(); // these timers count from the loop's time, which is read once a turn
    lp.timer(Duration::from_millis(10), logs("C, due at 14"));
    block(16);
    lp.run(RunMode::Default)?;
    Ok(())
}

/// An idle timeout: each message refreshes it, and when there is none for 20 ms it fires.
fn refresh(page: &Page) -> io::Result<()> {
    page.headline("An idle timeout of 20 ms, refreshed three times", false);
    let (lp, clock) = (EventLoop::new()?, Stopwatch::start());
    let idle = lp.set_refreshable_timeout(Duration::from_millis(20), {
        let page = page.clone();
        move |_| page.line(format!("{}  idle for 20 ms", clock.stamp()))
    });
    for at in [8, 16, 24] {
        let page = page.clone();
        lp.set_timeout(Duration::from_millis(at), move |lp| {
            page.line(format!("{}  a message, refresh", clock.stamp()));
            lp.refresh_timeout(idle);
        });
    }
    lp.run(RunMode::Default)?; // ends although the timeout is still there: it is not armed any more
    lp.clear_timeout(idle);
    Ok(())
}

/// A heartbeat that does not keep the loop alive: `run` ends with the work.
fn unref(page: &Page) -> io::Result<()> {
    page.headline("An unreferenced heartbeat every 10 ms, and 25 ms of work", false);
    let (lp, clock) = (EventLoop::new()?, Stopwatch::start());
    let heartbeat = lp.set_interval(Duration::from_millis(10), {
        let page = page.clone();
        move |_| page.line(format!("{}  heartbeat", clock.stamp()))
    });
    lp.unref_timeout(heartbeat);
    lp.set_timeout(Duration::from_millis(25), logs(page, clock, "the work is done, the loop ends"));
    lp.run(RunMode::Default)?;
    Ok(())
}

/// The same for tasks: sleep, a limit for another future, an interval.
fn futures(page: &Page) -> io::Result<()> {
    page.headline("Futures: sleep, timeout, interval", false);
    let (lp, clock) = (EventLoop::new()?, Stopwatch::start());
    lp.block_on(async {
        lp.sleep(Duration::from_millis(5)).await;
        page.line(format!("{}  slept 5 ms", clock.stamp()));

        let long = lp.sleep(Duration::from_secs(60));
        match lp.timeout(Duration::from_millis(5), long).await {
            Ok(()) => page.line("that was a long night"),
            Err(elapsed) => page.line(format!("{}  {elapsed}", clock.stamp())),
        }

        let mut interval = lp.interval(Duration::from_millis(5));
        for tick in 1..=3 {
            interval.tick().await;
            page.line(format!("{}  tick {tick}", clock.stamp()));
        }
    })
}

/// A callback that writes one line with the time.
fn logs(page: &Page, clock: Stopwatch, text: &'static str) -> impl FnOnce(&LoopHandle) + 'static {
    let page = page.clone();
    move |_| page.line(format!("{}  {text}", clock.stamp()))
}

/// Keeps the thread busy.
fn block(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

/// The time since something began.
#[derive(Clone, Copy)]
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn millis(self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e3
    }

    fn stamp(self) -> String {
        format!("  {:6.2} ms", self.millis())
    }
}
