//! Async functions: frames that run up to an await and are resumed by its promise.

use super::machine::{Action, Flow, Leave, Machine};
use super::promise::{Handler, Job, PromiseId, Value};
use crate::scenario::{AsyncCall, Await, Step};
use std::sync::Arc;

/// A call of an async function that has not ended.
pub(super) struct Frame {
    steps: Arc<[Step]>,
    next: usize,
    /// What the call returned.
    promise: PromiseId,
}

impl Machine<'_> {
    /// Calls an async function; it runs up to its first await.
    pub(super) fn call_async(&mut self, call: &AsyncCall) -> Flow<PromiseId> {
        self.record(&call.label);
        let promise = self.promises.pending();
        let frame = Frame { steps: call.steps.clone(), next: 0, promise };
        if self.rules.async_functions_start_at_once {
            self.resume(frame)?;
        } else {
            self.microtasks.push_back(Job::Start(frame));
        }
        Ok(promise)
    }

    /// Goes on with the next step. Only quitting leaves a frame: a throw rejects its promise.
    pub(super) fn resume(&mut self, mut frame: Frame) -> Flow {
        let steps = frame.steps.clone();
        while let Some(step) = steps.get(frame.next) {
            frame.next += 1;
            match step {
                Step::Op(op) => match self.execute(op) {
                    Ok(()) => {}
                    Err(Leave::Throw(label)) => {
                        self.reject(frame.promise, label);
                        return Ok(());
                    }
                    Err(Leave::Quit) => return Err(Leave::Quit),
                },
                Step::Await(awaited) => {
                    let promise = self.awaited(awaited)?;
                    let failed = Handler::Fail(frame.promise);
                    self.react(promise, Handler::Resume(frame), failed, None);
                    return Ok(());
                }
                Step::Return(operand) => {
                    let value = self.value_of(operand);
                    self.resolve(frame.promise, value);
                    return Ok(());
                }
            }
        }
        self.fulfil(frame.promise);
        Ok(())
    }

    /// The promise that an await reacts to.
    fn awaited(&mut self, awaited: &Await) -> Flow<PromiseId> {
        let value = match awaited {
            Await::Operand(operand) => self.value_of(operand),
            Await::Async(call) => Value::Promise(self.call_async(call)?),
            Await::Rejected(label) => {
                let promise = self.promises.pending();
                self.reject(promise, label.clone());
                Value::Promise(promise)
            }
            Await::NextTick | Await::Immediate | Await::Pool | Await::Sleep(_) => {
                let promise = self.promises.pending();
                self.fulfil_by(awaited, Action::Fulfil(promise));
                Value::Promise(promise)
            }
        };
        if self.rules.await_takes_promises_as_they_are {
            return Ok(self.promise_for(value));
        }
        let wrapper = self.promises.pending();
        self.resolve(wrapper, value);
        Ok(wrapper)
    }

    fn fulfil_by(&mut self, awaited: &Await, action: Action) {
        match awaited {
            Await::NextTick => self.tick(action),
            Await::Immediate => {
                self.immediates.push(action);
            }
            Await::Pool => self.submit(action, 1),
            Await::Sleep(ms) => {
                self.set_timer(*ms, action, None);
            }
            Await::Operand(_) | Await::Rejected(_) | Await::Async(_) => {}
        }
    }
}
