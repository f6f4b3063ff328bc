//! The operations on emitters, and the two events that an emitter makes of its listeners.

use super::player::{Object, Player};
use super::throw;
use crate::scenario::{Callback, Label, Listen};
use phaseloop::{Event, EventEmitter, ListenerOptions, Warning};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The emitters by name.
pub(super) type Emitters = RefCell<HashMap<Label, EventEmitter<Label>>>;

impl Player {
    /// The emitter of that name; made when it is first named.
    pub(super) fn emitter(&self, name: &Label) -> EventEmitter<Label> {
        let mut emitters = self.emitters.borrow_mut();
        let make = || {
            let (emitter, lp) = (EventEmitter::new(), self.lp.clone());
            emitter.on_leak(move |_, _| lp.emit_warning(Warning::MaxListenersExceeded));
            emitter
        };
        emitters.entry(name.clone()).or_insert_with(make).clone()
    }

    pub(super) fn listen(self: &Rc<Self>, how: Listen, name: &Label, event: &Label, callback: &Callback) {
        let emitter = self.emitter(name);
        let options = ListenerOptions { prepend: how.prepend, once: how.once };
        let (player, code) = (Rc::clone(self), callback.clone());
        let listener = match event_of(event) {
            Event::Key(key) => emitter.add(key, options, move |()| player.call(&code)),
            Event::ListenerAdded => emitter.on_listener_added(options, move |_| player.call(&code)),
            Event::ListenerRemoved => emitter.on_listener_removed(options, move |_| player.call(&code)),
        };
        self.name(&callback.label, Object::Listener(emitter, listener));
    }

    pub(super) fn off_all(&self, name: &Label, event: &Label) {
        self.emitter(name).remove_all(&event_of(event));
    }

    /// `label` is what an `error` without listeners throws.
    pub(super) fn emit(&self, name: &Label, event: &Label, label: Option<&Label>) {
        let emitter = self.emitter(name);
        match event_of(event) {
            Event::Key(key) if *key == *"error" => {
                if emitter.emit_error(&key, ()).is_err() {
                    throw::throw(label.cloned().unwrap_or_else(|| "undefined".into()));
                }
            }
            Event::Key(key) => {
                emitter.emit(&key, &());
            }
            own => emitter.emit_own(&own, &Event::Key(event.clone())),
        }
    }
}

fn event_of(name: &Label) -> Event<Label> {
    match &**name {
        "newListener" => Event::ListenerAdded,
        "removeListener" => Event::ListenerRemoved,
        _ => Event::Key(name.clone()),
    }
}
