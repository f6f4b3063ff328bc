//! The handle: a callback for a signal.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;

use super::hub::{Started, Watches};
use super::number::Signal;
use crate::driver::Token;
use crate::state::handles::HandleKind;
use crate::state::sources::gone;
use crate::state::{Callback, Closing, LoopHandle};

/// Calls back when the process gets a signal: libuv's `uv_signal_t`.
///
/// Any number of watchers, of one loop or several, may watch the same signal, and each is told. The signal's own effect,
/// such as to end the process, does not take place while anybody watches it, and is restored when nobody does.
///
/// Cheap to clone; clones are the same handle. A started watcher keeps the loop alive unless it is `unref`'d. The loop holds
/// it until it is stopped or closed.
///
/// # Ordering
/// In the poll phase, with a checkpoint after each call. What arrived together is told in the order of the signals' numbers,
/// and to the watchers of one signal in the order of their starts. Source: libuv, `uv__signal_event`.
///
/// A watcher is told of each arrival. The system itself keeps only one of a number that waits to be delivered, and a loop
/// that does not poll is told of at most 1024 of a number.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, RunMode, signal::{Signal, SignalWatcher}};
/// let lp = EventLoop::new()?;
/// let watcher = SignalWatcher::new(&lp)?;
/// watcher.start(Signal::USR1, |watcher, signal| {
///     assert_eq!(signal, Signal::USR1);
///     watcher.close();
/// })?;
/// # let pid = std::process::id().to_string();
/// std::process::Command::new("kill").args(["-USR1", &pid]).status()?;
/// lp.run(RunMode::Default)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct SignalWatcher {
    inner: Rc<Inner>,
}

type OnSignal = Box<dyn FnMut(&SignalWatcher, Signal)>;

struct Inner {
    lp: LoopHandle,
    token: Token,
    site: &'static Location<'static>,
    started: RefCell<Option<Started>>,
    on_signal: Cell<Option<OnSignal>>,
    once: Cell<bool>,
    starts: Cell<u32>,
    closed: Cell<bool>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lp.close_source(self.token);
    }
}

impl SignalWatcher {
    /// Makes a handle that watches nothing yet.
    ///
    /// # Errors
    /// `NotConnected` if the loop is gone.
    #[track_caller]
    pub fn new(lp: &LoopHandle) -> io::Result<Self> {
        let site = Location::caller();
        let token = lp.add_source(-1, HandleKind::Signal, site)?;
        let inner = Inner {
            lp: lp.clone(),
            token,
            site,
            started: RefCell::new(None),
            on_signal: Cell::new(None),
            once: Cell::new(false),
            starts: Cell::new(0),
            closed: Cell::new(false),
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Calls `on_signal` each time `signal` arrives, from the next poll phase on. A started watcher is started anew.
    ///
    /// # Errors
    /// `InvalidInput` for a signal that can not be watched: SIGKILL, SIGSTOP, and those of faulty instructions.
    /// `NotConnected` for a closed watcher, and what the system says when no descriptor is left. The callback is then
    /// dropped, and the watcher stopped.
    ///
    /// # Platform
    /// A signal that all threads of the process block never arrives.
    pub fn start(&self, signal: Signal, on_signal: impl FnMut(&Self, Signal) + 'static) -> io::Result<()> {
        let mut on_signal = on_signal;
        match self.inner.lp.captured_context() {
            None => self.start_with(signal, Box::new(on_signal), false),
            context => {
                let in_context = move |watcher: &Self, signal| {
                    watcher.lp().in_context(context.clone(), || on_signal(watcher, signal));
                };
                self.start_with(signal, Box::new(in_context), false)
            }
        }
    }

    /// As [`start`](Self::start), but stops before it calls back: at most one signal is told.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_once(
        &self,
        signal: Signal,
        on_signal: impl FnOnce(&Self, Signal) + 'static,
    ) -> io::Result<()> {
        let mut on_signal = Some((self.inner.lp.captured_context(), on_signal));
        let once = move |watcher: &Self, signal| {
            if let Some((context, on_signal)) = on_signal.take() {
                watcher.lp().in_context(context, || on_signal(watcher, signal));
            }
        };
        self.start_with(signal, Box::new(once), true)
    }

    /// Calls back no more, not even in the running poll phase. `start` may follow.
    pub fn stop(&self) {
        let inner = &self.inner;
        let old = (inner.started.take(), inner.on_signal.take());
        inner.lp.update_source(inner.token, |flags| flags.active = false);
        drop(old);
    }

    /// The loop this handle belongs to.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.lp
    }

    /// Stops, for good. A signal that has arrived and was not told yet is not told any more.
    pub fn close(&self) {
        self.close_now(None);
    }

    /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if the handle
    /// was closed before.
    pub fn close_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> bool {
        let callback = self.inner.lp.wrap(on_close);
        self.close_now(Some(callback))
    }

    /// True from `close` on.
    pub fn is_closing(&self) -> bool {
        self.inner.closed.get()
    }

    /// True while it is started.
    pub fn is_active(&self) -> bool {
        self.inner.started.borrow().is_some()
    }

    /// Lets a started watcher keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = true);
    }

    /// Lets the loop end while the watcher is started.
    pub fn unref(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = false);
    }

    fn start_with(&self, signal: Signal, on_signal: OnSignal, once: bool) -> io::Result<()> {
        self.stop();
        let inner = &self.inner;
        if inner.closed.get() {
            return Err(gone());
        }
        let started = Started::new(&inner.lp, signal, Rc::clone(inner) as Rc<dyn Watches>, inner.site)?;
        inner.starts.set(inner.starts.get().wrapping_add(1));
        inner.once.set(once);
        inner.on_signal.set(Some(on_signal));
        inner.started.replace(Some(started));
        inner.lp.update_source(inner.token, |flags| flags.active = true);
        Ok(())
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        let inner = &self.inner;
        if inner.closed.replace(true) {
            return false;
        }
        self.stop();
        inner.lp.close_source(inner.token);
        if !inner.lp.state.closed.get() {
            inner.lp.state.alive.hold();
            inner.lp.state.closing.borrow_mut().push(Closing { release: None, callback });
        }
        true
    }
}

impl Watches for Inner {
    fn signalled(self: Rc<Self>, lp: &LoopHandle, signal: Signal) {
        let watcher = SignalWatcher { inner: self };
        let inner = &watcher.inner;
        let mut running = PutBack { inner, start: inner.starts.get(), on_signal: inner.on_signal.take() };
        if inner.once.get() {
            watcher.stop();
        }
        lp.call(|_| {
            if let Some(on_signal) = &mut running.on_signal {
                on_signal(&watcher, signal);
            }
            drop(running);
        });
    }

    fn forget(&self) {
        drop((self.started.take(), self.on_signal.take()));
    }
}

/// Puts a callback back after its call, also if it panicked, unless it was stopped or replaced in it.
struct PutBack<'a> {
    inner: &'a Inner,
    start: u32,
    on_signal: Option<OnSignal>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if self.inner.started.borrow().is_some() && self.inner.starts.get() == self.start {
            self.inner.on_signal.set(self.on_signal.take());
        }
    }
}

impl fmt::Debug for SignalWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalWatcher").field("active", &self.is_active()).finish_non_exhaustive()
    }
}
