//! What each operation does.

use super::echo;
use super::player::{BeforeExit, Object, Player};
use super::promise::{Handler, PromiseRef, Value};
use super::throw;
use crate::scenario::{Callback, Label, Op, PromiseStart};
use phaseloop::{LoopHandle, Timer};
use std::cell::Cell;
use std::rc::Rc;

impl Player {
    pub(super) fn execute(self: &Rc<Self>, op: &Op) {
        match op {
            Op::Log { label } => self.record(&**label),
            Op::Busy { ms } => self.busy(*ms),
            Op::Throw { label } => throw::throw(label.clone()),
            Op::Quit => {
                self.lp.end(0);
                throw::quit()
            }
            Op::NextTick(callback) => self.lp.next_tick(self.caller(callback)),
            Op::Microtask(callback) => self.microtask(callback),
            Op::Promise { start, then } => {
                let start = self.promise(start);
                self.attach(start, then);
            }
            Op::Async { call, then } => {
                let promise = self.call_async(call);
                self.attach(promise, then);
            }
            Op::Reject { label } => {
                let promise = self.rejected(label.clone());
                self.name(label, Object::Promise(promise));
            }
            Op::Catch { id, callback } => self.catch(id, callback),
            Op::Immediate(callback) => {
                let id = self.lp.set_immediate(self.caller(callback));
                self.name(&callback.label, Object::Immediate(id));
            }
            Op::Message(callback) => {
                self.lp.set_immediate(self.caller(callback));
            }
            Op::Timeout { ms, callback } => {
                let id = self.lp.set_refreshable_timeout_ms(*ms, self.caller(callback));
                self.name(&callback.label, Object::Timer(id));
            }
            Op::Interval { ms, times, callback } => self.interval(*ms, *times, callback),
            Op::Clear { id } => self.clear(id),
            Op::Refresh { id } => self.refresh(id),
            Op::Ref { id } => self.reference(id, true),
            Op::Unref { id } => self.reference(id, false),
            Op::Pool(callback) => self.jobs.compute(self.caller(callback)),
            Op::Stat(callback) => self.jobs.stat(self.caller(callback)),
            Op::ReadFile(callback) => self.read_file(callback),
            Op::Send(callback) => self.send(self.caller(callback)),
            Op::Echo(callback) => {
                echo::start(&self.lp, self.caller(callback)).expect("a loopback port is free")
            }
            Op::Close(callback) => {
                // The plainest handle: it is never started, so only its close is to be seen.
                Timer::new(&self.lp).close_with(self.caller(callback));
            }
            Op::Listen { .. }
            | Op::Off { .. }
            | Op::OffAll { .. }
            | Op::Emit { .. }
            | Op::SetMaxListeners { .. } => self.execute_on_emitter(op),
            Op::BeforeExit { times, callback } => self.add_before_exit(*times, callback),
            Op::Exit(callback) => self.exit.borrow_mut().push(callback.clone()),
        }
    }

    fn read_file(self: &Rc<Self>, callback: &Callback) {
        let player = Rc::clone(self);
        self.jobs.read_file(move |part| player.step_silently(part), self.caller(callback));
    }

    fn microtask(self: &Rc<Self>, callback: &Callback) {
        if self.language.microtasks_are_plain {
            self.lp.queue_microtask(self.caller(callback));
        } else {
            let promise = self.fulfilled();
            self.then(&promise, Handler::Call(callback.clone()), Handler::PassOn);
        }
    }

    fn promise(self: &Rc<Self>, start: &PromiseStart) -> PromiseRef {
        match start {
            PromiseStart::Value => self.fulfilled(),
            PromiseStart::Promise => self.resolved(Value::Promise(self.fulfilled())),
            PromiseStart::Thenable(label) => self.resolved(Value::Thenable(Some(label.clone()))),
        }
    }

    fn catch(self: &Rc<Self>, id: &Label, callback: &Callback) {
        if let Some(Object::Promise(promise)) = self.object(id) {
            self.then(&promise, Handler::PassOn, Handler::Call(callback.clone()));
        }
    }

    /// In the call that is the last one the interval clears itself, after the label is recorded.
    fn interval(self: &Rc<Self>, ms: f64, times: u32, callback: &Callback) {
        let (player, code, mut calls) = (Rc::clone(self), callback.clone(), 0);
        let own_id = Rc::new(Cell::new(None));
        let set_id = Rc::clone(&own_id);
        let id = self.lp.set_interval_ms(ms, move |lp: &LoopHandle| {
            calls += 1;
            player.record(&*code.label);
            if let Some(id) = own_id.get().filter(|_| calls == times) {
                lp.clear_timeout(id);
            }
            player.execute_body(&code.body);
        });
        set_id.set(Some(id));
        self.name(&callback.label, Object::Timer(id));
    }

    fn add_before_exit(&self, times: u32, callback: &Callback) {
        let listener = BeforeExit { callback: callback.clone(), times, calls: Rc::default() };
        self.before_exit.borrow_mut().push(listener);
    }

    fn refresh(&self, id: &Label) {
        if let Some(Object::Timer(timer)) = self.object(id) {
            self.lp.refresh_timeout(timer);
        }
    }

    fn clear(&self, id: &Label) {
        match self.object(id) {
            Some(Object::Timer(timer)) => self.lp.clear_timeout(timer),
            Some(Object::Immediate(immediate)) => self.lp.clear_immediate(immediate),
            _ => false,
        };
    }

    fn reference(&self, id: &Label, is_referenced: bool) {
        match (self.object(id), is_referenced) {
            (Some(Object::Timer(timer)), true) => self.lp.ref_timeout(timer),
            (Some(Object::Timer(timer)), false) => self.lp.unref_timeout(timer),
            (Some(Object::Immediate(immediate)), true) => self.lp.ref_immediate(immediate),
            (Some(Object::Immediate(immediate)), false) => self.lp.unref_immediate(immediate),
            _ => false,
        };
    }

    fn send(&self, on_read: impl FnOnce(&LoopHandle) + 'static) {
        let stream = self.stream.as_ref().expect("a program that sends has a stream");
        stream.send(on_read);
    }
}
