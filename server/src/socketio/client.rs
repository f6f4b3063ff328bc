//! One session and the namespaces it is connected to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

use bytes::Bytes;
use phaseloop::{TimerId, spawn};
use serde_json::Value;

use super::args::Args;
use super::connect::{ConnectError, Handshake};
use super::namespace::{Middleware, Namespace};
use super::outgoing::Outgoing;
use super::server;
use super::socket::{DisconnectReason, Socket};
use crate::engineio::{CloseReason, Message, Session};
use crate::proto::socketio::{Kind, Packet, decode};

/// A client: one session, and at most one socket in each namespace.
pub(crate) struct Client {
    io: Weak<server::Inner>,
    session: Session,
    handshake: Handshake,
    sockets: RefCell<BTreeMap<String, Socket>>,
    /// Namespaces whose middleware has not decided yet.
    connecting: RefCell<BTreeSet<String>>,
    /// Names in a row for which there was no namespace.
    refused: Cell<usize>,
    /// A packet whose attachments are not all there.
    partial: RefCell<Option<(Packet, Vec<Bytes>)>>,
    connect_timer: Cell<Option<TimerId>>,
}

impl Client {
    /// Has a new session speak Socket.IO.
    pub(crate) fn serve(io: &Rc<server::Inner>, session: Session, handshake: Handshake) {
        let client = Rc::new(Self {
            io: Rc::downgrade(io),
            session: session.clone(),
            handshake,
            sockets: RefCell::default(),
            connecting: RefCell::default(),
            refused: Cell::new(0),
            partial: RefCell::default(),
            connect_timer: Cell::new(None),
        });
        let idle = Rc::downgrade(&client);
        let timer = session.lp().timer(io.options.connect_timeout, move |_| {
            if let Some(client) = idle.upgrade().filter(|client| client.sockets.borrow().is_empty()) {
                client.close();
            }
        });
        session.lp().unref_timer(timer);
        client.connect_timer.set(Some(timer));
        // The session drops both when it ends.
        let receiver = Rc::clone(&client);
        session.on_message(move |message| receiver.receive(message));
        session.on_close(move |reason| client.ended(reason.into()));
    }

    fn receive(self: &Rc<Self>, message: Message<'_>) {
        if self.assemble(message).is_none() {
            // It is told nothing, as by Node: a client that speaks the protocol never comes here.
            self.session.close();
        }
    }

    /// `None` if the message is no part of Socket.IO.
    fn assemble(self: &Rc<Self>, message: Message<'_>) -> Option<()> {
        let io = self.io.upgrade()?;
        let (packet, mut attachments) = match (message, self.partial.take()) {
            (Message::Text(text), None) => (decode(text, io.options.attachments_max).ok()?, Vec::new()),
            (Message::Binary(bytes), Some((packet, mut attachments))) => {
                attachments.push(bytes);
                (packet, attachments)
            }
            _ => return None,
        };
        if attachments.len() < packet.attachments {
            attachments.reserve_exact(packet.attachments - attachments.len());
            self.partial.replace(Some((packet, attachments)));
        } else {
            self.take_in(&io, packet, attachments);
        }
        Some(())
    }

    fn take_in(self: &Rc<Self>, io: &Rc<server::Inner>, packet: Packet, attachments: Vec<Bytes>) {
        let socket = self.sockets.borrow().get(&packet.namespace).cloned();
        let Some(socket) = socket else {
            return match packet.kind {
                Kind::Connect => self.connect(io, packet.namespace, packet.data),
                _ => self.close(),
            };
        };
        match (packet.kind, packet.data) {
            (Kind::Disconnect, _) => socket.disconnected(DisconnectReason::ClientNamespaceDisconnect),
            (Kind::Event, Some(Value::Array(mut values))) => {
                let name = match values.remove(0) {
                    Value::String(name) => name,
                    other => other.to_string(),
                };
                socket.dispatch(name, Args::of(values, attachments), packet.id);
            }
            (Kind::Ack, Some(Value::Array(values))) => {
                socket.acknowledged(packet.id.unwrap_or_default(), Args::of(values, attachments));
            }
            _ => self.close(),
        }
    }

    fn connect(self: &Rc<Self>, io: &Rc<server::Inner>, name: String, auth: Option<Value>) {
        let count = self.connecting.borrow().len() + self.sockets.borrow().len();
        if count >= io.options.namespaces_max || self.connecting.borrow().contains(&name) {
            return self.close();
        }
        let Some(namespace) = io.find(&name) else {
            // Each makes work, and room is looked for: one after the other without an end is no client that means it.
            self.refused.set(self.refused.get() + 1);
            if self.refused.get() > io.options.namespaces_max {
                return self.close();
            }
            return self.refuse(&name, &ConnectError::new("Invalid namespace"));
        };
        self.refused.set(0);
        let auth = auth.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let socket = namespace.socket(self, self.handshake.with_auth(auth));
        let skips = socket.is_recovered() && namespace.skips_middlewares();
        let middlewares = if skips { Vec::new() } else { namespace.middlewares() };
        let attempt = Attempt::new(self, &namespace, &socket);
        if middlewares.is_empty() {
            self.admit(&namespace, &socket);
            return attempt.decided.set(true);
        }
        spawn(async move {
            match attempt.ask(&middlewares).await {
                Ok(()) => attempt.client.admit(&attempt.namespace, &attempt.socket),
                Err(error) => attempt.client.refuse(attempt.namespace.name(), &error),
            }
            attempt.decided.set(true);
        })
        .detach();
    }

    fn admit(&self, namespace: &Namespace, socket: &Socket) {
        if !self.session.is_open() {
            return;
        }
        let Some((rooms, missed)) = namespace.take_back(socket) else {
            return self.close(); // it connects again, and is somebody new
        };
        if let Some(timer) = self.connect_timer.take() {
            self.session.lp().stop_timer(timer);
        }
        self.sockets.borrow_mut().insert(namespace.name().to_owned(), socket.clone());
        namespace.admit(socket, &rooms, &missed);
    }

    fn refuse(&self, namespace: &str, error: &ConnectError) {
        Outgoing::new(Kind::ConnectError, namespace, Some(error.to_json())).send(&self.session, false);
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// A socket has left its namespace.
    pub(crate) fn forget(&self, namespace: &str) {
        let socket = self.sockets.borrow_mut().remove(namespace);
        drop(socket);
    }

    /// Ends the session.
    pub(crate) fn close(&self) {
        if self.session.is_open() {
            self.ended(DisconnectReason::ForcedServerClose);
            self.session.close();
        }
    }

    /// Leaves all namespaces, telling the client, and ends the session.
    pub(crate) fn disconnect(&self) {
        let sockets: Vec<Socket> = self.sockets.borrow().values().cloned().collect();
        for socket in sockets {
            socket.disconnect(false);
        }
        self.session.close();
    }

    fn ended(&self, reason: DisconnectReason) {
        if let Some(timer) = self.connect_timer.take() {
            self.session.lp().stop_timer(timer);
        }
        let sockets = self.sockets.take();
        self.partial.take();
        for socket in sockets.into_values() {
            socket.disconnected(reason);
        }
    }
}

/// A client that asks to connect to a namespace, until that is decided.
struct Attempt {
    client: Rc<Client>,
    namespace: Namespace,
    socket: Socket,
    decided: Cell<bool>,
}

impl Attempt {
    fn new(client: &Rc<Client>, namespace: &Namespace, socket: &Socket) -> Self {
        client.connecting.borrow_mut().insert(namespace.name().to_owned());
        namespace.count_connecting(1);
        let (namespace, socket) = (namespace.clone(), socket.clone());
        Self { client: Rc::clone(client), namespace, socket, decided: Cell::new(false) }
    }

    async fn ask(&self, middlewares: &[Middleware]) -> Result<(), ConnectError> {
        for middleware in middlewares {
            middleware(self.socket.clone()).await?;
            if !self.client.session.is_open() {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Attempt {
    /// Undecided, middleware has panicked: the client would wait for ever.
    fn drop(&mut self) {
        self.client.connecting.borrow_mut().remove(self.namespace.name());
        self.namespace.count_connecting(-1);
        if !self.socket.is_connected() {
            self.socket.let_go();
        }
        if !self.decided.get() {
            self.client.close();
        }
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::TransportError => Self::TransportError,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::ServerShuttingDown => Self::ServerShuttingDown,
        }
    }
}
