//! Idle, prepare and check handles: callbacks that run once in each turn.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

use crate::error::Closing;
use crate::state::handles::{Body, Handle, HandleKey, HandleKind};
use crate::state::liveness::Flags;
use crate::state::watchers::{Started, WatcherList};
use crate::state::{HandleCallback, LoopHandle, LoopState};

mod kinds {
    use super::{HandleKind, LoopState, WatcherList};

    /// Which of the three kinds a watcher is. Sealed.
    pub trait Kind: 'static {
        #[doc(hidden)]
        const KIND: HandleKind;
    }

    #[derive(Debug)]
    pub enum OfIdle {}
    #[derive(Debug)]
    pub enum OfPrepare {}
    #[derive(Debug)]
    pub enum OfCheck {}

    impl Kind for OfIdle {
        const KIND: HandleKind = HandleKind::Idle;
    }
    impl Kind for OfPrepare {
        const KIND: HandleKind = HandleKind::Prepare;
    }
    impl Kind for OfCheck {
        const KIND: HandleKind = HandleKind::Check;
    }

    pub(crate) fn list(state: &LoopState, kind: HandleKind) -> &WatcherList {
        match kind {
            HandleKind::Idle => &state.idle,
            HandleKind::Prepare => &state.prepare,
            _ => &state.check,
        }
    }
}

/// Runs its callback once a turn, in the idle phase. While one is active, poll does not wait.
pub type Idle = Watcher<kinds::OfIdle>;
/// Runs its callback once a turn, just before poll.
pub type Prepare = Watcher<kinds::OfPrepare>;
/// Runs its callback once a turn, just after poll and before the immediates.
pub type Check = Watcher<kinds::OfCheck>;

/// A handle whose callback runs in every turn: [`Idle`], [`Prepare`] or [`Check`].
///
/// Cheap to clone; clones are the same handle. Dropping it does not close it: `close` does, and so does the end of the
/// loop.
///
/// # Ordering
/// Within a phase, last started first; one that is started in the phase waits for the next turn, one that is stopped in
/// it does not run. Source: libuv, `uv__run_idle` and siblings; PROMISES `queue_foreach_delete`.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, Idle, RunMode};
/// let lp = EventLoop::new()?;
/// let idle = Idle::new(&lp);
/// let mut turns = 0;
/// idle.start(move |idle| {
///     turns += 1;
///     if turns == 3 {
///         idle.close();
///     }
/// })?;
/// lp.run(RunMode::Default)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Watcher<K: kinds::Kind> {
    lp: LoopHandle,
    key: HandleKey,
    _kind: PhantomData<K>,
}

impl<K: kinds::Kind> Clone for Watcher<K> {
    fn clone(&self) -> Self {
        Self { lp: self.lp.clone(), key: self.key, _kind: PhantomData }
    }
}

impl<K: kinds::Kind> fmt::Debug for Watcher<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("kind", &K::KIND).field("active", &self.is_active()).finish()
    }
}

impl<K: kinds::Kind> Watcher<K> {
    /// Makes a handle that is not started.
    #[track_caller]
    pub fn new(lp: &LoopHandle) -> Self {
        let key = lp.open_handle(K::KIND, Body::Watcher { started: 0 }, Location::caller());
        Self { lp: lp.clone(), key, _kind: PhantomData }
    }

    /// Runs `callback` in every turn from now on. A handle that is active only gets the new callback.
    ///
    /// # Errors
    /// `Closing` if the handle was closed. The callback is then dropped.
    pub fn start(&self, mut callback: impl FnMut(&Self) + 'static) -> Result<(), Closing> {
        let key = self.key;
        let callback = self.lp.wrap_mut(move |lp: &LoopHandle| {
            callback(&Self { lp: lp.clone(), key, _kind: PhantomData });
        });
        let old = self.lp.update_open(self.key, |handle| handle.callback.replace(callback))?;
        drop(old);
        if !self.is_active() {
            let number = kinds::list(&self.lp.state, K::KIND).start(self.key);
            self.lp.update_open(self.key, |handle| {
                handle.body = Body::Watcher { started: number };
                handle.flags.update(&self.lp.state.alive, |flags| flags.active = true);
            })?;
        }
        Ok(())
    }

    /// Runs the callback no more, not even in the running phase. `start` may follow.
    pub fn stop(&self) {
        stop(&self.lp, self.key);
    }
}

/// Stops a watcher; its callback is dropped.
pub(crate) fn stop(lp: &LoopHandle, key: HandleKey) {
    let stopped = lp.state.handles.borrow_mut().get_mut(key).and_then(|handle| {
        handle.flags.active.then(|| {
            handle.flags.update(&lp.state.alive, |flags| flags.active = false);
            (handle.kind, handle.callback.take())
        })
    });
    if let Some((kind, callback)) = stopped {
        kinds::list(&lp.state, kind).stop();
        drop(callback);
    }
}

/// Runs the watchers of `list` that were started before.
pub(crate) fn run_batch(lp: &LoopHandle, list: &WatcherList) {
    if list.active() == 0 {
        return;
    }
    list.begin(|start| is_current(lp, start));
    while let Some(start) = list.next() {
        if is_current(lp, start) {
            lp.call(|lp| lp.call_handle(start.key));
        }
    }
}

fn is_current(lp: &LoopHandle, start: Started) -> bool {
    lp.state.handles.borrow().get(start.key).is_some_and(|handle| {
        handle.flags.active && matches!(handle.body, Body::Watcher { started } if started == start.number)
    })
}

crate::handle::walk::handle_methods!([K: kinds::Kind] Watcher<K>);

impl LoopHandle {
    /// Adds a handle to the table. That of a closed loop takes none: then the key finds nothing.
    pub(crate) fn open_handle(
        &self,
        kind: HandleKind,
        body: Body,
        site: &'static Location<'static>,
    ) -> HandleKey {
        if self.state.closed.get() {
            return HandleKey::NEVER_USED;
        }
        let handle = Handle { kind, flags: Flags::new(), site, callback: None, body };
        self.state.handles.borrow_mut().insert(handle)
    }

    /// Changes a handle that is not closing.
    pub(crate) fn update_open<R>(
        &self,
        key: HandleKey,
        f: impl FnOnce(&mut Handle) -> R,
    ) -> Result<R, Closing> {
        let mut handles = self.state.handles.borrow_mut();
        handles.get_mut(key).filter(|handle| !handle.flags.closing).map(f).ok_or(Closing)
    }

    /// Runs a handle's callback, which may do anything to the handle, and puts it back if it still has a place.
    pub(crate) fn call_handle(&self, key: HandleKey) {
        let taken = self.state.handles.borrow_mut().get_mut(key).and_then(|handle| handle.callback.take());
        let Some(callback) = taken else { return };
        self.state.watching.note_handle(key);
        let outer = self.state.calling.replace(Some(key));
        let mut restore = PutBack { lp: self, key, outer, callback: Some(callback) };
        if let Some(callback) = &mut restore.callback {
            callback(self);
        }
    }
}

/// Puts a callback back after its call, also if it panicked.
struct PutBack<'a> {
    lp: &'a LoopHandle,
    key: HandleKey,
    outer: Option<HandleKey>,
    callback: Option<HandleCallback>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        self.lp.state.calling.set(self.outer);
        let callback = self.callback.take();
        if let Some(handle) = self.lp.state.handles.borrow_mut().get_mut(self.key)
            && handle.callback.is_none()
            && handle.keeps_callback()
        {
            handle.callback = callback;
        }
        // Else it was stopped, closed or replaced by its own call, and is dropped when the borrow is over.
    }
}
