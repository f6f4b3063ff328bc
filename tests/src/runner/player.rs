//! One run of a program: the process from its main body to the exit listeners.

use super::jobs::Jobs;
use super::listeners::Emitters;
use super::profile::Language;
use super::promise::{PromiseRef, Rejections};
use super::stream::Stream;
use super::throw;
use super::{Settings, Step, Time, What};
use crate::scenario::{Body, Callback, Label, Op, visit};
use phaseloop::{EventEmitter, EventLoop, ImmediateId, ListenerId, LoopHandle, TimeoutId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The state of a process that runs a program.
pub(super) struct Player {
    pub(super) lp: LoopHandle,
    pub(super) language: Language,
    steps: RefCell<Vec<Step>>,
    steps_max: usize,
    /// It was to take more steps than it may.
    has_overrun: Cell<bool>,
    /// The newest object of each label.
    objects: RefCell<HashMap<Label, Object>>,
    pub(super) emitters: Emitters,
    pub(super) rejections: Rejections,
    pub(super) jobs: Jobs,
    /// Only programs that send have one.
    pub(super) stream: Option<Stream>,
    pub(super) before_exit: RefCell<Vec<BeforeExit>>,
    pub(super) exit: RefCell<Vec<Callback>>,
}

/// What an id stands for.
#[derive(Clone)]
pub(super) enum Object {
    Timer(TimeoutId),
    Immediate(ImmediateId),
    Listener(EventEmitter<Label>, ListenerId),
    Promise(PromiseRef),
}

/// A beforeExit listener.
#[derive(Clone)]
pub(super) struct BeforeExit {
    pub(super) callback: Callback,
    /// In how many calls the body runs.
    pub(super) times: u32,
    pub(super) calls: Rc<Cell<u32>>,
}

/// Runs a program and gives its steps.
pub(super) fn play(program: &Body, settings: Settings) -> io::Result<Vec<Step>> {
    let Settings { schedule, language, time, steps_max } = settings;
    let file_hops = schedule.file_hops;
    let builder = EventLoop::builder().schedule(schedule);
    let event_loop = builder.virtual_time(time == Time::Virtual).build()?;
    let lp = event_loop.handle();
    let sends = visit::any(program, &|op| matches!(op, Op::Send(_)));
    let player = Rc::new(Player {
        language,
        steps: RefCell::default(),
        steps_max,
        has_overrun: Cell::new(false),
        objects: RefCell::default(),
        emitters: Emitters::default(),
        rejections: Rejections::default(),
        jobs: Jobs::new(&lp, file_hops)?,
        stream: if sends { Some(Stream::connect(&lp)?) } else { None },
        before_exit: RefCell::default(),
        exit: RefCell::default(),
        lp,
    });
    player.hook_into_the_loop();
    event_loop.run_program(|_| player.execute_body(program))?;
    drop(event_loop);
    player.let_go();
    if player.has_overrun.get() {
        return Err(io::Error::other(format!("it has not ended after {steps_max} steps")));
    }
    Ok(player.steps.take())
}

impl Player {
    fn hook_into_the_loop(self: &Rc<Self>) {
        let lp = &self.lp;
        let player = Rc::clone(self);
        lp.on_uncaught(move |_, uncaught| {
            if let Some(label) = throw::label_of(uncaught) {
                player.record(format!("uncaught:{label}"));
            }
        });
        let player = Rc::clone(self);
        lp.on_warning(move |_, warning| player.record(format!("warning:{warning}")));
        let player = Rc::clone(self);
        lp.on_drained(move |_| player.drained());
        let player = Rc::clone(self);
        lp.on_before_exit(move |_| player.call_before_exit());
        let player = Rc::clone(self);
        lp.on_exit(move |_, _| player.call_exit());
    }

    /// Breaks the circles through callbacks that never ran, which hold the player: its sockets must not outlive it.
    fn let_go(&self) {
        drop((self.emitters.take(), self.objects.take()));
        self.jobs.let_go();
        if let Some(stream) = &self.stream {
            stream.let_go();
        }
    }

    /// Appends to the trace.
    pub(super) fn record(&self, line: impl Into<String>) {
        self.step(What::Recorded(line.into()));
    }

    /// Notes a callback that records nothing.
    pub(super) fn step_silently(&self, word: &'static str) {
        self.step(What::Silent(word));
    }

    fn step(&self, what: What) {
        let place = self.lp.place();
        if self.steps.borrow().len() < self.steps_max {
            self.steps.borrow_mut().push(Step { what, place });
        } else if !self.has_overrun.replace(true) && !self.lp.has_ended() {
            self.lp.end(0);
            throw::quit()
        }
    }

    /// Calling a callback: record the label, then execute the body.
    pub(super) fn call(self: &Rc<Self>, callback: &Callback) {
        self.record(&*callback.label);
        self.execute_body(&callback.body);
    }

    /// A callback as the loop takes it.
    pub(super) fn caller(self: &Rc<Self>, callback: &Callback) -> impl Fn(&LoopHandle) + 'static {
        let (player, callback) = (Rc::clone(self), callback.clone());
        move |_| player.call(&callback)
    }

    pub(super) fn execute_body(self: &Rc<Self>, body: &[Op]) {
        for op in body {
            self.execute(op);
        }
    }

    /// Blocks the loop's thread for at least `ms`; in virtual time the clock moves on instead.
    ///
    /// Then it waits for the jobs that were submitted before. FORMAT.md lets a program rely on their having come after
    /// 30 ms: virtual time would not give them any, and on a busy machine real time might not. A byte that was sent is
    /// there at once ([`Stream::send`]).
    pub(super) fn busy(&self, ms: f64) {
        let time = Duration::from_secs_f64(ms.max(0.0) / 1000.0);
        if self.lp.advance_clock(time).is_err() {
            std::thread::sleep(time);
        }
        self.jobs.wait_until_idle();
    }

    /// Makes `object` the newest of its label.
    pub(super) fn name(&self, label: &Label, object: Object) {
        self.objects.borrow_mut().insert(label.clone(), object);
    }

    pub(super) fn object(&self, label: &Label) -> Option<Object> {
        self.objects.borrow().get(label).cloned()
    }

    fn call_before_exit(self: &Rc<Self>) {
        let listeners = self.before_exit.borrow().clone();
        for BeforeExit { callback, times, calls } in listeners {
            calls.set(calls.get() + 1);
            self.record(&*callback.label);
            if calls.get() <= times {
                self.execute_body(&callback.body);
            }
        }
    }

    fn call_exit(self: &Rc<Self>) {
        for listener in self.exit.take() {
            self.call(&listener);
        }
    }
}
