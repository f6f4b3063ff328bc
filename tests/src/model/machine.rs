//! The process: main body, loop, beforeExit, exit; and the order of the phases.

use super::Run;
use super::check::Immediates;
use super::emitter::{Emitter, Listener};
use super::noise::Noise;
use super::poll::Io;
use super::promise::{Job, PromiseId, Promises};
use super::rules::Rules;
use super::tasks::Page;
use super::timer_lists::{TimerId, Timers};
use crate::scenario::{Body, Callback, Label, Op};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// The state of a process that runs a program.
pub(super) struct Machine<'n> {
    pub(super) rules: Rules,
    pub(super) noise: &'n mut dyn Noise,
    pub(super) trace: Vec<String>,
    /// The time, in milliseconds since the start.
    pub(super) clock: f64,
    /// The time when the loop last looked.
    pub(super) cached: f64,
    pub(super) ticks: VecDeque<Tick>,
    pub(super) microtasks: VecDeque<Job>,
    pub(super) promises: Promises,
    pub(super) timers: Timers,
    pub(super) immediates: Immediates,
    pub(super) io: Io,
    pub(super) closing: Vec<Closing>,
    pub(super) emitters: HashMap<Label, Emitter>,
    /// The newest object of each label.
    pub(super) objects: HashMap<Label, Object>,
    pub(super) before_exit: Vec<BeforeExit>,
    pub(super) exit: Vec<Callback>,
    pub(super) warned_of_negative: bool,
    /// What a page has in place of phases.
    pub(super) page: Page,
    steps: u32,
    /// Callbacks that have begun and not ended, as emit nests them.
    depth: u32,
}

/// What a callback of the loop does.
#[derive(Clone)]
pub(super) enum Action {
    Call(Callback),
    /// Fulfils the promise that an await waits for.
    Fulfil(PromiseId),
    Nothing,
}

/// An entry of the tick queue.
pub(super) enum Tick {
    Act(Action),
    Warn(&'static str),
}

/// A closed handle.
pub(super) enum Closing {
    Call(Callback),
    /// A handle of the runtime's own, without a callback.
    Silent,
}

/// What an id stands for.
#[derive(Clone)]
pub(super) enum Object {
    Timer(TimerId),
    Immediate(usize),
    Listener(Rc<Listener>),
    Promise(PromiseId),
}

/// A beforeExit listener.
#[derive(Clone)]
pub(super) struct BeforeExit {
    pub(super) callback: Callback,
    pub(super) times: u32,
    pub(super) calls: u32,
}

/// Why a body was left before its end.
pub(super) enum Leave {
    Throw(Label),
    Quit,
}

/// What became of user code.
pub(super) type Flow<T = ()> = Result<T, Leave>;

/// The process has ended.
pub(super) struct Ended;

/// What runs a phase.
type PhaseFn<'n> = fn(&mut Machine<'n>) -> Result<(), Ended>;

/// Whether user code that the loop called threw.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Threw,
}

impl<'n> Machine<'n> {
    pub(super) fn new(rules: Rules, noise: &'n mut dyn Noise) -> Machine<'n> {
        Machine {
            rules,
            noise,
            trace: Vec::new(),
            clock: 0.0,
            cached: 0.0,
            ticks: VecDeque::new(),
            microtasks: VecDeque::new(),
            promises: Promises::default(),
            timers: Timers::default(),
            immediates: Immediates::default(),
            io: Io::default(),
            closing: Vec::new(),
            emitters: HashMap::new(),
            objects: HashMap::new(),
            before_exit: Vec::new(),
            exit: Vec::new(),
            warned_of_negative: false,
            page: Page::default(),
            steps: 0,
            depth: 0,
        }
    }

    /// Runs the process to its end and says what it recorded.
    pub(super) fn run(mut self, main: &Body) -> Run {
        let quit = self.until_exit(main).is_err();
        if self.steps > STEPS_MAX {
            self.trace.push("gave up".to_owned());
            return Run { trace: self.trace, lasted_ms: f64::INFINITY };
        }
        if quit && !self.rules.quit_drops_the_queues {
            let _quits_anyway = self.drain();
        }
        if !quit || self.rules.quit_runs_exit_listeners {
            for listener in std::mem::take(&mut self.exit) {
                let _undefined_in_exit_listeners = self.call_back(&listener);
            }
        }
        if !self.rules.exit_drops_the_queues {
            let _ends_anyway = self.drain();
        }
        Run { trace: self.trace, lasted_ms: self.clock }
    }

    fn until_exit(&mut self, main: &Body) -> Result<(), Ended> {
        let flow = self.execute_body(main);
        if self.caught(flow)? == Outcome::Done || self.rules.drain_after_throw_in_main {
            self.drain()?;
        }
        loop {
            self.run_loop()?;
            self.call_before_exit()?;
            if !self.is_alive() || !self.rules.before_exit_repeats {
                return Ok(());
            }
        }
    }

    fn run_loop(&mut self) -> Result<(), Ended> {
        if self.rules.tasks_share_a_queue {
            return self.run_tasks();
        }
        if self.rules.timers_end_the_turn && (self.is_alive() || !self.rules.alive_is_asked_first) {
            self.run_timers_phase()?;
        }
        if !self.rules.timers_end_the_turn && !self.rules.alive_is_asked_first {
            self.turn()?;
        }
        while self.is_alive() {
            self.turn()?;
        }
        Ok(())
    }

    /// One pass through the phases.
    fn turn(&mut self) -> Result<(), Ended> {
        self.step()?;
        if !self.rules.timers_end_the_turn {
            self.run_timers_phase()?;
        }
        let mut phases: [PhaseFn<'n>; 3] = [Self::run_poll, Self::run_check, Self::run_close];
        if !self.rules.poll_before_check {
            phases.swap(0, 1);
        }
        if !self.rules.check_before_close {
            phases.swap(1, 2);
        }
        for run_phase in phases {
            run_phase(self)?;
        }
        if self.rules.timers_end_the_turn {
            self.run_timers_phase()?;
        }
        Ok(())
    }

    pub(super) fn is_alive(&self) -> bool {
        self.timers.any_referenced(&self.rules)
            || self.immediates.any_referenced()
            || (!self.rules.unreferenced_immediates_let_the_loop_end && self.immediates.any())
            || self.io.is_active()
            || !self.closing.is_empty()
    }

    /// The close phase: the handles closed before it began.
    fn run_close(&mut self) -> Result<(), Ended> {
        self.late();
        let mut batch = std::mem::take(&mut self.closing);
        if !self.rules.last_closed_first {
            batch.reverse();
        }
        while let Some(closing) = batch.pop() {
            if let Closing::Call(callback) = closing {
                self.call_then(Action::Call(callback), self.rules.drain_between_close_callbacks)?;
            }
            if !self.rules.new_closes_wait {
                batch.append(&mut self.closing);
            }
        }
        if self.rules.drain_between_close_callbacks { Ok(()) } else { self.drain().map(|_| ()) }
    }

    /// All beforeExit listeners, as one callback of the loop.
    fn call_before_exit(&mut self) -> Result<(), Ended> {
        for index in 0..self.before_exit.len() {
            let listener = &mut self.before_exit[index];
            listener.calls += 1;
            let (callback, runs) = (listener.callback.clone(), listener.calls <= listener.times);
            self.record(&callback.label);
            let flow = if runs { self.execute_body(&callback.body) } else { Ok(()) };
            if self.caught(flow)? == Outcome::Threw && self.rules.throws_skip_before_exit_listeners {
                return Ok(());
            }
            if !self.rules.before_exit_drains_once {
                self.drain()?;
            }
        }
        self.drain().map(|_| ())
    }

    /// Calls from the loop: run, then drain, unless it threw.
    pub(super) fn call(&mut self, action: Action) -> Result<(), Ended> {
        self.call_then(action, true)
    }

    pub(super) fn call_then(&mut self, action: Action, drains: bool) -> Result<(), Ended> {
        self.late();
        let flow = self.act(action);
        let outcome = self.caught(flow)?;
        if drains && (outcome == Outcome::Done || !self.rules.throws_skip_the_drain) {
            self.drain()?;
        }
        Ok(())
    }

    pub(super) fn act(&mut self, action: Action) -> Flow {
        self.step().map_err(|Ended| Leave::Quit)?;
        match action {
            Action::Call(callback) => self.call_back(&callback),
            Action::Fulfil(promise) => {
                self.fulfil(promise);
                Ok(())
            }
            Action::Nothing => Ok(()),
        }
    }

    pub(super) fn call_back(&mut self, callback: &Callback) -> Flow {
        self.record(&callback.label);
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            self.steps = STEPS_MAX;
            self.step().map_err(|Ended| Leave::Quit)?;
        }
        let flow = self.execute_body(&callback.body);
        self.depth -= 1;
        flow
    }

    pub(super) fn execute_body(&mut self, body: &[Op]) -> Flow {
        body.iter().try_for_each(|op| self.execute(op))
    }

    /// What the loop does about how user code ended.
    pub(super) fn caught(&mut self, flow: Flow) -> Result<Outcome, Ended> {
        match flow {
            Ok(()) => Ok(Outcome::Done),
            Err(Leave::Throw(label)) => {
                self.trace.push(format!("uncaught:{label}"));
                if self.rules.throws_queue_an_immediate {
                    self.immediates.push(Action::Nothing);
                }
                Ok(Outcome::Threw)
            }
            Err(Leave::Quit) => Err(Ended),
        }
    }

    pub(super) fn record(&mut self, label: &str) {
        self.trace.push(label.to_owned());
    }

    /// Sets the cached time to the clock.
    pub(super) fn read_clock(&mut self) -> f64 {
        self.cached = self.clock;
        self.cached
    }

    /// Lets as much time pass as the noise wants.
    pub(super) fn late(&mut self) {
        self.clock += self.noise.delay();
    }

    /// Ends a program that does not end by itself, as only a mutant's can.
    pub(super) fn step(&mut self) -> Result<(), Ended> {
        self.steps += 1;
        if self.steps > STEPS_MAX { Err(Ended) } else { Ok(()) }
    }
}

/// Callbacks and turns after which a program is given up. Scenarios need a few hundred.
const STEPS_MAX: u32 = 20_000;

/// Nested callbacks after which a program is given up.
const DEPTH_MAX: u32 = 50;
