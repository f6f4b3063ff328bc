//! Async functions: frames that run up to an await and are resumed by its promise.

use super::player::Player;
use super::promise::{Handler, PromiseRef, Settled, Value};
use super::throw::catch;
use crate::scenario::{AsyncCall, Await, Step};
use phaseloop::LoopHandle;
use std::rc::Rc;
use std::sync::Arc;

/// A call of an async function that has not ended.
pub(super) struct Frame {
    steps: Arc<[Step]>,
    next: usize,
    /// What the call returned.
    promise: PromiseRef,
}

impl Player {
    /// Calls an async function; it runs up to its first await.
    pub(super) fn call_async(self: &Rc<Self>, call: &AsyncCall) -> PromiseRef {
        self.record(&*call.label);
        let promise = PromiseRef::default();
        self.resume(Frame { steps: call.steps.clone(), next: 0, promise: Rc::clone(&promise) });
        promise
    }

    /// Goes on with the next step. A throw rejects the frame's promise.
    pub(super) fn resume(self: &Rc<Self>, mut frame: Frame) {
        let steps = frame.steps.clone();
        while let Some(step) = steps.get(frame.next) {
            frame.next += 1;
            match step {
                Step::Op(op) => {
                    if let Err(label) = catch(|| self.execute(op)) {
                        return self.settle(&frame.promise, Settled::Rejected(label));
                    }
                }
                Step::Await(awaited) => {
                    let promise = self.awaited(awaited);
                    let failed = Handler::Settle(Rc::clone(&frame.promise));
                    return self.react(&promise, Handler::Resume(frame), failed, None);
                }
                Step::Return(operand) => {
                    let value = self.value_of(operand);
                    return self.resolve(&frame.promise, value);
                }
            }
        }
        self.resolve(&frame.promise, Value::Nothing);
    }

    /// The promise that an await reacts to.
    fn awaited(self: &Rc<Self>, awaited: &Await) -> PromiseRef {
        let value = match awaited {
            Await::Operand(operand) => self.value_of(operand),
            Await::Async(call) => Value::Promise(self.call_async(call)),
            Await::Rejected(label) => Value::Promise(self.rejected(label.clone())),
            Await::NextTick => self.fulfilled_by(|player, fulfil| player.lp.next_tick(fulfil)),
            Await::Immediate => self.fulfilled_by(|player, fulfil| {
                player.lp.set_immediate(fulfil);
            }),
            Await::Pool => self.fulfilled_by(|player, fulfil| player.jobs.compute(fulfil)),
            Await::Sleep(ms) => self.fulfilled_by(|player, fulfil| {
                player.lp.set_timeout_ms(*ms, fulfil);
            }),
        };
        if self.language.await_takes_promises_as_they_are {
            self.promise_for(value)
        } else {
            self.resolved(value)
        }
    }

    /// A promise that a callback of the loop fulfils, which `start` starts.
    fn fulfilled_by(self: &Rc<Self>, start: impl FnOnce(&Self, Box<dyn FnOnce(&LoopHandle)>)) -> Value {
        let promise = PromiseRef::default();
        let (player, fulfilled) = (Rc::clone(self), Rc::clone(&promise));
        let fulfil = move |_: &LoopHandle| {
            player.step_silently("await");
            player.resolve(&fulfilled, Value::Nothing);
        };
        start(self, Box::new(fulfil));
        Value::Promise(promise)
    }
}
