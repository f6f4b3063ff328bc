//! Event emitters.

use super::machine::{Flow, Leave, Machine};
use crate::scenario::{Callback, Label, Listen};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// An emitter: the listeners of each event.
pub(super) struct Emitter {
    listeners_max: u32,
    events: HashMap<Label, Event>,
}

#[derive(Default)]
struct Event {
    listeners: Vec<Rc<Listener>>,
    has_warned: bool,
}

/// A listener, also after it was removed.
pub(super) struct Listener {
    emitter: Label,
    event: Label,
    callback: Callback,
    once: bool,
    has_fired: Cell<bool>,
}

impl Default for Emitter {
    fn default() -> Self {
        Emitter { listeners_max: 10, events: HashMap::new() }
    }
}

impl Emitter {
    fn listeners(&self, event: &str) -> &[Rc<Listener>] {
        self.events.get(event).map_or(&[], |event| &event.listeners)
    }
}

impl Machine<'_> {
    fn emitter(&mut self, name: &Label) -> &mut Emitter {
        self.emitters.entry(name.clone()).or_default()
    }

    pub(super) fn set_listeners_max(&mut self, emitter: &Label, n: u32) {
        self.emitter(emitter).listeners_max = n;
    }

    pub(super) fn listen(
        &mut self,
        how: Listen,
        emitter: &Label,
        event: &Label,
        callback: &Callback,
    ) -> Flow<Rc<Listener>> {
        let listener = Rc::new(Listener {
            emitter: emitter.clone(),
            event: event.clone(),
            callback: callback.clone(),
            once: how.once,
            has_fired: Cell::new(false),
        });
        if self.rules.new_listener_comes_before {
            self.emit_if_heard(emitter, NEW_LISTENER)?;
        }
        if self.add(&listener, how.prepend) {
            self.warn("MaxListenersExceededWarning");
        }
        if !self.rules.new_listener_comes_before {
            self.emit_if_heard(emitter, NEW_LISTENER)?;
        }
        Ok(listener)
    }

    /// Adds a listener and tells whether that is worth a warning.
    fn add(&mut self, listener: &Rc<Listener>, prepend: bool) -> bool {
        let rules = self.rules;
        let emitter = self.emitter(&listener.emitter);
        let limit = emitter.listeners_max as usize;
        let event = emitter.events.entry(listener.event.clone()).or_default();
        let place = if prepend && rules.prepended_listeners_come_first { 0 } else { event.listeners.len() };
        event.listeners.insert(place, listener.clone());
        let leaks = limit > 0 && event.listeners.len() > limit.max(1);
        let warns = leaks && !(event.has_warned && rules.leaks_warn_once);
        event.has_warned |= warns;
        warns
    }

    pub(super) fn off(&mut self, listener: &Rc<Listener>) -> Flow {
        let rules = self.rules;
        let Some(event) = self.emitter(&listener.emitter).events.get_mut(&listener.event) else {
            return Ok(());
        };
        let Some(place) = event.listeners.iter().position(|other| Rc::ptr_eq(other, listener)) else {
            return Ok(());
        };
        event.listeners.remove(place);
        if event.listeners.len() <= 1 && rules.leak_warnings_come_back {
            event.has_warned = false;
        }
        if rules.remove_listener_is_emitted {
            self.emit_if_heard(&listener.emitter, REMOVE_LISTENER)
        } else {
            Ok(())
        }
    }

    pub(super) fn off_all(&mut self, emitter: &Label, event: &Label) -> Flow {
        let mut listeners = self.emitter(emitter).listeners(event).to_vec();
        if self.rules.off_all_removes_the_newest_first {
            listeners.reverse();
        }
        listeners.iter().try_for_each(|listener| self.off(listener))
    }

    /// Calls the listeners of the moment. `label` is what an `error` without listeners throws.
    pub(super) fn emit(&mut self, emitter: &Label, event: &str, label: Option<&Label>) -> Flow {
        let copy = self.emitter(emitter).listeners(event).to_vec();
        if copy.is_empty() && event == "error" && self.rules.errors_throw {
            return Err(Leave::Throw(label.cloned().unwrap_or_else(|| "undefined".into())));
        }
        let mut index = 0;
        loop {
            let next = if self.rules.emit_works_on_a_copy {
                copy.get(index).cloned()
            } else {
                self.emitter(emitter).listeners(event).get(index).cloned()
            };
            let Some(listener) = next else { return Ok(()) };
            match self.notify(&listener) {
                Err(Leave::Throw(label)) if !self.rules.throws_go_through_emit => {
                    self.trace.push(format!("uncaught:{label}"));
                }
                flow => flow?,
            }
            index += 1;
            self.step().map_err(|_ended| Leave::Quit)?;
        }
    }

    fn notify(&mut self, listener: &Rc<Listener>) -> Flow {
        if !listener.once {
            return self.call_back(&listener.callback);
        }
        if listener.has_fired.get() {
            return Ok(());
        }
        if !self.rules.once_is_removed_first {
            self.call_back(&listener.callback)?;
        }
        self.off(listener)?;
        listener.has_fired.set(true);
        if self.rules.once_is_removed_first { self.call_back(&listener.callback) } else { Ok(()) }
    }

    fn emit_if_heard(&mut self, emitter: &Label, event: &str) -> Flow {
        if self.emitter(emitter).listeners(event).is_empty() {
            Ok(())
        } else {
            self.emit(emitter, event, None)
        }
    }
}

const NEW_LISTENER: &str = "newListener";
const REMOVE_LISTENER: &str = "removeListener";
