//! Event emitters: listeners by event, called synchronously, by Node's rules.
//!
//! Source: Node, `lib/events.js`; SEMANTICS V1 to V6.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;

/// Above this many listeners of one event the leak hook is told, unless another limit is set.
const LISTENERS_MAX: usize = 10;

/// An event of an emitter: one of the program's, or one that the emitter makes of its listeners.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<K> {
    /// A listener is about to be added.
    ListenerAdded,
    /// A listener was removed.
    ListenerRemoved,
    /// An event of the program.
    Key(K),
}

/// A listener of one emitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

/// Where a listener goes, and how often it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Runs ahead of those that are there.
    pub prepend: bool,
    /// Is removed before its first run.
    pub once: bool,
}

/// Calls listeners when an event is emitted. `K` names events, `A` is what they carry.
///
/// Cheap to clone; clones are the same emitter. It belongs to no loop: `emit` calls the listeners before it returns.
///
/// # Ordering
/// Listeners run in the order of registration, prepended ones first, and the last prepended very first. Those that are
/// added or removed while an event is emitted count from the next emit on. A once-listener is removed before it runs. A
/// panic of a listener passes through `emit`; those behind it do not run.
/// Source: SEMANTICS V1, V2, V3, X7.
///
/// # Examples
/// ```
/// use phaseloop::EventEmitter;
///
/// let tasks = EventEmitter::<&str, u32>::new();
/// tasks.on("done", |id| println!("task {id} is done"));
/// assert!(tasks.emit(&"done", &7));
/// assert!(!tasks.emit(&"failed", &8), "nobody listens");
/// ```
pub struct EventEmitter<K, A: ?Sized = ()> {
    inner: Rc<Inner<K, A>>,
}

struct Inner<K, A: ?Sized> {
    events: RefCell<HashMap<Event<K>, Entry<K, A>>>,
    next_id: Cell<u64>,
    listeners_max: Cell<usize>,
    on_leak: RefCell<Option<Rc<LeakHook<K>>>>,
}

type LeakHook<K> = dyn Fn(&Event<K>, usize);

struct Entry<K, A: ?Sized> {
    /// Copied when it is changed while an emit holds it.
    listeners: Rc<Vec<Listener<K, A>>>,
    /// The leak hook was told; it is again only after the listeners were down to one.
    warned: bool,
}

struct Listener<K, A: ?Sized> {
    id: ListenerId,
    /// Of a once-listener, shared by the copies that emits hold: whether it is still to run.
    once: Option<Rc<Cell<bool>>>,
    code: Code<K, A>,
}

enum Code<K, A: ?Sized> {
    OfKey(Rc<dyn Fn(&A)>),
    OfListeners(Rc<OnListeners<K>>),
}

type OnListeners<K> = dyn Fn(&Event<K>);

impl<K, A: ?Sized> Clone for Listener<K, A> {
    fn clone(&self) -> Self {
        let code = match &self.code {
            Code::OfKey(f) => Code::OfKey(Rc::clone(f)),
            Code::OfListeners(f) => Code::OfListeners(Rc::clone(f)),
        };
        Self { id: self.id, once: self.once.clone(), code }
    }
}

impl<K, A: ?Sized> Clone for EventEmitter<K, A> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

impl<K: Clone + Eq + Hash, A: ?Sized> EventEmitter<K, A> {
    /// Makes an emitter without listeners.
    pub fn new() -> Self {
        let inner = Inner {
            events: RefCell::default(),
            next_id: Cell::new(0),
            listeners_max: Cell::new(LISTENERS_MAX),
            on_leak: RefCell::new(None),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Adds a listener behind the others.
    pub fn on(&self, event: K, listener: impl Fn(&A) + 'static) -> ListenerId {
        self.add(event, ListenerOptions::default(), listener)
    }

    /// Adds a listener that is removed before it runs.
    pub fn once(&self, event: K, listener: impl Fn(&A) + 'static) -> ListenerId {
        self.add(event, ListenerOptions { once: true, prepend: false }, listener)
    }

    /// Adds a listener ahead of the others.
    pub fn prepend(&self, event: K, listener: impl Fn(&A) + 'static) -> ListenerId {
        self.add(event, ListenerOptions { once: false, prepend: true }, listener)
    }

    /// Adds a listener as `options` say.
    pub fn add(&self, event: K, options: ListenerOptions, listener: impl Fn(&A) + 'static) -> ListenerId {
        self.insert(Event::Key(event), options, Code::OfKey(Rc::new(listener)))
    }

    /// Adds a listener of the emitter's own events: of listeners that are added to it.
    ///
    /// It runs before the listener is added. Source: SEMANTICS V4.
    pub fn on_listener_added(
        &self,
        options: ListenerOptions,
        listener: impl Fn(&Event<K>) + 'static,
    ) -> ListenerId {
        self.insert(Event::ListenerAdded, options, Code::OfListeners(Rc::new(listener)))
    }

    /// Adds a listener of the emitter's own events: of listeners that are removed from it, also by `once`.
    ///
    /// It runs after the listener was removed. Source: SEMANTICS V4.
    pub fn on_listener_removed(
        &self,
        options: ListenerOptions,
        listener: impl Fn(&Event<K>) + 'static,
    ) -> ListenerId {
        self.insert(Event::ListenerRemoved, options, Code::OfListeners(Rc::new(listener)))
    }

    /// Removes a listener. False if it is gone.
    pub fn off(&self, id: ListenerId) -> bool {
        let event = {
            let events = self.inner.events.borrow();
            let found = events.iter().find(|(_, entry)| entry.listeners.iter().any(|known| known.id == id));
            found.map(|(event, _)| event.clone())
        };
        event.is_some_and(|event| self.remove(&event, id))
    }

    /// Removes all listeners of an event, of the program's or of the emitter's own. Where somebody listens to removals,
    /// the newest goes first. Source: SEMANTICS V4.
    pub fn remove_all(&self, event: &Event<K>) {
        if self.count(&Event::ListenerRemoved) == 0 {
            let gone = self.inner.events.borrow_mut().remove(event);
            drop(gone);
            return;
        }
        // Those of the moment: what is added meanwhile stays.
        let ids: Vec<ListenerId> = self.listeners(event).iter().map(|listener| listener.id).collect();
        for id in ids.into_iter().rev() {
            self.remove(event, id);
        }
    }

    /// Calls the listeners of `event`. False if there are none.
    ///
    /// # Panics
    /// If a listener does.
    pub fn emit(&self, event: &K, argument: &A) -> bool {
        let event = Event::Key(event.clone());
        self.run(&event, |code| {
            if let Code::OfKey(listener) = code {
                listener(argument);
            }
        })
    }

    /// Calls the listeners of an event that must not go unheard, such as an error.
    ///
    /// # Errors
    /// Gives `argument` back if there are none, where Node throws it. Source: SEMANTICS V5.
    pub fn emit_error(&self, event: &K, argument: A) -> Result<(), A>
    where
        A: Sized,
    {
        if self.emit(event, &argument) { Ok(()) } else { Err(argument) }
    }

    /// Tells the listeners of an event of the emitter's own that `about` is what has come or gone; those of an event of the
    /// program are not called. For a program that stands in for the emitter.
    pub fn emit_own(&self, event: &Event<K>, about: &Event<K>) {
        self.tell(event, about);
    }

    /// How many listeners an event has.
    pub fn listener_count(&self, event: &K) -> usize {
        self.count(&Event::Key(event.clone()))
    }

    /// The events that have listeners, in no order.
    pub fn event_keys(&self) -> Vec<K> {
        let events = self.inner.events.borrow();
        let keys = events.iter().filter_map(|(event, entry)| match event {
            Event::Key(key) if !entry.listeners.is_empty() => Some(key.clone()),
            _ => None,
        });
        keys.collect()
    }

    /// Sets above how many listeners of one event the leak hook is told; 10 by default, 0 for never.
    pub fn set_listeners_max(&self, listeners_max: usize) {
        self.inner.listeners_max.set(listeners_max);
    }

    /// Sets what is told, with the event and its count, that an event has more listeners than the limit: a likely leak.
    ///
    /// It is told once, and again only after the event's listeners were down to one. Source: SEMANTICS V6.
    pub fn on_leak(&self, hook: impl Fn(&Event<K>, usize) + 'static) {
        let old = self.inner.on_leak.replace(Some(Rc::new(hook)));
        drop(old);
    }

    fn insert(&self, event: Event<K>, options: ListenerOptions, code: Code<K, A>) -> ListenerId {
        self.tell(&Event::ListenerAdded, &event);
        let id = ListenerId(self.inner.next_id.get());
        self.inner.next_id.set(id.0 + 1);
        let once = options.once.then(|| Rc::new(Cell::new(true)));
        let listener = Listener { id, once, code };
        let leaked = {
            let mut events = self.inner.events.borrow_mut();
            let entry = events.entry(event.clone()).or_default();
            let listeners = Rc::make_mut(&mut entry.listeners);
            let at = if options.prepend { 0 } else { listeners.len() };
            listeners.insert(at, listener);
            entry.leaks(self.inner.listeners_max.get())
        };
        let hook = self.inner.on_leak.borrow().clone();
        if let (Some(count), Some(hook)) = (leaked, hook) {
            hook(&event, count);
        }
        id
    }

    fn remove(&self, event: &Event<K>, id: ListenerId) -> bool {
        let removed = {
            let mut events = self.inner.events.borrow_mut();
            let Some(entry) = events.get_mut(event) else { return false };
            let Some(at) = entry.listeners.iter().position(|known| known.id == id) else { return false };
            let removed = Rc::make_mut(&mut entry.listeners).remove(at);
            entry.warned = entry.warned && entry.listeners.len() > 1;
            // An emitter whose keys are names of single requests must not remember them all.
            let last = entry.listeners.is_empty().then(|| events.remove_entry(event));
            (removed, last)
        };
        // Dropped while nothing is borrowed: it may own anything.
        drop(removed);
        self.tell(&Event::ListenerRemoved, event);
        true
    }

    /// Emits one of the emitter's own events.
    fn tell(&self, meta: &Event<K>, about: &Event<K>) {
        self.run(meta, |code| {
            if let Code::OfListeners(listener) = code {
                listener(about);
            }
        });
    }

    fn run(&self, event: &Event<K>, call: impl Fn(&Code<K, A>)) -> bool {
        let listeners = self.listeners(event);
        for listener in listeners.iter() {
            if let Some(to_run) = &listener.once {
                if !to_run.replace(false) {
                    continue; // it ran in an emit that one of these listeners made
                }
                self.remove(event, listener.id);
            }
            call(&listener.code);
        }
        !listeners.is_empty()
    }

    /// The listeners of the moment.
    fn listeners(&self, event: &Event<K>) -> Rc<Vec<Listener<K, A>>> {
        let events = self.inner.events.borrow();
        events.get(event).map(|entry| Rc::clone(&entry.listeners)).unwrap_or_default()
    }

    fn count(&self, event: &Event<K>) -> usize {
        self.inner.events.borrow().get(event).map_or(0, |entry| entry.listeners.len())
    }
}

impl<K, A: ?Sized> Entry<K, A> {
    /// The count, if it is now above `listeners_max` and nobody was told.
    fn leaks(&mut self, listeners_max: usize) -> Option<usize> {
        let count = self.listeners.len();
        let leaks = listeners_max > 0 && count > listeners_max && !self.warned;
        self.warned |= leaks;
        leaks.then_some(count)
    }
}

impl<K, A: ?Sized> Default for Entry<K, A> {
    fn default() -> Self {
        Self { listeners: Rc::default(), warned: false }
    }
}

impl<K: Clone + Eq + Hash, A: ?Sized> Default for EventEmitter<K, A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, A: ?Sized> fmt::Debug for EventEmitter<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventEmitter").field("events", &self.inner.events.borrow().len()).finish()
    }
}
