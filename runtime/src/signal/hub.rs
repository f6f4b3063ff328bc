//! What brings one loop its signals: a socket that the handler writes to, and the list of who watches.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::panic::Location;
use std::rc::{Rc, Weak};

use super::number::Signal;
use super::sys::Post;
use crate::driver::{Readiness, Token};
use crate::state::LoopHandle;
use crate::state::handles::HandleKind;
use crate::state::sources::{Ready, gone};
use crate::task::queue::Queue;

/// Is told of a signal.
pub(crate) trait Watches {
    /// Makes the calls that the signal owes.
    fn signalled(self: Rc<Self>, lp: &LoopHandle, signal: Signal);
    /// The loop is gone: drops the callback.
    fn forget(&self);
}

/// One in a loop, while it watches a signal.
pub(super) struct Hub {
    token: Cell<Token>,
    /// Where the handler's bytes arrive.
    bell: RefCell<UnixStream>,
    post: RefCell<Post>,
    /// Who watches what, in the order of starting.
    starts: RefCell<BTreeMap<u64, Start>>,
    started: Cell<u64>,
    /// Calls that are due: kept here, so that a panic in one does not lose the others.
    due: Queue<(Signal, u64)>,
}

struct Start {
    signal: Signal,
    watcher: Rc<dyn Watches>,
}

/// A start that holds. Dropping it stops.
pub(crate) struct Started {
    lp: LoopHandle,
    hub: Weak<Hub>,
    number: u64,
}

impl Started {
    /// Has `watcher` told of `signal` from now on.
    pub(crate) fn new(
        lp: &LoopHandle,
        signal: Signal,
        watcher: Rc<dyn Watches>,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        signal.check_watchable()?;
        let hub = hub_of(lp, site)?;
        if let Err(error) = hub.post.borrow().watch(signal.number()) {
            hub.close_if_unused(lp);
            return Err(error);
        }
        let number = hub.started.get() + 1;
        hub.started.set(number);
        hub.starts.borrow_mut().insert(number, Start { signal, watcher });
        Ok(Self { lp: lp.clone(), hub: Rc::downgrade(&hub), number })
    }

    /// Has the second of `signals` end the process at once, in the handler, or no longer.
    pub(super) fn end_at_second(&self, signals: &[Signal], ends: bool) {
        if let Some(hub) = self.hub.upgrade() {
            let numbers: Vec<i32> = signals.iter().map(|signal| signal.number()).collect();
            hub.post.borrow().end_at_second(&numbers, ends);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let Some(hub) = self.hub.upgrade() else { return };
        let start = hub.starts.borrow_mut().remove(&self.number);
        if let Some(start) = start {
            let watched = hub.starts.borrow().values().any(|other| other.signal == start.signal);
            if !watched {
                hub.post.borrow().unwatch(start.signal.number());
            }
            hub.close_if_unused(&self.lp);
        }
    }
}

/// The loop's hub, made at the first use.
fn hub_of(lp: &LoopHandle, site: &'static Location<'static>) -> io::Result<Rc<Hub>> {
    if lp.is_closed() {
        return Err(gone());
    }
    let known = lp.state.signals.borrow().clone();
    if let Some(hub) = known.and_then(|hub| hub.downcast::<Hub>().ok()) {
        return Ok(hub);
    }
    let (bell, handler_end) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    let post = Post::new(handler_end)?;
    let token = lp.open_source(bell.as_raw_fd(), Readiness::READABLE, HandleKind::SignalHub, site)?;
    let hub = Rc::new(Hub {
        token: Cell::new(token),
        bell: RefCell::new(bell),
        post: RefCell::new(post),
        starts: RefCell::default(),
        started: Cell::new(0),
        due: Queue::new(),
    });
    lp.state.sources.set_target(token, Some(Rc::clone(&hub) as Rc<dyn Ready>));
    lp.state.signals.replace(Some(Rc::clone(&hub) as Rc<dyn std::any::Any>));
    Ok(hub)
}

/// Gives the loop of a forked child a socket of its own: the old one is shared with the parent.
pub(crate) fn after_fork_child(lp: &LoopHandle) -> io::Result<()> {
    let known = lp.state.signals.borrow().clone();
    let Some(hub) = known.and_then(|hub| hub.downcast::<Hub>().ok()) else { return Ok(()) };
    let (bell, handler_end) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    lp.close_source(hub.token.get());
    let site = Location::caller();
    let token = lp.open_source(bell.as_raw_fd(), Readiness::READABLE, HandleKind::SignalHub, site)?;
    hub.token.set(token);
    hub.bell.replace(bell);
    hub.post.borrow_mut().after_fork_child(handler_end)?;
    lp.state.sources.set_target(token, Some(hub as Rc<dyn Ready>));
    Ok(())
}

impl Hub {
    /// Leaves nothing behind once nobody watches.
    fn close_if_unused(&self, lp: &LoopHandle) {
        if self.starts.borrow().is_empty() {
            let hub = lp.state.signals.take();
            lp.close_source(self.token.get());
            drop(hub);
        }
    }

    /// Takes what arrived, and notes who is to be told.
    fn collect(&self, lp: &LoopHandle) {
        let mut bytes = [0; 256];
        while (&*self.bell.borrow()).read(&mut bytes).is_ok_and(|len| len == bytes.len()) {}
        lp.state.sources.clear(self.token.get(), Readiness::ANY_READ);
        let starts = self.starts.borrow();
        let mut signals: Vec<Signal> = starts.values().map(|start| start.signal).collect();
        signals.sort_unstable();
        signals.dedup();
        for signal in signals {
            let watchers = starts.iter().filter(|(_, start)| start.signal == signal);
            for _ in 0..self.post.borrow().take(signal.number()) {
                self.due.extend(watchers.clone().map(|(number, _)| (signal, *number)));
            }
        }
    }
}

impl Ready for Hub {
    fn ready(self: Rc<Self>, lp: &LoopHandle, _readiness: Readiness) {
        self.collect(lp);
        while let Some((signal, number)) = self.due.pop() {
            let watcher = self.starts.borrow().get(&number).map(|start| Rc::clone(&start.watcher));
            if let Some(watcher) = watcher {
                watcher.signalled(lp, signal);
            }
        }
    }

    fn forget(&self) {
        let starts = self.starts.take();
        starts.values().for_each(|start| start.watcher.forget());
    }
}
