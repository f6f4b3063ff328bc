//! A loop for tests: virtual time, no operating system, a log, and a seed that chooses among legal orders.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use crate::driver::scripted::{Script, Scripted};
use crate::driver::{Driver, Readiness, Token};
use crate::event_loop::EventLoop;
use crate::schedule::Schedule;
use crate::state::LoopHandle;
use crate::state::handles::HandleKind;
use crate::state::mode::{Outcome, RunMode};
use crate::state::sources::Ready;

/// A run of a test ends after this many turns: a loop that would go on for ever fails instead of hanging.
const TURNS_MAX: usize = 100_000;

/// A loop in virtual time whose sources are scripted, with a log.
///
/// Cheap to clone; clones are the same loop. It dereferences to [`LoopHandle`].
///
/// Time stands still but for [`advance`](Self::advance), or, in [`run`](Self::run), for what the loop would wait for.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use phaseloop::TestLoop;
///
/// fn ms(ms: u64) -> Duration {
///     Duration::from_millis(ms)
/// }
///
/// let lp = TestLoop::new();
/// lp.timer(ms(5), |lp| {
///     lp.log("first");
///     lp.timer(ms(0), |lp| lp.log("second"));
/// });
/// lp.advance(ms(5));
/// assert_eq!(lp.turn_log(), ["first"]); // started during the phase: next turn
/// assert_eq!(lp.turn_log(), ["second"]);
/// ```
#[derive(Clone)]
pub struct TestLoop {
    inner: Rc<Inner>,
}

struct Inner {
    event_loop: EventLoop,
    handle: LoopHandle,
    script: Script,
    log: RefCell<Vec<String>>,
    random: Cell<u64>,
}

impl TestLoop {
    /// Makes a test loop with the default schedule.
    pub fn new() -> Self {
        Self::with_schedule(Schedule::default())
    }

    /// Makes a test loop with a schedule.
    pub fn with_schedule(schedule: Schedule) -> Self {
        let script = Script::default();
        let driver = Driver::Scripted(Scripted::new(script.clone()));
        let builder = EventLoop::builder().schedule(schedule).virtual_time(true);
        let event_loop = builder.prepare_with(driver).into_loop();
        let inner = Inner {
            handle: event_loop.handle(),
            event_loop,
            script,
            log: RefCell::default(),
            random: Cell::new(0),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Has `seed` choose the order wherever more than one is legal: among sources that became ready in one poll phase.
    /// Without a seed it is the order in which the test made them ready.
    pub fn seed(&self, seed: u64) {
        self.inner.random.set(seed | 1);
    }

    /// Adds a line to the log.
    pub fn log(&self, line: impl Into<String>) {
        self.inner.log.borrow_mut().push(line.into());
    }

    /// Takes the log.
    pub fn take_log(&self) -> Vec<String> {
        self.inner.log.take()
    }

    /// As [`LoopHandle::timer`], with the test loop for the callback.
    pub fn timer(&self, delay: Duration, f: impl FnOnce(&Self) + 'static) {
        let lp = self.weak();
        self.inner.handle.timer(delay, move |_| f(&lp()));
    }

    /// As [`LoopHandle::next_tick`], with the test loop for the callback.
    pub fn tick(&self, f: impl FnOnce(&Self) + 'static) {
        let lp = self.weak();
        self.inner.handle.next_tick(move |_| f(&lp()));
    }

    /// As [`LoopHandle::queue_microtask`], with the test loop for the callback.
    pub fn microtask(&self, f: impl FnOnce(&Self) + 'static) {
        let lp = self.weak();
        self.inner.handle.queue_microtask(move |_| f(&lp()));
    }

    /// As [`LoopHandle::set_immediate`], with the test loop for the callback.
    pub fn immediate(&self, f: impl FnOnce(&Self) + 'static) {
        let lp = self.weak();
        self.inner.handle.set_immediate(move |_| f(&lp()));
    }

    /// Opens a source that becomes ready when the test says so.
    pub fn source(&self, on_ready: impl FnMut(&Self) + 'static) -> ScriptedSource {
        let site = std::panic::Location::caller();
        let opened = self.inner.handle.open_source(-1, Readiness::READABLE, HandleKind::Scripted, site);
        let token = opened.expect("a scripted driver refuses nothing");
        let target = Rc::new(Target { lp: self.weak_boxed(), on_ready: RefCell::new(Box::new(on_ready)) });
        self.inner.handle.state.sources.set_target(token, Some(target));
        ScriptedSource { lp: self.clone(), token }
    }

    /// Lets time pass. Nothing runs.
    pub fn advance(&self, time: Duration) {
        self.inner.handle.advance_clock(time).expect("a test loop is in virtual time");
    }

    /// Runs one turn, which does not wait. What was queued before runs first.
    ///
    /// # Panics
    /// If a callback does and there is no uncaught hook.
    pub fn turn(&self) -> Outcome {
        self.shuffle();
        self.inner.event_loop.run(RunMode::NoWait).expect("a scripted driver does not fail")
    }

    /// Runs one turn and takes the log.
    ///
    /// # Panics
    /// As [`turn`](Self::turn).
    pub fn turn_log(&self) -> Vec<String> {
        self.turn();
        self.take_log()
    }

    /// Runs turns until the loop is no longer alive; waiting for a timer passes at once. Takes the log.
    ///
    /// # Panics
    /// If the loop would wait for ever or is still alive after 100,000 turns, with the log. As `turn`.
    pub fn run(&self) -> Vec<String> {
        for _ in 0..TURNS_MAX {
            if self.is_alive() && self.backend_timeout().is_none() && self.inner.script.is_empty() {
                panic!("the loop waits for ever; held by {:?}; log {:?}", self.why_alive(), self.take_log());
            }
            self.shuffle();
            let outcome = self.inner.event_loop.run(RunMode::Once).expect("a scripted driver does not fail");
            if outcome != Outcome::Alive {
                return self.take_log();
            }
        }
        panic!("the loop is alive after {TURNS_MAX} turns; log {:?}", self.take_log());
    }

    /// The loop underneath, for what only it offers.
    pub fn event_loop(&self) -> &EventLoop {
        &self.inner.event_loop
    }

    /// Puts the scripted events in the order that the seed chooses.
    fn shuffle(&self) {
        if self.inner.random.get() != 0 {
            self.inner.script.shuffle(|end| self.below(end));
        }
    }

    fn below(&self, end: usize) -> usize {
        let mut random = self.inner.random.get();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.inner.random.set(random);
        (random % end as u64) as usize
    }

    /// The way back for callbacks, which must not own the loop that owns them.
    fn weak(&self) -> impl Fn() -> Self + 'static {
        let weak = Rc::downgrade(&self.inner);
        move || Self { inner: weak.upgrade().expect("callbacks run only while the loop is there") }
    }

    fn weak_boxed(&self) -> Box<dyn Fn() -> Self> {
        Box::new(self.weak())
    }
}

impl Default for TestLoop {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for TestLoop {
    type Target = LoopHandle;

    fn deref(&self) -> &LoopHandle {
        &self.inner.handle
    }
}

impl std::fmt::Debug for TestLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestLoop").field("log", &self.inner.log.borrow()).finish_non_exhaustive()
    }
}

/// A source of a [`TestLoop`].
#[derive(Debug)]
pub struct ScriptedSource {
    lp: TestLoop,
    token: Token,
}

impl ScriptedSource {
    /// Has the next poll phase find the source ready.
    pub fn make_ready(&self) {
        self.lp.inner.script.push(self.token, Readiness::READABLE);
    }

    /// Forgets the source. Readiness that was scripted before is not delivered.
    pub fn close(&self) {
        self.lp.inner.handle.close_source(self.token);
    }
}

struct Target {
    lp: Box<dyn Fn() -> TestLoop>,
    on_ready: RefCell<OnReady>,
}

type OnReady = Box<dyn FnMut(&TestLoop)>;

impl Ready for Target {
    fn ready(self: Rc<Self>, lp: &LoopHandle, _readiness: Readiness) {
        let test_loop = (self.lp)();
        lp.call(|_| (self.on_ready.borrow_mut())(&test_loop));
    }

    fn forget(&self) {
        let on_ready = self.on_ready.replace(Box::new(|_| {}));
        drop(on_ready); // while nothing is borrowed: it may own anything
    }
}
