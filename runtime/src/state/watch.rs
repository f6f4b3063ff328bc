//! Watching callbacks: what is told of each one while somebody watches.
//!
//! What runs is named by whoever knows it: `wrap` notes where it was queued, `run_task` the task, `call_handle` the handle, and poll
//! the source. The last three are a store each, the first is done only while a timeline asks for it.
//!
//! INVARIANT unusual: the flag is set while the program has ended or somebody watches. `invoke` looks at it and at nothing
//! else, so a loop that nobody watches reads no clock and pays what it paid anyhow, for the end of the program.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;

use super::call::Thrown;
use super::handles::{HandleKey, HandleKind};
use super::place::QueueKind;
use super::{LoopHandle, LoopState};
use crate::driver::Token;
use crate::schedule::Phase;
use crate::time::clock::Nanos;

/// Whoever is told of callbacks. Nothing of it may run user code.
pub(crate) trait Watch {
    /// A callback is about to run.
    fn began(&self, _call: &Call) {}

    /// The callback that was told of last has returned or panicked, at `end`.
    fn ended(&self, call: &Call, named: &Named, end: Nanos);

    /// The loop slept in poll.
    fn slept(&self, _turn: u64, _from: Nanos, _until: Nanos) {}
}

/// One run of a callback.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Counts the calls of a loop that were watched.
    pub(crate) number: u64,
    pub(crate) turn: u64,
    pub(crate) at: Nanos,
    pub(crate) phase: Option<Phase>,
    pub(crate) queue: QueueKind,
}

/// What a moment of a loop was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A callback that is none of the others: of a queue, a timer, or posted by another thread.
    Callback,
    /// A poll of a task.
    Task,
    /// A callback of a handle, or the wakes of tasks that wait for it.
    Handle(HandleKind),
    /// Nothing: the loop slept in poll.
    Sleep,
}

/// What ran, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub(crate) what: What,
    pub(crate) site: Option<&'static Location<'static>>,
    /// Since when it could have run.
    pub(crate) since: Option<Nanos>,
}

/// Where and when a callback was queued.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) site: &'static Location<'static>,
    /// `None` for what waits for something else than its turn: a timer, or a close.
    pub(crate) since: Option<Nanos>,
}

/// Who watches a loop.
#[derive(Default)]
pub(crate) struct Watching {
    unusual: Cell<bool>,
    watchers: RefCell<Vec<Rc<dyn Watch>>>,
    calls: Cell<u64>,
    /// A context is in force, or a timeline asks where callbacks were queued: they carry more than their code.
    carrying: Cell<bool>,
    timelines: Cell<usize>,
    context: Cell<bool>,
    queued: Cell<Option<Queued>>,
    task: Cell<Option<&'static Location<'static>>>,
    handle: Cell<Option<HandleKey>>,
    source: Cell<Option<Token>>,
}

impl Watching {
    /// True if `invoke` has more to do than to run the code.
    #[inline]
    pub(crate) fn is_unusual(&self) -> bool {
        self.unusual.get()
    }

    /// Notes that the program has ended. It stays so.
    pub(crate) fn end(&self) {
        self.unusual.set(true);
    }

    /// True if callbacks that are queued now carry more than their code.
    #[inline]
    pub(crate) fn is_carrying(&self) -> bool {
        self.carrying.get()
    }

    pub(super) fn has_context(&self, context: bool) {
        self.context.set(context);
        self.carrying.set(context || self.timelines.get() > 0);
    }

    /// Counts the timelines, for which callbacks say where they were queued.
    pub(crate) fn count_timelines(&self, change: impl FnOnce(usize) -> usize) {
        self.timelines.update(change);
        self.has_context(self.context.get());
    }

    #[inline]
    pub(crate) fn note_task(&self, site: &'static Location<'static>) {
        self.task.set(Some(site));
    }

    /// The task that was noted, if what runs is one.
    pub(crate) fn task(&self) -> Option<&'static Location<'static>> {
        self.task.get()
    }

    /// Notes again what was noted before.
    pub(crate) fn restore_task(&self, task: Option<&'static Location<'static>>) {
        self.task.set(task);
    }

    #[inline]
    pub(crate) fn note_handle(&self, key: HandleKey) {
        self.handle.set(Some(key));
    }

    /// Notes which source poll serves.
    #[inline]
    pub(crate) fn note_source(&self, token: Option<Token>) {
        self.source.set(token);
    }

    pub(crate) fn note_queued(&self, queued: Option<Queued>) {
        self.queued.set(queued);
    }

    /// The number of the call that was watched last.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.get()
    }
}

impl LoopState {
    /// Tells `watcher` of all callbacks that begin from here on.
    pub(crate) fn watch(&self, watcher: Rc<dyn Watch>) {
        self.watching.watchers.borrow_mut().push(watcher);
        self.watching.unusual.set(true);
    }

    /// Tells `watcher` nothing more.
    pub(crate) fn unwatch(&self, watcher: &Rc<dyn Watch>) {
        let mut watchers = self.watching.watchers.borrow_mut();
        watchers.retain(|known| !Rc::ptr_eq(known, watcher));
        self.watching.unusual.set(!watchers.is_empty() || self.ended.get().is_some());
    }

    /// Where something was made that waits for more than its turn, while a timeline asks.
    pub(crate) fn made(&self, site: &'static Location<'static>) -> Option<Queued> {
        (self.watching.timelines.get() > 0).then_some(Queued { site, since: None })
    }

    /// Where and when something is queued, while a timeline asks.
    pub(crate) fn queued(&self, site: &'static Location<'static>) -> Option<Queued> {
        self.made(site).map(|queued| Queued { since: Some(self.clock.read()), ..queued })
    }

    /// What ran in `call`, from what was noted meanwhile.
    fn named(&self, call: &Call) -> Named {
        let Watching { queued, task, handle, source, .. } = &self.watching;
        let mut named = Named { what: What::Callback, site: None, since: None };
        if let Some(queued) = queued.take() {
            (named.site, named.since) = (Some(queued.site), queued.since);
        }
        if let Some(site) = task.take() {
            (named.what, named.site) = (What::Task, Some(site));
        }
        let of_handle = handle
            .take()
            .and_then(|key| self.handles.borrow().get(key).map(|handle| (handle.kind, handle.site)));
        let token = source.get().filter(|_| call.queue == QueueKind::Callbacks);
        let of_source = token.and_then(|token| self.sources.with(token, |source| (source.kind, source.site)));
        if let Some((kind, site)) = of_source.or(of_handle) {
            (named.what, named.site) = (What::Handle(kind), Some(site));
        }
        named
    }

    /// Tells of a sleep that ended `until`. It is called once a sleep.
    pub(crate) fn slept(&self, from: Nanos, until: Nanos) {
        self.watching
            .watchers
            .borrow()
            .iter()
            .for_each(|watcher| watcher.slept(self.metrics.turns(), from, until));
    }
}

impl LoopHandle {
    /// `invoke` for a loop that is watched, or whose program has ended: then nothing runs.
    ///
    /// It takes `f` by value: a pointer would have `invoke` keep `f` in memory for this rare case.
    #[cold]
    #[inline(never)]
    pub(super) fn invoke_unusual(&self, f: impl FnOnce(&Self)) -> Result<(), Thrown> {
        let mut f = Some(f);
        self.invoke_watched(&mut |lp| f.take().into_iter().for_each(|f| f(lp)))
    }

    fn invoke_watched(&self, f: &mut dyn FnMut(&Self)) -> Result<(), Thrown> {
        if self.has_ended() {
            return Err(Thrown); // nothing runs after the exit hook
        }
        let _watched = Watched::begin(&self.state);
        self.run_user_code(f)
    }
}

/// A call that is told of: its end too, also if a panic leaves it.
struct Watched<'a> {
    lp: &'a LoopState,
    call: Call,
}

impl<'a> Watched<'a> {
    fn begin(lp: &'a LoopState) -> Self {
        let Watching { calls, watchers, queued, task, handle, .. } = &lp.watching;
        calls.set(calls.get() + 1);
        // Noted while nobody watched.
        queued.set(None);
        task.set(None);
        handle.set(None);
        let (phase, queue) = (lp.phase.get(), lp.queue.get());
        let call = Call { number: calls.get(), turn: lp.metrics.turns(), at: lp.clock.read(), phase, queue };
        watchers.borrow().iter().for_each(|watcher| watcher.began(&call));
        Self { lp, call }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let (end, named) = (self.lp.clock.read(), self.lp.named(&self.call));
        let watchers = self.lp.watching.watchers.borrow();
        watchers.iter().for_each(|watcher| watcher.ended(&self.call, &named, end));
    }
}
