//! One client in one namespace.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::time::Duration;

use phaseloop::spawn;
use serde_json::{Map, Value};

use super::ack::{AckError, Owed, answer};
use super::args::{Args, IntoArgs};
use super::client::Client;
use super::connect::Handshake;
use super::flags::{Flagged, Flags};
use super::namespace::Namespace;
use super::operator::Operator;
use super::outgoing::{Outgoing, check_event};
use super::recovery::Away;
use super::rooms::Number;
use crate::engineio::{Session, TransportKind, random_id};
use crate::proto::socketio::Kind;

/// Why a socket left its namespace. The names are those of Node's `socket.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client left the namespace.
    ClientNamespaceDisconnect,
    /// The server had it leave.
    ServerNamespaceDisconnect,
    /// The client closed the connection.
    TransportClose,
    /// The connection broke, a poll was given up, or the client took too little or sent a ping.
    TransportError,
    /// No pong came in time.
    PingTimeout,
    /// What the client sent is no packet of Engine.IO.
    ParseError,
    /// What the client sent is no packet of Socket.IO, or the session was closed.
    ForcedClose,
    /// The client sent a packet for a namespace it is not connected to, or connected to none in time.
    ForcedServerClose,
    /// The server is shutting down.
    ServerShuttingDown,
}

impl DisconnectReason {
    /// As Node says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShuttingDown => "server shutting down",
        }
    }

    /// True if the client did not mean to leave, so that it is taken back. Source: `socket.io`,
    /// `RECOVERABLE_DISCONNECT_REASONS`.
    fn is_recoverable(self) -> bool {
        use DisconnectReason as R;
        matches!(
            self,
            R::TransportError
                | R::TransportClose
                | R::ForcedClose
                | R::PingTimeout
                | R::ServerShuttingDown
                | R::ForcedServerClose
        )
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something a client said.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Who said it.
    pub socket: Socket,
    /// The event's name.
    pub name: String,
    /// What it carries.
    pub args: Args,
    ack: Rc<Cell<Option<u64>>>,
}

impl Event {
    /// Acknowledges it. False if the client does not ask for that, or has its answer.
    pub fn ack(&self, args: impl IntoArgs) -> bool {
        let Some(id) = self.ack.take() else { return false };
        let inner = &self.socket.0;
        if self.socket.is_connected() {
            Outgoing::ack(inner.namespace.name(), id, args.into_args()).send(&inner.session, false);
        }
        true
    }

    /// True if the client waits for an acknowledgement.
    pub fn wants_ack(&self) -> bool {
        self.ack.get().is_some()
    }
}

type OnEvent = Rc<dyn Fn(Event)>;
type OnDisconnect = Box<dyn FnOnce(&Socket, DisconnectReason)>;

/// A client in a namespace. Cheap to clone; clones are the same socket.
///
/// What is sent to one that has disconnected is lost, as with Node.
#[derive(Clone)]
pub struct Socket(Rc<Inner>);

struct Inner {
    number: Number,
    id: String,
    /// By which the client proves who it was when it comes back.
    secret: Option<String>,
    namespace: Namespace,
    client: Weak<Client>,
    session: Session,
    handshake: Handshake,
    recovered: bool,
    state: Cell<State>,
    on_event: RefCell<HashMap<String, OnEvent>>,
    on_any: RefCell<Option<OnEvent>>,
    on_disconnecting: RefCell<Option<OnDisconnect>>,
    on_disconnect: RefCell<Option<OnDisconnect>>,
    owed: Owed,
    data: RefCell<Map<String, Value>>,
}

/// Who a new socket is.
pub(crate) struct Identity {
    pub(crate) number: Number,
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) recovered: bool,
    pub(crate) data: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Middleware has not decided yet.
    New,
    Connected,
    /// It left, or was not let in. INVARIANT no-ring: from here on it has no handlers, which often hold the socket.
    Left,
}

impl Identity {
    pub(crate) fn new(number: Number, secret: Option<String>) -> Self {
        Self { number, id: random_id(), secret, recovered: false, data: Map::new() }
    }
}

impl Socket {
    pub(crate) fn new(
        namespace: &Namespace,
        client: &Rc<Client>,
        handshake: Handshake,
        who: Identity,
    ) -> Self {
        Self(Rc::new(Inner {
            number: who.number,
            id: who.id,
            secret: who.secret,
            namespace: namespace.clone(),
            client: Rc::downgrade(client),
            session: client.session().clone(),
            handshake,
            recovered: who.recovered,
            state: Cell::new(State::New),
            on_event: RefCell::default(),
            on_any: RefCell::default(),
            on_disconnecting: RefCell::default(),
            on_disconnect: RefCell::default(),
            owed: Owed::default(),
            data: RefCell::new(who.data),
        }))
    }

    /// Its name, which other clients may know. It is a room of its own.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Where it is connected.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// What the client came with.
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// How its packets travel now.
    pub fn transport(&self) -> TransportKind {
        self.0.session.transport()
    }

    /// True from the connection until the disconnection. Middleware sees it before.
    pub fn is_connected(&self) -> bool {
        self.0.state.get() == State::Connected
    }

    fn has_left(&self) -> bool {
        self.0.state.get() == State::Left
    }

    /// True if the client came back in time: it has its id, its rooms and its data, and gets what it missed.
    pub fn is_recovered(&self) -> bool {
        self.0.recovered
    }

    /// Notes something with the socket. It is seen by [`fetch_sockets`](Operator::fetch_sockets).
    pub fn set_data(&self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.data.borrow_mut().insert(key.into(), value.into());
    }

    /// What was noted.
    pub fn data(&self, key: &str) -> Option<Value> {
        self.0.data.borrow().get(key).cloned()
    }

    pub(crate) fn all_data(&self) -> Map<String, Value> {
        self.0.data.borrow().clone()
    }

    /// Sets what is called for an event of this name. It replaces what was set before.
    pub fn on(&self, event: impl Into<String>, on_event: impl Fn(Event) + 'static) {
        if self.has_left() {
            return;
        }
        let old = self.0.on_event.borrow_mut().insert(event.into(), Rc::new(on_event));
        drop(old);
    }

    /// As [`on`](Self::on), with an async function; each event is a task of its own.
    ///
    /// # Ordering
    /// The tasks start in the order of the events, before anything else comes from the client.
    pub fn on_async<F>(&self, event: impl Into<String>, on_event: F)
    where
        F: AsyncFn(Event) + 'static,
    {
        let on_event = Rc::new(on_event);
        self.on(event, move |event| {
            let on_event = Rc::clone(&on_event);
            spawn(async move { on_event(event).await }).detach();
        });
    }

    /// Sets what is called for events that have nothing of their own. It replaces what was set before.
    pub fn on_any(&self, on_event: impl Fn(Event) + 'static) {
        if self.has_left() {
            return;
        }
        let old = self.0.on_any.replace(Some(Rc::new(on_event)));
        drop(old);
    }

    /// Sets what is called when it leaves, while it is still in its rooms. It replaces what was set before.
    pub fn on_disconnecting(&self, f: impl FnOnce(&Self, DisconnectReason) + 'static) {
        if self.has_left() {
            return;
        }
        let old = self.0.on_disconnecting.replace(Some(Box::new(f)));
        drop(old);
    }

    /// Sets what is called when it has left. It replaces what was set before.
    pub fn on_disconnect(&self, f: impl FnOnce(&Self, DisconnectReason) + 'static) {
        if self.has_left() {
            return;
        }
        let old = self.0.on_disconnect.replace(Some(Box::new(f)));
        drop(old);
    }

    /// Sends an event.
    ///
    /// # Panics
    /// As [`Operator::emit`].
    #[track_caller]
    pub fn emit(&self, event: &str, args: impl IntoArgs) {
        self.only().emit(event, args);
    }

    /// Sends an event, and waits for the client's answer, no longer than `limit`. It is sent at once.
    ///
    /// # Errors
    /// [`AckError`].
    ///
    /// # Panics
    /// As [`Operator::emit`].
    ///
    /// # Cancel safety
    /// Dropping it gives the answer up.
    #[track_caller]
    pub fn emit_with_ack<A: IntoArgs>(
        &self,
        event: &str,
        args: A,
        limit: Duration,
    ) -> impl Future<Output = Result<Args, AckError>> + use<A> {
        check_event(event);
        self.ask(event, args.into_args(), Flags::default(), limit)
    }

    /// As [`emit_with_ack`](Self::emit_with_ack), whatever the name: what another server has said.
    pub(crate) fn ask(
        &self,
        event: &str,
        args: Args,
        flags: Flags,
        limit: Duration,
    ) -> impl Future<Output = Result<Args, AckError>> + use<> {
        let inner = Rc::clone(&self.0);
        let expected = match self.is_connected() {
            true => inner.owed.expect(inner.namespace.options().acks_max).ok_or(AckError::TooMany),
            false => Err(AckError::Disconnected),
        };
        if let Ok((id, _)) = &expected {
            let packet = Outgoing::event(inner.namespace.name(), event, args, Some(*id));
            packet.send(&inner.session, flags.volatile);
        }
        let waiting = expected.map(|(id, receiver)| {
            let answer = answer(inner.session.lp(), receiver, limit);
            (answer, Forgotten { inner, id })
        });
        async move {
            let (answer, _forgotten) = waiting?;
            answer.await
        }
    }

    /// To those in a room, but not to this socket.
    pub fn to(&self, room: impl Into<String>) -> Operator {
        self.broadcast().to(room)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, room: impl Into<String>) -> Operator {
        self.to(room)
    }

    /// To all but those in a room, and not to this socket.
    pub fn except(&self, room: impl Into<String>) -> Operator {
        self.broadcast().except(room)
    }

    /// To all of the namespace but this socket.
    pub fn broadcast(&self) -> Operator {
        self.0.namespace.all().except(self.id())
    }

    /// What is said next may be lost: it is, for clients that can not take it at once.
    pub fn volatile(&self) -> Flagged {
        Flagged::new(self).volatile()
    }

    /// Whether transports may compress what is said next: see [`Operator::compress`].
    pub fn compress(&self, compress: bool) -> Flagged {
        Flagged::new(self).compress(compress)
    }

    pub(crate) fn only(&self) -> Operator {
        self.0.namespace.all().to(self.id()).local()
    }

    /// Joins a room. A socket that has disconnected joins nothing.
    pub fn join(&self, room: &str) {
        self.0.namespace.rooms().borrow_mut().join(self.0.number, room);
    }

    /// Leaves a room.
    pub fn leave(&self, room: &str) {
        self.0.namespace.rooms().borrow_mut().leave(self.0.number, room);
    }

    /// The rooms it is in, its own among them, in the order of their names.
    pub fn rooms(&self) -> Vec<String> {
        let mut rooms = self.0.namespace.rooms().borrow().rooms_of(self.0.number);
        if self.is_connected() {
            rooms.push(self.0.id.clone());
            rooms.sort();
        }
        rooms
    }

    /// True if it is in a room.
    pub fn is_in(&self, room: &str) -> bool {
        self.0.namespace.rooms().borrow().is_in(self.0.number, room)
    }

    /// Has it leave the namespace, or, with `close`, all namespaces and the connection. Nothing if it is not connected.
    pub fn disconnect(&self, close: bool) {
        let inner = &self.0;
        if !self.is_connected() {
            return;
        }
        let client = inner.client.upgrade();
        if let (true, Some(client)) = (close, &client) {
            return client.disconnect();
        }
        Outgoing::new(Kind::Disconnect, inner.namespace.name(), None).send(&inner.session, false);
        self.disconnected(DisconnectReason::ServerNamespaceDisconnect);
    }

    pub(crate) fn number(&self) -> Number {
        self.0.number
    }

    pub(crate) fn secret(&self) -> Option<&str> {
        self.0.secret.as_deref()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.0.session
    }

    pub(crate) fn set_connected(&self) {
        self.0.state.set(State::Connected);
    }

    pub(crate) fn dispatch(&self, name: String, args: Args, ack: Option<u64>) {
        let own = self.0.on_event.borrow().get(&name).cloned();
        let on_event = own.or_else(|| self.0.on_any.borrow().clone());
        if let Some(on_event) = on_event {
            on_event(Event { socket: self.clone(), name, args, ack: Rc::new(Cell::new(ack)) });
        }
    }

    pub(crate) fn acknowledged(&self, id: u64, args: Args) {
        self.0.owed.answered(id, args);
    }

    /// It leaves, once.
    pub(crate) fn disconnected(&self, reason: DisconnectReason) {
        let inner = &self.0;
        if !self.is_connected() {
            return;
        }
        let on_disconnecting = inner.on_disconnecting.take();
        if let Some(f) = on_disconnecting {
            f(self, reason);
        }
        if inner.state.replace(State::Left) == State::Left {
            return; // the callback had it leave
        }
        let rooms = inner.namespace.rooms().borrow_mut().remove(self);
        if let (true, Some(secret)) = (reason.is_recoverable(), &inner.secret) {
            let away =
                Away { id: inner.id.clone(), rooms: rooms.into_iter().collect(), data: self.all_data() };
            inner.namespace.remember(secret.clone(), away);
        }
        if let Some(client) = inner.client.upgrade() {
            client.forget(inner.namespace.name());
        }
        inner.owed.clear();
        let on_disconnect = inner.on_disconnect.take();
        if let Some(f) = on_disconnect {
            f(self, reason);
        }
        self.let_go();
    }

    /// It is not let in, or has left.
    pub(crate) fn let_go(&self) {
        let inner = &self.0;
        inner.state.set(State::Left);
        let events = (inner.on_event.take(), inner.on_any.take());
        let ends = (inner.on_disconnecting.take(), inner.on_disconnect.take());
        drop((events, ends));
    }
}

/// An answer that is not waited for any longer.
struct Forgotten {
    inner: Rc<Inner>,
    id: u64,
}

impl Drop for Forgotten {
    fn drop(&mut self) {
        self.inner.owed.forget(self.id);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Socket");
        out.field("id", &self.0.id).field("namespace", &self.0.namespace.name());
        out.field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
