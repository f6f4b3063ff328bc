//! Connections that the primary accepts, on their way to workers.
//!
//! INVARIANT one owner: until a worker confirms a connection, the primary keeps a descriptor of it, and it is `pending`. A worker confirms
//! before it serves. So a connection is served by one worker at most, and is not lost with a worker that died before that.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use phaseloop::ipc::{Attachment, AttachmentKind, Message, SendError};
use phaseloop::net::{ByteStream, StreamFamily, TcpStream};

use super::core::Core;
use super::dispatch::{Dispatch, Order, State, Wish};
use super::listening::{Listening, Sockets};
use super::member::{Dialect, Member};
use super::node_talk;
use super::options::{Policy, Stickiness};
use super::sticky::{self, FirstBytes};
use super::wire::{ToWorker, encode};

/// Connections of the backlog that are still served when all is to end.
const LAST_ACCEPTS_MAX: usize = 4096;

/// A connection that no worker has confirmed.
pub(super) struct Pending {
    listening: Rc<Listening>,
    fd: OwnedFd,
    /// What was read of it.
    first: Vec<u8>,
    refusals: u32,
}

impl Core {
    /// Accepts from now on, if the workers do not.
    pub(super) fn accept_from(self: &Rc<Self>, listening: &Rc<Listening>) {
        if !listening.is_handed() {
            return;
        }
        let started = match &listening.sockets {
            Sockets::Tcp(listeners) => {
                let (core, own) = (Rc::clone(self), Rc::clone(listening));
                listeners[0].on_connection(move |_, stream| core.accepted_tcp(&own, stream))
            }
            Sockets::Unix(listener) => {
                let (core, own) = (Rc::clone(self), Rc::clone(listening));
                listener.on_connection(move |_, stream| core.accepted(&own, stream, Wish::Anyone))
            }
        };
        if let Err(error) = started {
            self.failed(listening, error);
        }
    }

    /// Accepts what waits in the backlog, before the listener is closed. It waits for no first line: all workers are about to end,
    /// and whoever gets a connection answers it.
    pub(super) fn accept_last(self: &Rc<Self>, listening: &Rc<Listening>) {
        if !listening.is_handed() {
            return;
        }
        for _ in 0..LAST_ACCEPTS_MAX {
            let accepted = match &listening.sockets {
                Sockets::Tcp(listeners) => listeners[0].try_accept().map(|(stream, _)| {
                    let wish = wish_of(listening, &stream);
                    self.submit(listening, stream, Vec::new(), wish);
                }),
                Sockets::Unix(listener) => listener.try_accept().map(|(stream, _)| {
                    self.submit(listening, stream, Vec::new(), Wish::Anyone);
                }),
            };
            if accepted.is_err() {
                return; // none waits, or it can not be accepted
            }
        }
    }

    fn accepted_tcp(self: &Rc<Self>, listening: &Rc<Listening>, stream: io::Result<TcpStream>) {
        let wish = stream.as_ref().map_or(Wish::Anyone, |stream| wish_of(listening, stream));
        self.accepted(listening, stream, wish);
    }

    fn accepted<K: StreamFamily>(
        self: &Rc<Self>,
        listening: &Rc<Listening>,
        stream: io::Result<ByteStream<K>>,
        wish: Wish,
    ) {
        match stream {
            Err(error) => self.failed(listening, error),
            // Beyond that, silent clients would keep others from being accepted: they go to anyone.
            Ok(stream)
                if listening.policy == Policy::Sticky(Stickiness::SessionId)
                    && listening.reading.get() < self.options.limits.connections_waiting_max =>
            {
                self.read_first_line(listening, stream);
            }
            Ok(stream) => self.submit(listening, stream, Vec::new(), wish),
        }
    }

    /// Reads as much as says to which worker the client belongs.
    fn read_first_line<K: StreamFamily>(self: &Rc<Self>, listening: &Rc<Listening>, stream: ByteStream<K>) {
        let (core, listening) = (Rc::clone(self), Rc::clone(listening));
        listening.reading.set(listening.reading.get() + 1);
        let task = self.lp.spawn(async move {
            let mut first = Vec::new();
            let reading = read_first(&stream, &mut first);
            let said = core.lp.timeout(core.options.limits.first_line_timeout, reading).await;
            listening.reading.set(listening.reading.get() - 1);
            match said {
                Ok(Ok(Some(wish))) => core.submit(&listening, stream, first, wish),
                // Slow or broken: a worker has the limits and the answers for that.
                Err(_) if !first.is_empty() => core.submit(&listening, stream, first, Wish::Anyone),
                // It came and went, or says nothing.
                Ok(Ok(None) | Err(_)) | Err(_) => {}
            }
        });
        task.detach();
    }

    fn submit<K: StreamFamily>(
        self: &Rc<Self>,
        listening: &Rc<Listening>,
        stream: ByteStream<K>,
        first: Vec<u8>,
        wish: Wish,
    ) {
        if listening.is_closed.get() {
            return; // its first line came too late: no worker takes anything from here
        }
        // Nobody else has the stream, so it can be taken apart.
        let Ok(fd) = stream.into_fd() else { return };
        let connection = self.next_connection.get();
        self.next_connection.set(connection + 1);
        let pending = Pending { listening: Rc::clone(listening), fd, first, refusals: 0 };
        self.pending.borrow_mut().insert(connection, pending);
        self.order(listening, |dispatch, out| dispatch.connection(connection, wish, out));
    }

    /// Has the dispatch decide, and does what it says.
    pub(super) fn order<T>(
        self: &Rc<Self>,
        listening: &Rc<Listening>,
        f: impl FnOnce(&mut Dispatch, &mut Vec<Order>) -> T,
    ) -> T {
        let mut out = Vec::new();
        let result = f(&mut listening.dispatch.borrow_mut(), &mut out);
        for order in out {
            match order {
                Order::Hand { worker, connection } => self.hand(listening, worker, connection),
                Order::Close(connection) => drop(self.pending.borrow_mut().remove(&connection)),
            }
        }
        self.pause_if_full(listening);
        result
    }

    fn pause_if_full(&self, listening: &Listening) {
        if listening.is_handed() {
            listening.pause(listening.dispatch.borrow().is_full());
        }
    }

    fn hand(self: &Rc<Self>, listening: &Rc<Listening>, worker: u32, connection: u64) {
        let Some(member) = self.member(worker) else { return }; // about to be taken out of the dispatch
        let Some(message) = self.message_for(listening, &member, connection) else { return };
        let Err(error) = member.channel.send(message) else { return };
        let refusals = self.refusals(connection, u32::from(matches!(error, SendError::Io { .. })));
        match error {
            SendError::Full { .. } => self.wait_for_room(listening, &member),
            SendError::Io { error, .. } => self.failed(listening, error),
            // It is about to be told that this one is gone.
            _ => self.order(listening, |dispatch, out| dispatch.leave(worker, out)),
        }
        self.order(listening, |dispatch, out| dispatch.refused(worker, connection, refusals, out));
    }

    fn message_for(
        self: &Rc<Self>,
        listening: &Rc<Listening>,
        member: &Member,
        connection: u64,
    ) -> Option<Message> {
        let pending = self.pending.borrow();
        let Pending { fd, first, .. } = pending.get(&connection)?;
        let duplicate = match fd.try_clone() {
            Ok(duplicate) => duplicate,
            Err(error) => {
                drop(pending);
                // Out of descriptors: this one goes, which makes room.
                self.pending.borrow_mut().remove(&connection);
                self.order(listening, |dispatch, out| dispatch.confirmed(member.id, connection, out));
                self.failed(listening, error);
                return None;
            }
        };
        Some(match member.dialect {
            Dialect::Own => {
                let listener = self.index_of(listening);
                let attachment = Attachment::new(AttachmentKind::Stream, duplicate);
                encode(&ToWorker::Connection { listener, connection }, first).attach(attachment)
            }
            Dialect::Node => node_talk::connection(&listening.name, connection, duplicate),
        })
    }

    fn index_of(&self, listening: &Rc<Listening>) -> usize {
        let listenings = self.listenings.borrow();
        listenings.iter().position(|known| Rc::ptr_eq(known, listening)).unwrap_or(usize::MAX)
    }

    fn refusals(&self, connection: u64, more: u32) -> u32 {
        let mut pending = self.pending.borrow_mut();
        pending.get_mut(&connection).map_or(0, |pending| {
            pending.refusals += more;
            pending.refusals
        })
    }

    /// Passes a worker over until its channel has room.
    fn wait_for_room(self: &Rc<Self>, listening: &Rc<Listening>, member: &Rc<Member>) {
        // This dispatch may not know, though others do: it would choose the same worker at once, and again.
        self.order(listening, |dispatch, out| dispatch.full(member.id, true, out));
        if member.is_full.replace(true) {
            return;
        }
        self.fill_all(member.id, true);
        let (core, member) = (Rc::clone(self), Rc::clone(member));
        let task = self.lp.spawn(async move {
            member.channel.flushed().await;
            member.is_full.set(false);
            core.fill_all(member.id, false);
        });
        task.unref();
    }

    // --- what a worker says of connections ------------------------------------------------------------------------------

    pub(super) fn confirmed(self: &Rc<Self>, worker: u32, connection: u64) {
        let Some(listening) = self.listening_of(connection) else { return };
        if self.order(&listening, |dispatch, out| dispatch.confirmed(worker, connection, out)) {
            let pending = self.pending.borrow_mut().remove(&connection);
            drop(pending);
        }
    }

    pub(super) fn refused(self: &Rc<Self>, worker: u32, connection: u64) {
        let Some(listening) = self.listening_of(connection) else { return };
        let refusals = self.refusals(connection, 1);
        self.order(&listening, |dispatch, out| dispatch.refused(worker, connection, refusals, out));
    }

    fn listening_of(&self, connection: u64) -> Option<Rc<Listening>> {
        self.pending.borrow().get(&connection).map(|pending| Rc::clone(&pending.listening))
    }

    /// A worker serves a listener from now on.
    pub(super) fn serves(self: &Rc<Self>, member: &Member, listening: &Rc<Listening>) {
        listening.users.borrow_mut().insert(member.id);
        // What one says on its way out may come late, and opens nothing.
        if listening.is_handed() && !member.is_ending() {
            let state = State { paused: member.is_paused.get(), full: member.is_full.get() };
            self.order(listening, |dispatch, out| dispatch.join(member.id, member.slot, state, out));
        }
    }

    pub(super) fn leave_all(self: &Rc<Self>, worker: u32) {
        self.for_each_handed(|core, listening| {
            core.order(listening, |dispatch, out| dispatch.leave(worker, out));
        });
    }

    pub(super) fn gone_from_all(self: &Rc<Self>, worker: u32) {
        self.for_each_handed(|core, listening| {
            core.order(listening, |dispatch, out| dispatch.gone(worker, out));
        });
        let listenings = self.listenings.borrow().clone();
        for listening in &listenings {
            let was_user = listening.users.borrow_mut().remove(&worker);
            if was_user && listening.is_own.get() {
                self.forget(listening);
            }
        }
    }

    /// Closes a listener for good.
    pub(super) fn forget(&self, listening: &Rc<Listening>) {
        self.listenings.borrow_mut().retain(|known| !Rc::ptr_eq(known, listening));
        listening.close();
        let mut pending = self.pending.borrow_mut();
        pending.retain(|_, pending| !Rc::ptr_eq(&pending.listening, listening));
    }

    pub(super) fn pause_all(self: &Rc<Self>, worker: u32, paused: bool) {
        self.for_each_handed(|core, listening| {
            core.order(listening, |dispatch, out| dispatch.pause(worker, paused, out));
        });
    }

    fn fill_all(self: &Rc<Self>, worker: u32, full: bool) {
        self.for_each_handed(|core, listening| {
            core.order(listening, |dispatch, out| dispatch.full(worker, full, out));
        });
    }

    fn for_each_handed(self: &Rc<Self>, f: impl Fn(&Rc<Self>, &Rc<Listening>)) {
        let listenings = self.listenings.borrow().clone();
        listenings.iter().filter(|listening| listening.is_handed()).for_each(|listening| f(self, listening));
    }
}

/// For whom a client is, as far as its address says.
fn wish_of(listening: &Listening, stream: &TcpStream) -> Wish {
    match listening.policy {
        Policy::Sticky(Stickiness::Address) => {
            stream.peer_addr().map_or(Wish::Anyone, |peer| sticky::by_address(peer.ip()))
        }
        _ => Wish::Anyone,
    }
}

/// `None` if the client went before it said anything.
async fn read_first<K: StreamFamily>(
    stream: &ByteStream<K>,
    first: &mut Vec<u8>,
) -> io::Result<Option<Wish>> {
    let mut buf = [0; 2048];
    loop {
        let len = stream.read(&mut buf).await?;
        first.extend_from_slice(&buf[..len]);
        match sticky::look(first) {
            _ if len == 0 && first.is_empty() => return Ok(None),
            FirstBytes::Says(wish) => return Ok(Some(wish)),
            FirstBytes::Unclear if len == 0 => return Ok(Some(Wish::Anyone)),
            FirstBytes::Unclear => {}
        }
    }
}
