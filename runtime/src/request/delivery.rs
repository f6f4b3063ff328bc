//! What the ports share: a batch that is pulled, and each completion of it delivered by a call of its own.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::Location;
use std::rc::{Rc, Weak};

use crate::driver::{Readiness, Token};
use crate::handle::wakeup::Signal;
use crate::schedule::Phase;
use crate::state::LoopHandle;
use crate::state::handles::{HandleKey, HandleKind};
use crate::state::sources::Ready;
use crate::task::queue::Queue;

/// Moves what has arrived to the end of the list.
pub(super) type Pull<T> = Box<dyn FnMut(&mut Vec<T>)>;

pub(super) type OnCompletion<T> = Box<dyn FnMut(&LoopHandle, T)>;

/// The loop's end of a port.
struct Delivery<T> {
    /// What tells of completions besides the signal. INVARIANT order: it is dropped before what it may own.
    source: OnceCell<Source>,
    key: HandleKey,
    signal: Signal,
    pull: RefCell<Pull<T>>,
    /// What is pulled into: kept for its memory.
    pulled: RefCell<Vec<T>>,
    /// Pulled and not yet delivered: more than nothing only while a callback runs, or after one panicked.
    batch: Queue<T>,
    on_completion: RefCell<OnCompletion<T>>,
}

/// Opens a port's handle: active, unreferenced, and pulling whenever it is signalled.
pub(super) fn open<T: 'static>(
    lp: &LoopHandle,
    pull: Pull<T>,
    on_completion: OnCompletion<T>,
    site: &'static Location<'static>,
) -> HandleKey {
    let (key, _) = open_delivery(lp, pull, on_completion, site);
    key
}

/// As `open`, and pulls too when the driver finds `io` readable anew.
pub(super) fn open_fed<T: 'static>(
    lp: &LoopHandle,
    io: Box<dyn AsFd>,
    pull: Pull<T>,
    on_completion: OnCompletion<T>,
    site: &'static Location<'static>,
) -> io::Result<HandleKey> {
    let fd = io.as_fd().as_raw_fd();
    let token = lp.open_source(fd, Readiness::READABLE, HandleKind::Port, site)?;
    let source = Source { lp: lp.clone(), token, _io: io };
    let (key, delivery) = open_delivery(lp, pull, on_completion, site);
    let feed = Feed(Rc::downgrade(&delivery));
    // It cannot fail: the delivery is new.
    let _ = delivery.source.set(source);
    lp.state.sources.set_target(token, Some(Rc::new(feed)));
    Ok(key)
}

fn open_delivery<T: 'static>(
    lp: &LoopHandle,
    pull: Pull<T>,
    on_completion: OnCompletion<T>,
    site: &'static Location<'static>,
) -> (HandleKey, Rc<Delivery<T>>) {
    let key = lp.open_signalled(HandleKind::Port, site);
    lp.update_flags(key, |flags| flags.referenced = false);
    let delivery = Rc::new(Delivery {
        source: OnceCell::new(),
        key,
        signal: lp.signal(key),
        pull: RefCell::new(pull),
        pulled: RefCell::default(),
        batch: Queue::new(),
        on_completion: RefCell::new(on_completion),
    });
    let signalled = Rc::clone(&delivery);
    let callback = Box::new(move |lp: &LoopHandle| signalled.signalled(lp));
    // It cannot fail: the handle was opened above.
    let _ = lp.update_open(key, |handle| handle.callback = Some(callback));
    (key, delivery)
}

/// A descriptor in the reactor. INVARIANT order: it leaves the reactor before it can be closed.
struct Source {
    lp: LoopHandle,
    token: Token,
    _io: Box<dyn AsFd>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.lp.close_source(self.token);
    }
}

/// What the reactor calls. The handle owns the delivery, which owns the place in the reactor.
struct Feed<T>(Weak<Delivery<T>>);

impl<T: 'static> Ready for Feed<T> {
    fn ready(self: Rc<Self>, lp: &LoopHandle, _: Readiness) {
        if let Some(delivery) = self.0.upgrade().filter(|delivery| delivery.is_open(lp)) {
            delivery.signalled(lp);
        }
    }

    fn forget(&self) {}
}

impl<T: 'static> Delivery<T> {
    /// Pulls, and delivers now or has the pending phase do it.
    fn signalled(self: &Rc<Self>, lp: &LoopHandle) {
        let count = self.pull();
        // The signal itself was counted as one. Source: libuv, `uv__work_done`.
        lp.state.metrics.more_events(count.saturating_sub(1));
        if lp.state.schedule.completions == Phase::Pending {
            for _ in 0..count {
                let delivery = Rc::clone(self);
                lp.defer(move |lp| delivery.deliver_next(lp));
            }
        } else {
            self.deliver_all(lp);
        }
    }

    fn pull(&self) -> usize {
        let mut pulled = self.pulled.borrow_mut();
        (self.pull.borrow_mut())(&mut pulled);
        let count = pulled.len();
        self.batch.extend(pulled.drain(..));
        count
    }

    fn deliver_all(&self, lp: &LoopHandle) {
        let _rest = SignalForRest(self);
        // A program that has ended calls nothing any more, so it would never empty the batch.
        while self.is_open(lp)
            && !lp.has_ended()
            && let Some(completion) = self.batch.pop()
        {
            lp.call(|lp| (self.on_completion.borrow_mut())(lp, completion));
        }
    }

    fn deliver_next(&self, lp: &LoopHandle) {
        if self.is_open(lp)
            && let Some(completion) = self.batch.pop()
        {
            (self.on_completion.borrow_mut())(lp, completion);
        }
    }

    /// A callback may have closed the port: then the rest of the batch is dropped with it.
    fn is_open(&self, lp: &LoopHandle) -> bool {
        lp.flags_of(self.key).is_some_and(|flags| !flags.closing)
    }
}

/// Has the port signalled again if a panic leaves `run` in the middle of a batch: the rest is delivered by the next run.
struct SignalForRest<'a, T>(&'a Delivery<T>);

impl<T> Drop for SignalForRest<'_, T> {
    fn drop(&mut self) {
        if !self.0.batch.is_empty() {
            // It fails only if the loop is gone, and then so is the batch.
            let _ = self.0.signal.send();
        }
    }
}
