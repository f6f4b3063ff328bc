//! What does an order cost those who wait? The same load under each preset: messages behind a flood of ticks, timeouts
//! behind a flood of I/O, timeouts beside immediates that never end.
//!
//! Not CPU is counted but lateness, and of that the tail matters more than the mean. The criterion bench and `compare` show
//! the mean of each question; the program `schedules` shows the percentiles of all of them and draws them.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use phaseloop::{EventLoop, RunMode, Schedule};

use crate::question::{Contestant, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

mod connections;
mod immediates_and_timers;
mod io_under_ticks;
mod timers_under_io;

/// A contestant for each preset, with its load.
macro_rules! contestants {
    ($load:path) => {
        &[
            Contestant::ours("node26", |ops| sample($load, Schedule::node26(), ops)),
            Contestant::ours("node20", |ops| sample($load, Schedule::node20(), ops)),
            Contestant::ours("node12", |ops| sample($load, Schedule::node12(), ops)),
            Contestant::ours("node10", |ops| sample($load, Schedule::node10(), ops)),
            Contestant::ours("libuv-preset", |ops| sample($load, Schedule::libuv(), ops)),
            Contestant::ours("browser", |ops| sample($load, Schedule::browser(), ops)),
            Contestant::ours("textbook", |ops| sample($load, Schedule::textbook(), ops)),
        ]
    };
}

/// Mean lateness, by question.
pub const QUESTIONS: &[Question] = &[
    question("phase_io_under_ticks", "message read", 16_000, 64, contestants!(io_under_ticks::run)),
    question("phase_timers_under_io", "timeout", 8_000, 32, contestants!(timers_under_io::run)),
    question("phase_timers_under_immediates", "timeout", 8_000, 32, contestants!(immediates_and_timers::run)),
];

/// The loads in the order of the questions, each with what it asks.
pub const LOADS: &[(&str, Load)] = &[
    ("I/O latency under a nextTick flood", io_under_ticks::run),
    ("Timer lateness under an I/O flood", timers_under_io::run),
    ("Immediates against timers", immediates_and_timers::run),
];

/// The presets that are measured.
pub const PRESETS: [fn() -> Schedule; 7] = [
    Schedule::node26,
    Schedule::node20,
    Schedule::node12,
    Schedule::node10,
    Schedule::libuv,
    Schedule::browser,
    Schedule::textbook,
];

/// Puts so many operations on a loop with a schedule, checks that they were done, and says how late they were.
pub type Load = fn(Schedule, u64) -> Observed;

/// What a load saw. The first series is the question's answer.
pub struct Observed {
    /// What was late, and by how much each time.
    pub series: Vec<Series>,
    /// What was counted beside it, for one operation.
    pub ratio: Option<(&'static str, f64)>,
}

/// Lateness of one kind.
pub struct Series {
    /// What was late.
    pub name: &'static str,
    /// By how much, in no order.
    pub late: Vec<Duration>,
}

const fn question(
    name: &'static str,
    operation: &'static str,
    full: u64,
    brief: u64,
    contestants: &'static [Contestant],
) -> Question {
    Question { name, operation, unit: Unit::WallUs, full, brief, goals: &[], contestants }
}

/// The sum of the lateness as the sample's time on the wall, so that the figure of an operation is the mean.
fn sample(load: Load, schedule: Schedule, ops: u64) -> Sample {
    let watch = Stopwatch::start();
    let observed = load(schedule, ops);
    let answer = &observed.series[0];
    Sample { wall: answer.late.iter().sum(), ..watch.stop(answer.late.len() as u64) }
}

/// A log of lateness that callbacks share.
#[derive(Default)]
struct Log(RefCell<Vec<Duration>>);

impl Log {
    fn add(&self, late: Duration) {
        self.0.borrow_mut().push(late);
    }

    fn series(&self, name: &'static str) -> Series {
        Series { name, late: self.0.take() }
    }
}

/// How many operations are left to do.
struct Left(Cell<u64>);

impl Left {
    fn new(ops: u64) -> Self {
        Self(Cell::new(ops))
    }

    /// Counts one. True with the last, once.
    fn is_last(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left == 1
    }

    fn is_over(&self) -> bool {
        self.0.get() == 0
    }
}

/// Runs a load until it stops the loop.
fn run_to_stop(lp: &EventLoop) {
    let outcome = lp.run(RunMode::Default).expect("the driver waits");
    assert_eq!(outcome, phaseloop::Outcome::Stopped, "the load stops its loop");
}

fn new_loop(schedule: Schedule) -> EventLoop {
    EventLoop::builder().schedule(schedule).build().expect("phaseloop starts")
}

/// Keeps the processor busy, as a callback does that has something to compute.
fn work(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}
