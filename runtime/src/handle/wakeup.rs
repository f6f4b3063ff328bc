//! Wakeups: a callback that any thread can ask for.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::RemoteError;
use crate::state::LoopHandle;
use crate::state::handles::{Body, HandleKey, HandleKind};
use crate::state::inbox::{Inbox, Message};

/// Runs a callback on the loop's thread when another thread asks for it: libuv's `uv_async_t`.
///
/// It keeps the loop alive until it is closed or `unref`'d.
///
/// # Ordering
/// Runs in the poll phase. Sends coalesce: the callback runs at least once after the last send, not once for each.
/// Source: libuv, `uv_async_send`; PROMISES, Async.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, RunMode, Wakeup};
/// let lp = EventLoop::new()?;
/// let wakeup = Wakeup::new(&lp, |wakeup| wakeup.close());
/// let sender = wakeup.sender();
/// let thread = std::thread::spawn(move || sender.send());
/// lp.run(RunMode::Default)?;
/// thread.join().expect("the sender does not panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Wakeup {
    lp: LoopHandle,
    key: HandleKey,
}

impl Wakeup {
    /// Makes a wakeup. It is active from now on.
    #[track_caller]
    pub fn new(lp: &LoopHandle, mut callback: impl FnMut(&Self) + 'static) -> Self {
        let key = lp.open_signalled(HandleKind::Wakeup, Location::caller());
        let callback = lp.wrap_mut(move |lp: &LoopHandle| callback(&Self { lp: lp.clone(), key }));
        // It cannot fail: the handle was opened a line above.
        let _ = lp.update_open(key, |handle| handle.callback = Some(callback));
        Self { lp: lp.clone(), key }
    }

    /// Calls `callback` from now on. Nothing is called for what was signalled before.
    pub(crate) fn replace_callback(&self, mut callback: impl FnMut(&Self) + 'static) {
        let key = self.key;
        let callback = self.lp.wrap_mut(move |lp: &LoopHandle| callback(&Self { lp: lp.clone(), key }));
        // A wakeup that was closed calls nobody, and drops the callback.
        let _ = self.lp.update_open(key, |handle| handle.callback = Some(callback));
    }

    /// The end that other threads use.
    pub fn sender(&self) -> WakeupSender {
        WakeupSender(self.lp.signal(self.key))
    }
}

impl fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakeup").field("active", &self.is_active()).finish()
    }
}

crate::handle::walk::handle_methods!([] Wakeup);

/// Asks for a [`Wakeup`]'s callback, from any thread.
#[derive(Clone)]
pub struct WakeupSender(Signal);

impl WakeupSender {
    /// Has the callback run, at least once from now on.
    ///
    /// # Errors
    /// `Closed` if the loop is gone. A wakeup that was closed takes the call and does nothing.
    pub fn send(&self) -> Result<(), RemoteError<()>> {
        self.0.send()
    }
}

impl fmt::Debug for WakeupSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WakeupSender")
    }
}

/// The way to one handle for other threads. At most one message of it is under way.
#[derive(Clone)]
pub(crate) struct Signal {
    inbox: Arc<Inbox>,
    key: HandleKey,
    under_way: Arc<AtomicBool>,
}

impl Signal {
    pub(crate) fn send(&self) -> Result<(), RemoteError<()>> {
        // AcqRel: what this thread did before is seen by the callback, which follows the loop's swap of the same flag.
        if self.under_way.swap(true, Ordering::AcqRel) {
            return if self.inbox.is_closed() { Err(RemoteError::Closed(())) } else { Ok(()) };
        }
        self.inbox.send(Message::Signal(self.key)).map_err(|_| RemoteError::Closed(()))
    }
}

impl LoopHandle {
    /// Opens a handle that other threads signal. It is active from the start.
    pub(crate) fn open_signalled(&self, kind: HandleKind, site: &'static Location<'static>) -> HandleKey {
        let key = self.open_handle(kind, Body::Signalled(Arc::new(AtomicBool::new(false))), site);
        self.update_flags(key, |flags| flags.active = true);
        key
    }

    pub(crate) fn signal(&self, key: HandleKey) -> Signal {
        let under_way = self.state.handles.borrow().get(key).and_then(|handle| match &handle.body {
            Body::Signalled(under_way) => Some(Arc::clone(under_way)),
            _ => None,
        });
        Signal { inbox: Arc::clone(&self.state.inbox), key, under_way: under_way.unwrap_or_default() }
    }

    /// Runs the handle that was signalled.
    pub(crate) fn run_signal(&self, key: HandleKey) {
        let kind = self.state.handles.borrow().get(key).and_then(|handle| {
            let Body::Signalled(under_way) = &handle.body else { return None };
            // Before the callback, so that a send during it is not lost. Acquire: see `Signal::send`.
            under_way.swap(false, Ordering::AcqRel);
            (!handle.flags.closing).then_some(handle.kind)
        });
        match kind {
            Some(HandleKind::Port) => self.call_handle(key), // it makes a call for each completion
            Some(_) => self.call(|lp| lp.call_handle(key)),
            None => {}
        }
    }
}
