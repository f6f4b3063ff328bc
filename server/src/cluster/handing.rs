//! Connections that the primary accepts, on their way to workers.
//!
//! INVARIANT one owner: until a worker confirms a connection, the primary keeps a descriptor of it, and it is `pending`. A worker confirms
//! before it serves. So a connection is served by one worker at most, and is not lost with a worker that died before that.
//!
//! INVARIANT counted: one that no worker takes is closed by `close_unserved`, which counts it.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use phaseloop::channel::{Receiver, oneshot};
use phaseloop::ipc::{Attachment, AttachmentKind, Message, SendError};
use phaseloop::net::{ByteStream, StreamFamily, TcpStream};

use super::core::Core;
use super::dispatch::{Dispatch, Order, State, Wish};
use super::event::Event;
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
            match accepted {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return, // none waits
                // Out of descriptors, which those have that came before: the system resets the rest.
                Err(error) => return self.failed(listening, error),
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
                    && listening.reading.borrow().len() < self.options.limits.connections_waiting_max =>
            {
                self.read_first_line(listening, stream);
            }
            Ok(stream) => self.submit(listening, stream, Vec::new(), wish),
        }
    }

    /// Reads as much as says to which worker the client belongs.
    fn read_first_line<K: StreamFamily>(self: &Rc<Self>, listening: &Rc<Listening>, stream: ByteStream<K>) {
        let (core, listening) = (Rc::clone(self), Rc::clone(listening));
        let ((hurry, hurried), connection) = (oneshot(), self.number());
        listening.reading.borrow_mut().insert(connection, Some(hurry));
        let task = self.lp.spawn(async move {
            let mut first = Vec::new();
            let reading = read_first(&stream, &mut first);
            let reading = core.lp.timeout(core.options.limits.first_line_timeout, reading);
            let said = unless_hurried(reading, hurried).await;
            listening.reading.borrow_mut().remove(&connection);
            match said {
                _ if core.is_over() => {} // it was counted
                Some(Ok(Ok(Some(wish)))) => core.submit(&listening, stream, first, wish),
                // All is to end, or it is slow: a worker has the limits and the answers for that.
                None => core.submit(&listening, stream, first, Wish::Anyone),
                Some(Err(_)) if !first.is_empty() => core.submit(&listening, stream, first, Wish::Anyone),
                // It came and went, or says nothing.
                Some(Ok(Ok(None) | Err(_)) | Err(_)) => {}
            }
            core.end_once_handed();
        });
        task.detach();
    }

    fn number(&self) -> u64 {
        let number = self.next_connection.get();
        self.next_connection.set(number + 1);
        number
    }

    fn submit<K: StreamFamily>(
        self: &Rc<Self>,
        listening: &Rc<Listening>,
        stream: ByteStream<K>,
        first: Vec<u8>,
        wish: Wish,
    ) {
        // Nobody else has the stream, so it can be taken apart.
        let Ok(fd) = stream.into_fd() else { return self.close_unserved(listening, 1) };
        let connection = self.number();
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
        self.ordering.set(self.ordering.get() + 1);
        let (mut out, mut closed) = (Vec::new(), 0);
        let result = f(&mut listening.dispatch.borrow_mut(), &mut out);
        for order in out {
            match order {
                Order::Hand { worker, connection } => self.hand(listening, worker, connection),
                Order::Close(connection) => {
                    closed += usize::from(self.pending.borrow_mut().remove(&connection).is_some());
                }
            }
        }
        self.close_unserved(listening, closed);
        self.pause_if_full(listening);
        self.sweep(listening);
        self.ordering.set(self.ordering.get() - 1);
        self.end_once_handed();
        result
    }

    /// Counts connections that are closed since no worker takes them, and tells of them.
    fn close_unserved(self: &Rc<Self>, listening: &Listening, count: usize) {
        if count > 0 {
            self.unserved.set(self.unserved.get() + count);
            self.tell(Event::Unserved { listener: listening.name.clone(), count });
        }
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
                self.close_unserved(listening, 1);
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

    /// Closes a listener for good. It is known until what was handed of it is confirmed, refused or comes back.
    pub(super) fn forget(self: &Rc<Self>, listening: &Rc<Listening>) {
        listening.is_forgotten.set(true);
        listening.close();
        self.order(listening, Dispatch::last_round);
    }

    fn sweep(&self, listening: &Rc<Listening>) {
        if listening.is_forgotten.get() && listening.dispatch.borrow().is_idle() {
            self.listenings.borrow_mut().retain(|known| !Rc::ptr_eq(known, listening));
        }
    }

    // --- the end --------------------------------------------------------------------------------------------------------

    /// Listens no more, and has all that was accepted handed on, which may take until a channel has room.
    pub(super) fn hand_last(self: &Rc<Self>) {
        let listenings = self.listenings.borrow().clone();
        for listening in &listenings {
            self.order(listening, Dispatch::last_round);
            self.accept_last(listening);
            listening.close();
        }
    }

    /// True if something that was accepted is still to be handed on.
    pub(super) fn has_to_hand(&self) -> bool {
        let waits = |listening: &Rc<Listening>| {
            !listening.reading.borrow().is_empty() || listening.dispatch.borrow().has_waiting()
        };
        self.listenings.borrow().iter().any(waits)
    }

    /// No worker is left: closes the listeners, and what was accepted.
    pub(super) fn close_all(self: &Rc<Self>) {
        let listenings = self.listenings.borrow().clone();
        for listening in &listenings {
            let reading = listening.reading.borrow().len();
            listening.close();
            self.close_unserved(listening, reading);
            self.order(listening, Dispatch::last_round);
        }
    }

    /// Closes what could not be handed on in time.
    pub(super) fn close_rest(self: &Rc<Self>) {
        let listenings = self.listenings.borrow().clone();
        listenings.iter().for_each(|listening| self.order(listening, Dispatch::close_waiting));
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

/// What comes of a future, unless it is hurried before.
async fn unless_hurried<T>(future: impl Future<Output = T>, mut hurried: Receiver<()>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Pin::new(&mut hurried).poll(cx).map(|_| None),
    })
    .await
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
