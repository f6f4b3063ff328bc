//! What each operation does.

use super::machine::{Action, BeforeExit, Closing, Flow, Leave, Machine, Object};
use super::promise::{Handler, Job, Value};
use super::timer_lists::Repeat;
use crate::scenario::{Callback, Label, Op, PromiseStart};

impl Machine<'_> {
    pub(super) fn execute(&mut self, op: &Op) -> Flow {
        self.late();
        let act = |callback: &Callback| Action::Call(callback.clone());
        match op {
            Op::Log { label } => self.record(label),
            Op::Busy { ms } => self.clock += ms.max(0.0),
            Op::Throw { label } => return Err(Leave::Throw(label.clone())),
            Op::Quit => return Err(Leave::Quit),
            Op::NextTick(callback) => self.tick(act(callback)),
            Op::Microtask(callback) => self.microtask(callback),
            Op::Promise { start, then } => {
                let start = self.promise(start);
                self.attach(start, then);
            }
            Op::Async { call, then } => {
                let promise = self.call_async(call)?;
                self.attach(promise, then);
            }
            Op::Reject { label } => {
                let promise = self.promises.pending();
                self.reject(promise, label.clone());
                self.name(label, Object::Promise(promise));
            }
            Op::Catch { id, callback } => self.catch(id, callback),
            Op::Immediate(callback) => {
                let immediate = self.immediates.push(act(callback));
                self.name(&callback.label, Object::Immediate(immediate));
            }
            Op::Message(callback) => self.post(act(callback)),
            Op::Timeout { ms, callback } => {
                let timer = self.set_timer(*ms, act(callback), None);
                self.name(&callback.label, Object::Timer(timer));
            }
            Op::Interval { ms, times, callback } => {
                let repeat = Repeat { times: *times, calls: 0 };
                let timer = self.set_timer(*ms, act(callback), Some(repeat));
                self.name(&callback.label, Object::Timer(timer));
            }
            Op::Clear { id } => self.clear(id),
            Op::Refresh { id } => {
                if let Some(Object::Timer(timer)) = self.objects.get(id) {
                    self.refresh_timer(*timer);
                }
            }
            Op::Ref { id } => self.reference(id, true),
            Op::Unref { id } => self.reference(id, false),
            Op::Pool(callback) | Op::Stat(callback) => self.submit(act(callback), 1),
            Op::ReadFile(callback) => self.submit(act(callback), self.rules.read_file_jobs()),
            Op::Send(callback) => self.io.send(act(callback)),
            Op::Echo(callback) => self.io.echo(self.noise.echo_hops(), act(callback)),
            Op::Close(callback) => self.closing.push(Closing::Call(callback.clone())),
            Op::Listen { how, emitter, event, callback } => {
                let listener = self.listen(*how, emitter, event, callback)?;
                self.name(&callback.label, Object::Listener(listener));
            }
            Op::Off { id } => {
                if let Some(Object::Listener(listener)) = self.objects.get(id).cloned() {
                    self.off(&listener)?;
                }
            }
            Op::OffAll { emitter, event } => self.off_all(emitter, event)?,
            Op::Emit { emitter, event, label } => self.emit(emitter, event, label.as_ref())?,
            Op::SetMaxListeners { emitter, n } => self.set_listeners_max(emitter, *n),
            Op::BeforeExit { times, callback } => {
                self.before_exit.push(BeforeExit { callback: callback.clone(), times: *times, calls: 0 });
            }
            Op::Exit(callback) => self.exit.push(callback.clone()),
        }
        Ok(())
    }

    fn name(&mut self, label: &Label, object: Object) {
        self.objects.insert(label.clone(), object);
    }

    fn microtask(&mut self, callback: &Callback) {
        if self.rules.microtasks_are_plain {
            self.microtasks.push_back(Job::Microtask(callback.clone()));
        } else {
            let promise = self.fulfilled();
            self.then(promise, Handler::Call(callback.clone()), Handler::PassOn);
        }
    }

    fn promise(&mut self, start: &PromiseStart) -> usize {
        let value = match start {
            PromiseStart::Value => return self.fulfilled(),
            PromiseStart::Promise => Value::Promise(self.fulfilled()),
            PromiseStart::Thenable(label) => Value::Thenable(Some(label.clone())),
        };
        let promise = self.promises.pending();
        self.resolve(promise, value);
        promise
    }

    fn catch(&mut self, id: &Label, callback: &Callback) {
        if let Some(Object::Promise(promise)) = self.objects.get(id) {
            self.then(*promise, Handler::PassOn, Handler::Call(callback.clone()));
        }
    }

    fn clear(&mut self, id: &Label) {
        match self.objects.get(id) {
            Some(Object::Timer(timer)) => self.clear_timer(*timer),
            Some(Object::Immediate(immediate)) => {
                self.immediates.clear(*immediate, self.rules.running_immediates_can_be_cleared);
            }
            _ => {}
        }
    }

    fn reference(&mut self, id: &Label, is_referenced: bool) {
        match self.objects.get(id) {
            Some(Object::Timer(timer)) => self.reference_timer(*timer, is_referenced),
            Some(Object::Immediate(immediate)) => self.immediates.reference(*immediate, is_referenced),
            _ => {}
        }
    }
}
