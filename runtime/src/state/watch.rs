//! Watching callbacks: what is told of each one while somebody watches.
//!
//! INVARIANT unusual: the flag is set while the program has ended or somebody watches. `invoke` looks at it and at nothing
//! else, so a loop that nobody watches reads no clock and pays what it paid anyhow, for the end of the program.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::call::Thrown;
use super::place::QueueKind;
use super::{LoopHandle, LoopState};
use crate::schedule::Phase;
use crate::time::clock::Nanos;

/// Whoever is told of callbacks. Nothing of it may run user code.
pub(crate) trait Watch {
    /// A callback is about to run.
    fn began(&self, _call: &Call) {}

    /// The callback that was told of last has returned or panicked, at `end`.
    fn ended(&self, call: &Call, end: Nanos);

    /// The loop slept in poll.
    fn slept(&self, _from: Nanos, _until: Nanos) {}
}

/// One run of a callback.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Counts the calls of a loop that were watched.
    pub(crate) number: u64,
    pub(crate) at: Nanos,
    pub(crate) phase: Option<Phase>,
    pub(crate) queue: QueueKind,
}

/// Who watches a loop.
#[derive(Default)]
pub(crate) struct Watching {
    unusual: Cell<bool>,
    watchers: RefCell<Vec<Rc<dyn Watch>>>,
    calls: Cell<u64>,
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

    /// Tells of a sleep that ended `until`. It is called once a sleep.
    pub(crate) fn slept(&self, from: Nanos, until: Nanos) {
        self.watching.watchers.borrow().iter().for_each(|watcher| watcher.slept(from, until));
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
        let Watching { calls, watchers, .. } = &lp.watching;
        calls.set(calls.get() + 1);
        let call =
            Call { number: calls.get(), at: lp.clock.read(), phase: lp.phase.get(), queue: lp.queue.get() };
        watchers.borrow().iter().for_each(|watcher| watcher.began(&call));
        Self { lp, call }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let end = self.lp.clock.read();
        self.lp.watching.watchers.borrow().iter().for_each(|watcher| watcher.ended(&self.call, end));
    }
}
