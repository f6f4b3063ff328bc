//! The promise machine of FORMAT.md, over the loop's microtasks.

use super::async_function::Frame;
use super::player::Player;
use super::throw::{catch, throw};
use crate::scenario::{Callback, Label, Link, LinkOn, Operand};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A promise, as everything holds it that refers to it.
pub(super) type PromiseRef = Rc<Promise>;

#[derive(Default)]
pub(super) struct Promise {
    settled: RefCell<Option<Settled>>,
    reactions: RefCell<Vec<Reaction>>,
    is_handled: Cell<bool>,
    was_reported: Cell<bool>,
}

/// How a promise has ended.
#[derive(Clone)]
pub(super) enum Settled {
    Fulfilled,
    Rejected(Label),
}

/// What happens when a promise is settled, and to which promise the result goes.
struct Reaction {
    fulfilled: Handler,
    rejected: Handler,
    derived: Option<PromiseRef>,
}

/// What a reaction does.
pub(super) enum Handler {
    /// The callback is missing: the derived promise takes over the state.
    PassOn,
    /// Settles this promise in the same way.
    Settle(PromiseRef),
    Call(Callback),
    Link(Link),
    Finally(Link),
    /// The end of `finally`: returns nothing.
    Nothing,
    /// The end of `finally` after a rejection: throws it again.
    Rethrow(Label),
    /// Goes on with an async function.
    Resume(Frame),
}

/// What a callback returned.
pub(super) enum Value {
    Nothing,
    Promise(PromiseRef),
    Thenable(Option<Label>),
}

/// What is to be reported about promises.
#[derive(Default)]
pub(super) struct Rejections {
    /// Rejected without a handler since the last report, in order.
    unhandled: RefCell<Vec<PromiseRef>>,
    /// Handled after they had been reported.
    handled_late: RefCell<Vec<PromiseRef>>,
}

impl Promise {
    fn rejection(&self) -> Option<Label> {
        match &*self.settled.borrow() {
            Some(Settled::Rejected(label)) => Some(label.clone()),
            _ => None,
        }
    }
}

impl Player {
    pub(super) fn fulfilled(self: &Rc<Self>) -> PromiseRef {
        self.resolved(Value::Nothing)
    }

    pub(super) fn rejected(self: &Rc<Self>, label: Label) -> PromiseRef {
        let promise = PromiseRef::default();
        self.settle(&promise, Settled::Rejected(label));
        promise
    }

    /// A new promise, resolved with `value`.
    pub(super) fn resolved(self: &Rc<Self>, value: Value) -> PromiseRef {
        let promise = PromiseRef::default();
        self.resolve(&promise, value);
        promise
    }

    /// `value` itself if it is a promise, else a new one.
    pub(super) fn promise_for(self: &Rc<Self>, value: Value) -> PromiseRef {
        match value {
            Value::Promise(promise) => promise,
            other => self.resolved(other),
        }
    }

    pub(super) fn value_of(self: &Rc<Self>, operand: &Operand) -> Value {
        match operand {
            Operand::Value => Value::Nothing,
            Operand::Promise => Value::Promise(self.fulfilled()),
            Operand::Thenable(label) => Value::Thenable(label.clone()),
        }
    }

    pub(super) fn resolve(self: &Rc<Self>, promise: &PromiseRef, value: Value) {
        match value {
            Value::Nothing => self.settle(promise, Settled::Fulfilled),
            Value::Promise(from) => {
                let (player, promise) = (Rc::clone(self), Rc::clone(promise));
                let settle = move || Handler::Settle(Rc::clone(&promise));
                self.lp.queue_microtask(move |_| player.react(&from, settle(), settle(), None));
            }
            Value::Thenable(label) => {
                let (player, promise) = (Rc::clone(self), Rc::clone(promise));
                self.lp.queue_microtask(move |_| {
                    if let Some(label) = label {
                        player.record(&*label);
                    }
                    player.settle(&promise, Settled::Fulfilled);
                });
            }
        }
    }

    pub(super) fn settle(self: &Rc<Self>, promise: &PromiseRef, settled: Settled) {
        if promise.settled.borrow().is_some() {
            return;
        }
        promise.settled.replace(Some(settled.clone()));
        if !promise.is_handled.get() && matches!(settled, Settled::Rejected(_)) {
            self.rejections.unhandled.borrow_mut().push(Rc::clone(promise));
            self.lp.request_drain(); // which reports it
        }
        for reaction in promise.reactions.take() {
            self.queue_reaction(reaction, settled.clone());
        }
    }

    /// Attaches the links of a chain, each to the promise before it.
    pub(super) fn attach(self: &Rc<Self>, start: PromiseRef, links: &[Link]) {
        let mut promise = start;
        for link in links {
            let (on_fulfilled, on_rejected) = match link.on {
                LinkOn::Fulfilled => (Handler::Link(link.clone()), Handler::PassOn),
                LinkOn::Rejected => (Handler::PassOn, Handler::Link(link.clone())),
                LinkOn::Finally => (Handler::Finally(link.clone()), Handler::Finally(link.clone())),
            };
            promise = self.then(&promise, on_fulfilled, on_rejected);
        }
    }

    pub(super) fn then(
        self: &Rc<Self>,
        promise: &PromiseRef,
        fulfilled: Handler,
        rejected: Handler,
    ) -> PromiseRef {
        let derived = PromiseRef::default();
        self.react(promise, fulfilled, rejected, Some(Rc::clone(&derived)));
        derived
    }

    pub(super) fn react(
        self: &Rc<Self>,
        promise: &PromiseRef,
        fulfilled: Handler,
        rejected: Handler,
        derived: Option<PromiseRef>,
    ) {
        let reaction = Reaction { fulfilled, rejected, derived };
        promise.is_handled.set(true);
        if promise.was_reported.replace(false) {
            self.rejections.handled_late.borrow_mut().push(Rc::clone(promise));
            if self.language.rejections_are_reported_by_tasks {
                self.report_by_task(&self.rejections.handled_late, Self::report_handled);
            }
        }
        let settled = promise.settled.borrow().clone();
        match settled {
            Some(settled) => self.queue_reaction(reaction, settled),
            None => promise.reactions.borrow_mut().push(reaction),
        }
    }

    /// Both queues are empty, so that nobody can handle a rejection any more before the next callback.
    pub(super) fn drained(self: &Rc<Self>) {
        if self.language.rejections_are_reported_by_tasks {
            self.report_by_task(&self.rejections.unhandled, Self::report_unhandled);
            return;
        }
        self.report_handled(self.rejections.handled_late.take());
        self.report_unhandled(self.rejections.unhandled.take());
    }

    /// In a page: puts a report in line.
    fn report_by_task(
        self: &Rc<Self>,
        promises: &RefCell<Vec<PromiseRef>>,
        report: impl FnOnce(&Self, Vec<PromiseRef>) + 'static,
    ) {
        let promises = promises.take();
        if !promises.is_empty() {
            let player = Rc::clone(self);
            self.lp.set_immediate(move |_| report(&player, promises));
        }
    }

    fn report_handled(&self, promises: Vec<PromiseRef>) {
        for promise in promises {
            if let Some(label) = promise.rejection() {
                self.record(format!("handled:{label}"));
            }
        }
    }

    /// Reports those that nobody has handled by now.
    fn report_unhandled(&self, promises: Vec<PromiseRef>) {
        for promise in promises {
            if let Some(label) = promise.rejection().filter(|_| !promise.is_handled.get()) {
                promise.was_reported.set(true);
                self.record(format!("unhandled:{label}"));
            }
        }
    }

    fn queue_reaction(self: &Rc<Self>, reaction: Reaction, settled: Settled) {
        let Reaction { fulfilled, rejected, derived } = reaction;
        let handler = match settled {
            Settled::Fulfilled => fulfilled,
            Settled::Rejected(_) => rejected,
        };
        let player = Rc::clone(self);
        self.lp.queue_microtask(move |_| player.run_reaction(handler, settled, derived.as_ref()));
    }

    fn run_reaction(self: &Rc<Self>, handler: Handler, settled: Settled, derived: Option<&PromiseRef>) {
        let Some(derived) = derived else {
            self.run_handler(handler, settled);
            return;
        };
        if let Handler::PassOn = handler {
            return self.settle(derived, settled);
        }
        match catch(|| self.run_handler(handler, settled)) {
            Ok(value) => self.resolve(derived, value),
            Err(label) => self.settle(derived, Settled::Rejected(label)),
        }
    }

    fn run_handler(self: &Rc<Self>, handler: Handler, settled: Settled) -> Value {
        match handler {
            Handler::PassOn | Handler::Nothing => {}
            Handler::Settle(promise) => self.settle(&promise, settled),
            Handler::Call(callback) => self.call(&callback),
            Handler::Resume(frame) => self.resume(frame),
            Handler::Rethrow(label) => throw(label),
            Handler::Link(link) => {
                self.call(&link.callback);
                return self.value_of(&link.returns);
            }
            Handler::Finally(link) => {
                self.call(&link.callback);
                let result = self.promise_for(self.value_of(&link.returns));
                let end = match settled {
                    Settled::Rejected(label) => Handler::Rethrow(label),
                    Settled::Fulfilled => Handler::Nothing,
                };
                return Value::Promise(self.then(&result, end, Handler::PassOn));
            }
        }
        Value::Nothing
    }
}
