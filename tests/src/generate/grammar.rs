//! Programs at random, of a shape that is likely to be well defined.

use super::kinds::{Kind, Theme};
use crate::random::Random;
use crate::scenario::{
    AsyncCall, Await, Body, Callback, Label, Link, LinkOn, Listen, Op, Operand, PromiseStart, Step,
};

/// Writes one program.
pub(super) struct Grammar {
    random: Random,
    theme: Theme,
    ops_left: u32,
    labels: u32,
    timers: Vec<Label>,
    immediates: Vec<Label>,
    listeners: Vec<Label>,
    rejections: Vec<Label>,
    /// Only one byte may be under way: the program has a single `send`.
    has_sent: bool,
    /// Around the operation being made: bodies that may be executed again.
    repeats: u32,
    /// Only one listener of the emitter's own events: they call each other else.
    has_meta_listener: bool,
}

/// Where a body stands; it decides which operations make sense there.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Main,
    /// Called once each time it is set, by the loop or from a queue.
    Callback,
    /// May be called again: an interval, a beforeExit listener.
    Repeated,
    /// A listener of the event of that number; it emits only events of higher numbers, so that it cannot call
    /// itself.
    Listener(usize),
    /// A listener of the emitter's own events, which must not touch listeners.
    MetaListener,
    Exit,
}

impl Grammar {
    pub(super) fn new(seed: u64, attempt: u64) -> Grammar {
        let mut random = Random::new(seed.wrapping_mul(0x1_0000).wrapping_add(attempt));
        let theme = Theme::ALL[random.below(Theme::ALL.len() as u64) as usize];
        let ops_left = (OPS_MAX - OPS_BY_HAND).min(8 + random.below(u64::from(OPS_MAX)) as u32);
        Grammar {
            random,
            theme,
            ops_left,
            labels: 0,
            timers: Vec::new(),
            immediates: Vec::new(),
            listeners: Vec::new(),
            rejections: Vec::new(),
            has_sent: false,
            repeats: 0,
            has_meta_listener: false,
        }
    }

    pub(super) fn program(mut self) -> Body {
        if self.one_in(25) {
            return self.echo_program();
        }
        let mut main = Vec::new();
        if self.one_in(6) {
            main.push(Op::Exit(self.callback("exit", Place::Exit, DEPTH_MAX - 1)));
        }
        if self.one_in(5) {
            let times = self.below(3);
            main.push(Op::BeforeExit { times, callback: self.callback("before exit", Place::Repeated, 1) });
        }
        let len = 3 + self.below(8);
        main.extend(self.ops(Place::Main, 0, len));
        // Whatever is due by then is due whenever the loop starts.
        main.push(Op::Busy { ms: self.pick(&[30.0, 60.0, 150.0, 150.0]) });
        if self.theme == Theme::Errors && self.one_in(4) {
            main.push(Op::Throw { label: self.label("error") });
        }
        main.into()
    }

    /// Nothing may depend on when an echo ends, so everything else follows from it or precedes the loop.
    fn echo_program(&mut self) -> Body {
        let (first, echo, tick) = (self.label("main"), self.label("echo"), self.label("tick"));
        let body = self.body(Place::Callback, 0);
        let tick = Op::NextTick(Callback { label: tick, body: Body::from([]) });
        let echo = Op::Echo(Callback { label: echo, body });
        Body::from([Op::Log { label: first }, tick, echo])
    }

    fn body(&mut self, place: Place, depth: u32) -> Body {
        if depth > DEPTH_MAX || self.one_in(4) {
            return Body::from([]);
        }
        let len = 1 + self.below(5);
        let mut ops = self.ops(place, depth, len);
        let submits = ops.iter().any(|op| {
            matches!(op, Op::Pool(_) | Op::Stat(_) | Op::ReadFile(_) | Op::Send(_) | Op::Timeout { .. })
        });
        if submits && place != Place::Exit && !self.one_in(5) && self.spend() {
            let place = self.below(u32::try_from(ops.len()).unwrap_or(0) + 1) as usize;
            ops.insert(place, Op::Busy { ms: self.pick(&[30.0, 30.0, 40.0, 60.0]) });
        }
        if place != Place::Exit && self.theme.throws(&mut self.random) && self.spend() {
            ops.push(Op::Throw { label: self.label("error") });
        }
        ops.into()
    }

    fn ops(&mut self, place: Place, depth: u32, len: u32) -> Vec<Op> {
        let mut ops = Vec::new();
        for _ in 0..len {
            if !self.spend() {
                break;
            }
            let kind = self.theme.pick(&mut self.random);
            if let Some(op) = self.op(kind, place, depth) {
                let timer = match &op {
                    Op::Timeout { callback, .. } | Op::Interval { callback, .. } => {
                        Some(callback.label.clone())
                    }
                    _ => None,
                };
                ops.push(op);
                // Only what is surely pending is unreferenced: Node loses count else.
                if let Some(id) = timer
                    && self.one_in(8)
                    && self.spend()
                {
                    ops.push(Op::Unref { id: id.clone() });
                    if self.one_in(3) && self.spend() {
                        ops.push(Op::Ref { id });
                    }
                }
            }
        }
        ops
    }

    fn op(&mut self, kind: Kind, place: Place, depth: u32) -> Option<Op> {
        if place == Place::Exit
            && !matches!(kind, Kind::Log | Kind::NextTick | Kind::Immediate | Kind::Promise)
        {
            return None;
        }
        let op = match kind {
            Kind::Log => Op::Log { label: self.label("log") },
            Kind::Busy => Op::Busy { ms: self.pick(&[5.0, 15.0, 30.0, 35.0, 60.0]) },
            Kind::NextTick => Op::NextTick(self.callback("tick", Place::Callback, depth)),
            Kind::Microtask => Op::Microtask(self.callback("micro", Place::Callback, depth)),
            Kind::Promise => self.promise(depth),
            Kind::Async => Op::Async { call: self.call(depth), then: self.links(depth) },
            Kind::Reject => self.reject(),
            Kind::Catch => {
                let id = self.pick_label(&self.rejections.clone())?;
                Op::Catch { id, callback: self.callback("caught", Place::Callback, depth) }
            }
            Kind::Immediate => {
                let callback = self.callback("immediate", Place::Callback, depth);
                self.immediates.push(callback.label.clone());
                Op::Immediate(callback)
            }
            Kind::Timeout => self.timeout(depth),
            Kind::Interval => self.interval(depth),
            Kind::Clear => {
                let ids = [self.timers.clone(), self.immediates.clone()].concat();
                Op::Clear { id: self.pick_label(&ids)? }
            }
            Kind::Refresh => Op::Refresh { id: self.pick_label(&self.timers.clone())? },
            Kind::Pool => Op::Pool(self.callback("pool", Place::Callback, depth)),
            Kind::Stat => Op::Stat(self.callback("stat", Place::Callback, depth)),
            Kind::ReadFile => Op::ReadFile(self.callback("file", Place::Callback, depth)),
            Kind::Send => {
                let once = self.repeats == 0 && !self.has_sent;
                self.has_sent |= once;
                return once.then(|| Op::Send(self.callback("byte", Place::Callback, depth)));
            }
            Kind::Close => Op::Close(self.callback("close", Place::Callback, depth)),
            Kind::Listen => return self.listen(place, depth),
            Kind::Off | Kind::OffAll | Kind::SetMaxListeners if place == Place::MetaListener => return None,
            Kind::Off => Op::Off { id: self.pick_label(&self.listeners.clone())? },
            Kind::OffAll => {
                Op::OffAll { emitter: self.emitter(), event: EVENTS[self.below(3) as usize].into() }
            }
            Kind::Emit => return self.emit(place),
            Kind::SetMaxListeners => Op::SetMaxListeners { emitter: self.emitter(), n: self.below(4) },
            Kind::Quit if depth > 1 && self.one_in(4) => Op::Quit,
            Kind::Quit => return None,
        };
        Some(op)
    }

    fn callback(&mut self, kind: &str, place: Place, depth: u32) -> Callback {
        let label = self.label(kind);
        let repeats = !matches!(place, Place::Main | Place::Callback);
        self.repeats += u32::from(repeats);
        let body = self.body(place, depth + 1);
        self.repeats -= u32::from(repeats);
        Callback { label, body }
    }

    fn timeout(&mut self, depth: u32) -> Op {
        let ms = if self.one_in(30) {
            self.pick(&[-1.0, 0.5, 1.5, 2_147_483_648.0])
        } else {
            self.pick(&[0.0, 1.0, 1.0, 2.0, 20.0, 20.0, 40.0, 40.0, 60.0, 100.0])
        };
        let callback = self.callback("timer", Place::Callback, depth);
        self.timers.push(callback.label.clone());
        Op::Timeout { ms, callback }
    }

    fn interval(&mut self, depth: u32) -> Op {
        let (ms, times) = (self.pick(&[1.0, 20.0, 40.0]), 1 + self.below(3));
        let callback = self.callback("interval", Place::Repeated, depth);
        self.timers.push(callback.label.clone());
        Op::Interval { ms, times, callback }
    }

    fn reject(&mut self) -> Op {
        let label = self.label("rejection");
        self.rejections.push(label.clone());
        Op::Reject { label }
    }

    fn promise(&mut self, depth: u32) -> Op {
        let start = match self.below(4) {
            0 => PromiseStart::Promise,
            1 => PromiseStart::Thenable(self.label("thenable")),
            _ => PromiseStart::Value,
        };
        let mut then = self.links(depth);
        if then.is_empty() {
            then.push(self.link(depth));
        }
        Op::Promise { start, then }
    }

    fn links(&mut self, depth: u32) -> Vec<Link> {
        (0..self.below(4)).map(|_| self.link(depth)).collect()
    }

    fn link(&mut self, depth: u32) -> Link {
        let on = match self.below(6) {
            0 => LinkOn::Rejected,
            1 => LinkOn::Finally,
            _ => LinkOn::Fulfilled,
        };
        let callback = self.callback("then", Place::Callback, depth);
        let returns = match self.below(6) {
            0 => Operand::Promise,
            1 => Operand::Thenable(Some(format!("{}.then", callback.label).into())),
            _ => Operand::Value,
        };
        Link { callback, on, returns }
    }

    fn call(&mut self, depth: u32) -> AsyncCall {
        let label = self.label("async");
        let mut steps = Vec::new();
        for _ in 0..self.below(5) {
            if self.one_in(2) {
                if self.spend() {
                    steps.push(Step::Await(self.awaited(depth)));
                }
            } else {
                steps.extend(self.ops(Place::Callback, depth + 1, 1).into_iter().map(Step::Op));
            }
        }
        if !self.spend() {
            return AsyncCall { label, steps: steps.into() };
        }
        if self.theme.throws(&mut self.random) {
            steps.push(Step::Op(Op::Throw { label: self.label("error") }));
        } else if self.one_in(3) {
            steps.push(Step::Return(self.operand()));
        }
        AsyncCall { label, steps: steps.into() }
    }

    fn awaited(&mut self, depth: u32) -> Await {
        match self.below(12) {
            0 => Await::NextTick,
            1 => Await::Immediate,
            2 => Await::Pool,
            3 => Await::Sleep(self.pick(&[1.0, 20.0, 40.0])),
            4 => Await::Rejected(self.label("rejected")),
            5 | 6 if depth < DEPTH_MAX => Await::Async(self.call(depth + 1)),
            _ => Await::Operand(self.operand()),
        }
    }

    fn operand(&mut self) -> Operand {
        match self.below(3) {
            0 => Operand::Value,
            1 => Operand::Promise,
            _ => Operand::Thenable(Some(self.label("thenable"))),
        }
    }

    fn listen(&mut self, place: Place, depth: u32) -> Option<Op> {
        if place == Place::MetaListener {
            return None;
        }
        let how = Listen { once: self.one_in(3), prepend: self.one_in(4) };
        let emitter = self.emitter();
        let (event, inner): (&str, Place) =
            if !self.has_meta_listener && place == Place::Main && self.one_in(8) {
                self.has_meta_listener = true;
                (self.pick(&["newListener", "removeListener"]), Place::MetaListener)
            } else {
                let number = self.below(EVENTS.len() as u32) as usize;
                (EVENTS[number], Place::Listener(number))
            };
        let callback = self.callback("listener", inner, depth);
        self.listeners.push(callback.label.clone());
        Some(Op::Listen { how, emitter, event: event.into(), callback })
    }

    fn emit(&mut self, place: Place) -> Option<Op> {
        let first = match place {
            Place::Listener(number) => number + 1,
            Place::MetaListener => return None,
            _ => 0,
        };
        let events = EVENTS.get(first..).filter(|events| !events.is_empty())?;
        let event = events[self.below(events.len() as u32) as usize];
        let label = (event == "error").then(|| self.label("error"));
        Some(Op::Emit { emitter: self.emitter(), event: event.into(), label })
    }

    /// Takes one operation from the budget, if there is any left.
    fn spend(&mut self) -> bool {
        let has_one = self.ops_left > 0;
        self.ops_left -= u32::from(has_one);
        has_one
    }

    fn emitter(&mut self) -> Label {
        self.pick(&["e", "e", "f"]).into()
    }

    fn label(&mut self, kind: &str) -> Label {
        self.labels += 1;
        format!("{kind} {}", self.labels).into()
    }

    fn pick_label(&mut self, labels: &[Label]) -> Option<Label> {
        let index = self.below(u32::try_from(labels.len()).unwrap_or(0).max(1));
        labels.get(index as usize).cloned()
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.below(choices.len() as u64) as usize]
    }

    fn below(&mut self, end: u32) -> u32 {
        self.random.below(u64::from(end)) as u32
    }

    fn one_in(&mut self, chances: u32) -> bool {
        self.below(chances) == 0
    }
}

/// Events that programs emit. A listener of one emits only those behind it.
const EVENTS: [&str; 4] = ["a", "b", "c", "error"];

/// Operations, steps included, of a program.
const OPS_MAX: u32 = 60;

/// Operations that `program` places whatever the budget is.
const OPS_BY_HAND: u32 = 4;

/// How deep bodies nest.
const DEPTH_MAX: u32 = 4;
