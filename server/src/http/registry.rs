//! The connections of a server: how many there are, from where, and telling them to end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use phaseloop::net::TcpStream;
use slab::Slab;

use super::connection::Protocol;
use super::limits::Limits;
use super::watch::Watch;

/// All connections that are open.
#[derive(Default)]
pub(crate) struct Registry {
    entries: RefCell<Slab<Rc<Entry>>>,
    by_address: RefCell<HashMap<IpAddr, usize>>,
    accepted: Cell<u64>,
    refused: Cell<u64>,
    /// Requests of connections that have ended.
    requests: Cell<u64>,
    /// Connections that have ended.
    ended: Cell<usize>,
    draining: Cell<bool>,
    /// Wait until there is no connection left.
    when_empty: RefCell<Vec<Waker>>,
}

/// One connection.
pub(crate) struct Entry {
    /// Its place in the registry, until it has left.
    key: usize,
    left: Cell<bool>,
    pub(crate) peer: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) protocol: Cell<Option<Protocol>>,
    pub(crate) watch: Rc<Watch>,
    stream: TcpStream,
    draining: Cell<bool>,
    cut: Cell<bool>,
    /// Who took it over holds its place, and may do so for long.
    handed_over: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

/// Holds a connection's place. Dropping it gives the place up.
pub(crate) struct Member {
    registry: Rc<Registry>,
    entry: Rc<Entry>,
}

impl Registry {
    /// True if there is room for one more connection from `address`.
    pub(crate) fn has_room(&self, limits: &Limits, address: IpAddr) -> bool {
        let from_there = self.by_address.borrow().get(&address).copied().unwrap_or(0);
        let room = self.len() < limits.connections_max && from_there < limits.connections_per_address_max;
        if !room {
            self.refused.set(self.refused.get() + 1);
        }
        room
    }

    pub(crate) fn join(self: &Rc<Self>, stream: &TcpStream, peer: SocketAddr, watch: &Rc<Watch>) -> Member {
        let mut entries = self.entries.borrow_mut();
        let place = entries.vacant_entry();
        let entry = Rc::new(Entry {
            key: place.key(),
            peer,
            since: stream.lp().now(),
            protocol: Cell::new(None),
            watch: Rc::clone(watch),
            stream: stream.clone(),
            draining: Cell::new(self.draining.get()),
            cut: Cell::new(false),
            handed_over: Cell::new(false),
            left: Cell::new(false),
            task: RefCell::new(None),
        });
        self.accepted.set(self.accepted.get() + 1);
        *self.by_address.borrow_mut().entry(peer.ip()).or_default() += 1;
        place.insert(Rc::clone(&entry));
        drop(entries);
        Member { registry: Rc::clone(self), entry }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let live: u64 = self.entries.borrow().iter().map(|(_, entry)| entry.watch.requests()).sum();
        (self.accepted.get(), self.refused.get(), self.requests.get() + live)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Tells all connections to finish what they do and end.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        for entry in self.all() {
            entry.draining.set(true);
            entry.wake();
        }
    }

    /// Ends what is left, and gives it. Those that were handed over are waited for no longer.
    pub(crate) fn cut(&self) -> Vec<Rc<Entry>> {
        let left = self.all();
        for entry in &left {
            entry.cut.set(true);
            entry.stream.close(); // whoever holds it, such as a task that took the connection over
            entry.wake();
            if entry.handed_over.get() {
                self.leave(entry);
            }
        }
        left
    }

    /// How many connections have ended.
    pub(crate) fn ended(&self) -> usize {
        self.ended.get()
    }

    /// Gives a connection's place up, once.
    fn leave(&self, entry: &Entry) {
        if entry.left.replace(true) {
            return;
        }
        self.entries.borrow_mut().remove(entry.key);
        self.ended.set(self.ended.get() + 1);
        self.requests.set(self.requests.get() + entry.watch.requests());
        let mut by_address = self.by_address.borrow_mut();
        if let Some(count) = by_address.get_mut(&entry.peer.ip()) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&entry.peer.ip());
            }
        }
        drop(by_address);
        if self.len() == 0 {
            let waiting = self.when_empty.take();
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Ready when there is no connection.
    pub(crate) fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.len() == 0 {
            return Poll::Ready(());
        }
        let mut waiting = self.when_empty.borrow_mut();
        if !waiting.iter().any(|known| known.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn all(&self) -> Vec<Rc<Entry>> {
        self.entries.borrow().iter().map(|(_, entry)| Rc::clone(entry)).collect()
    }
}

impl Entry {
    /// Notes whom to wake when the connection is told something.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
    }

    /// The task that listened and read ends: a waker that is kept would keep its memory.
    pub(crate) fn hand_over(&self) {
        self.handed_over.set(true);
        self.task.replace(None);
        self.stream.wake_waiting();
    }

    /// It is to finish what it does and end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// It is to end now.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    fn wake(&self) {
        let task = self.task.borrow_mut().take();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Member {
    pub(crate) fn entry(&self) -> &Rc<Entry> {
        &self.entry
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.registry.leave(&self.entry);
    }
}
