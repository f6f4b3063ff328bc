//! The promise machine of FORMAT.md.

use super::async_function::Frame;
use super::machine::{Flow, Leave, Machine};
use super::rules::Rules;
use super::tasks::Task;
use crate::scenario::{Callback, Label, Link, LinkOn, Operand};

/// The number of a promise.
pub(super) type PromiseId = usize;

/// All promises, and what is to be reported about them.
#[derive(Default)]
pub(super) struct Promises {
    all: Vec<Promise>,
    /// Rejected without a handler since the last report, in order.
    unhandled: Vec<PromiseId>,
    /// Handled after they had been reported.
    handled_late: Vec<PromiseId>,
}

#[derive(Default)]
struct Promise {
    settled: Option<Settled>,
    reactions: Vec<Reaction>,
    is_handled: bool,
    was_reported: bool,
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
    derived: Option<PromiseId>,
}

/// What a reaction does.
pub(super) enum Handler {
    /// The callback is missing: the derived promise takes over the state.
    PassOn,
    Fulfil(PromiseId),
    Reject(PromiseId),
    Call(Callback),
    Link(Link),
    Finally(Link),
    /// The end of `finally`: returns nothing.
    Nothing,
    /// The end of `finally` after a rejection: throws it again.
    Rethrow(Label),
    Resume(Frame),
    /// Rejects the promise of an async function that awaits.
    Fail(PromiseId),
}

/// What a callback returned.
pub(super) enum Value {
    Nothing,
    Promise(PromiseId),
    Thenable(Option<Label>),
}

/// An entry of the microtask queue.
pub(super) enum Job {
    Microtask(Callback),
    React { handler: Handler, settled: Settled, derived: Option<PromiseId> },
    Adopt { promise: PromiseId, from: PromiseId },
    CallThenable { promise: PromiseId, label: Option<Label> },
    Start(Frame),
}

impl Promises {
    pub(super) fn pending(&mut self) -> PromiseId {
        self.all.push(Promise::default());
        self.all.len() - 1
    }

    /// Rejections to report, unless they are handled by then.
    pub(super) fn take_unhandled(&mut self) -> Vec<PromiseId> {
        std::mem::take(&mut self.unhandled)
    }

    /// Rejections that were handled after they had been reported.
    pub(super) fn take_handled_late(&mut self) -> Vec<PromiseId> {
        std::mem::take(&mut self.handled_late)
    }

    /// The labels of rejections.
    pub(super) fn labels(&self, promises: &[PromiseId]) -> Vec<Label> {
        promises.iter().filter_map(|&id| self.all[id].rejection()).collect()
    }

    /// The labels of those that are to be reported now.
    pub(super) fn report(&mut self, promises: &[PromiseId], rules: &Rules) -> Vec<Label> {
        let mut unhandled = Vec::new();
        for &id in promises {
            let promise = &mut self.all[id];
            if !promise.is_handled || !rules.handled_in_time_is_silent {
                promise.was_reported = true;
                unhandled.extend(promise.rejection());
            }
        }
        unhandled
    }
}

impl Promise {
    fn rejection(&self) -> Option<Label> {
        match &self.settled {
            Some(Settled::Rejected(label)) => Some(label.clone()),
            _ => None,
        }
    }
}

impl Machine<'_> {
    pub(super) fn fulfilled(&mut self) -> PromiseId {
        let promise = self.promises.pending();
        self.fulfil(promise);
        promise
    }

    pub(super) fn fulfil(&mut self, promise: PromiseId) {
        self.settle(promise, Settled::Fulfilled);
    }

    pub(super) fn reject(&mut self, promise: PromiseId, label: Label) {
        self.settle(promise, Settled::Rejected(label));
    }

    pub(super) fn resolve(&mut self, promise: PromiseId, value: Value) {
        match value {
            Value::Nothing => self.fulfil(promise),
            Value::Promise(from) if self.rules.promises_are_adopted_in_a_job => {
                self.microtasks.push_back(Job::Adopt { promise, from });
            }
            Value::Promise(from) => self.adopt(promise, from),
            Value::Thenable(label) if self.rules.thenables_are_called_in_a_job => {
                self.microtasks.push_back(Job::CallThenable { promise, label });
            }
            Value::Thenable(label) => self.call_thenable(promise, label),
        }
    }

    /// Attaches the links one after the other, each to the promise of the one before.
    pub(super) fn attach(&mut self, start: PromiseId, links: &[Link]) {
        let mut promise = start;
        for link in links {
            let link = link.clone();
            promise = match link.on {
                LinkOn::Fulfilled => self.then(promise, Handler::Link(link), Handler::PassOn),
                LinkOn::Rejected => self.then(promise, Handler::PassOn, Handler::Link(link)),
                LinkOn::Finally => self.then(promise, Handler::Finally(link.clone()), Handler::Finally(link)),
            };
        }
    }

    pub(super) fn then(&mut self, promise: PromiseId, fulfilled: Handler, rejected: Handler) -> PromiseId {
        let derived = self.promises.pending();
        self.react(promise, fulfilled, rejected, Some(derived));
        derived
    }

    pub(super) fn react(
        &mut self,
        promise: PromiseId,
        fulfilled: Handler,
        rejected: Handler,
        derived: Option<PromiseId>,
    ) {
        let reaction = Reaction { fulfilled, rejected, derived };
        let promises = &mut self.promises;
        let reacted = &mut promises.all[promise];
        reacted.is_handled = true;
        if reacted.was_reported && self.rules.handled_late_is_reported {
            reacted.was_reported = false;
            promises.handled_late.push(promise);
            if self.rules.late_handling_is_told_by_tasks {
                let handled = std::mem::take(&mut promises.handled_late);
                self.page.tasks.push_back(Task::TellHandled(handled));
            }
        }
        let reacted = &mut self.promises.all[promise];
        match reacted.settled.clone() {
            Some(settled) => self.queue_reaction(reaction, settled),
            None => reacted.reactions.push(reaction),
        }
    }

    /// A promise that is settled as `value` is; promises stand for themselves.
    pub(super) fn promise_for(&mut self, value: Value) -> PromiseId {
        match value {
            Value::Promise(promise) => promise,
            other => {
                let promise = self.promises.pending();
                self.resolve(promise, other);
                promise
            }
        }
    }

    pub(super) fn value_of(&mut self, operand: &Operand) -> Value {
        match operand {
            Operand::Value => Value::Nothing,
            Operand::Promise => Value::Promise(self.fulfilled()),
            Operand::Thenable(label) => Value::Thenable(label.clone()),
        }
    }

    pub(super) fn run_job(&mut self, job: Job) -> Flow {
        match job {
            Job::Microtask(callback) => return self.call_back(&callback),
            Job::React { handler, settled, derived } => return self.run_reaction(handler, settled, derived),
            Job::Adopt { promise, from } => self.adopt(promise, from),
            Job::CallThenable { promise, label } => self.call_thenable(promise, label),
            Job::Start(frame) => return self.resume(frame),
        }
        Ok(())
    }

    fn settle(&mut self, promise: PromiseId, settled: Settled) {
        let settling = &mut self.promises.all[promise];
        if settling.settled.is_some() {
            return;
        }
        settling.settled = Some(settled.clone());
        let reactions = std::mem::take(&mut settling.reactions);
        if !settling.is_handled && matches!(settled, Settled::Rejected(_)) {
            self.promises.unhandled.push(promise);
        }
        for reaction in reactions {
            self.queue_reaction(reaction, settled.clone());
        }
    }

    fn queue_reaction(&mut self, reaction: Reaction, settled: Settled) {
        let Reaction { fulfilled, rejected, derived } = reaction;
        let handler = match settled {
            Settled::Fulfilled => fulfilled,
            Settled::Rejected(_) => rejected,
        };
        match (&handler, derived) {
            (Handler::PassOn, Some(derived)) if !self.rules.rejections_visit_each_link => {
                self.settle(derived, settled);
            }
            _ => self.microtasks.push_back(Job::React { handler, settled, derived }),
        }
    }

    fn adopt(&mut self, promise: PromiseId, from: PromiseId) {
        self.react(from, Handler::Fulfil(promise), Handler::Reject(promise), None);
    }

    fn call_thenable(&mut self, promise: PromiseId, label: Option<Label>) {
        if let Some(label) = label {
            self.record(&label);
        }
        self.fulfil(promise);
    }

    fn run_reaction(&mut self, handler: Handler, settled: Settled, derived: Option<PromiseId>) -> Flow {
        if let (Handler::PassOn, Some(derived)) = (&handler, derived) {
            self.settle(derived, settled);
            return Ok(());
        }
        match (self.run_handler(handler, settled), derived) {
            (Ok(value), Some(derived)) => self.resolve(derived, value),
            (Err(Leave::Throw(label)), Some(derived)) => self.reject(derived, label),
            (Ok(_), None) => {}
            (Err(leave), _) => return Err(leave),
        }
        Ok(())
    }

    fn run_handler(&mut self, handler: Handler, settled: Settled) -> Flow<Value> {
        match (handler, settled) {
            (Handler::PassOn | Handler::Nothing, _) => {}
            (Handler::Fulfil(promise), _) => self.fulfil(promise),
            (Handler::Reject(promise) | Handler::Fail(promise), settled) => self.settle(promise, settled),
            (Handler::Call(callback), _) => self.call_back(&callback)?,
            (Handler::Resume(frame), _) => self.resume(frame)?,
            (Handler::Rethrow(label), _) => return Err(Leave::Throw(label)),
            (Handler::Link(link), _) => {
                self.call_back(&link.callback)?;
                return Ok(self.value_of(&link.returns));
            }
            (Handler::Finally(link), settled) => return self.run_finally(&link, settled),
        }
        Ok(Value::Nothing)
    }

    fn run_finally(&mut self, link: &Link, settled: Settled) -> Flow<Value> {
        self.call_back(&link.callback)?;
        let result = self.value_of(&link.returns);
        let end = match settled {
            Settled::Rejected(label) if !self.rules.finally_waits => return Err(Leave::Throw(label)),
            Settled::Fulfilled if !self.rules.finally_waits => return Ok(result),
            Settled::Rejected(label) => Handler::Rethrow(label),
            Settled::Fulfilled => Handler::Nothing,
        };
        let result = self.promise_for(result);
        Ok(Value::Promise(self.then(result, end, Handler::PassOn)))
    }
}
