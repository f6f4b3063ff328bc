//! A place of its own on the same connections: its handlers, its middleware, its rooms.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use phaseloop::LoopHandle;
use serde_json::{Value, json};

use super::adapter::{Adapter, Asking, Broadcast, Local, Partial, Target, with_own};
use super::args::{Args, IntoArgs};
use super::client::Client;
use super::connect::{ConnectError, Handshake};
use super::flags::Flags;
use super::operator::{Operator, RemoteSocket};
use super::outgoing::Outgoing;
use super::recovery::{Away, Memory, Proof};
use super::rooms::Rooms;
use super::server::Options;
use super::socket::{Identity, Socket};
use crate::engineio::{Session, random_id};
use crate::proto::socketio::Kind;

type OnConnection = Rc<dyn Fn(&Socket)>;
pub(crate) type Middleware = Rc<dyn Fn(Socket) -> Pin<Box<dyn Future<Output = Result<(), ConnectError>>>>>;

/// A place of its own on the same connections, such as `/admin`. Cheap to clone; clones are the same namespace.
///
/// Made by [`Io::of`](super::Io::of); an [`Io`](super::Io) is also its main one, `/`.
#[derive(Clone)]
pub struct Namespace(Rc<Inner>);

struct Inner {
    name: String,
    options: Rc<Options>,
    rooms: RefCell<Rooms>,
    /// Clients whose connection is not decided yet.
    connecting: Cell<usize>,
    /// What guards it may be missing: it takes nobody.
    is_half_made: Cell<bool>,
    on_connection: RefCell<Option<OnConnection>>,
    middlewares: RefCell<Vec<Middleware>>,
    memory: Option<RefCell<Memory>>,
    /// The loop of its clients, once there was one. Its clock is asked for at times when no loop runs.
    lp: OnceCell<LoopHandle>,
    adapter: OnceCell<Box<dyn Adapter>>,
    on_server_event: RefCell<HashMap<String, OnServerEvent>>,
}

type OnServerEvent = Rc<dyn Fn(ServerEvent)>;
pub(crate) type ServerAck = Box<dyn FnOnce(Value)>;

/// Something that another server said to this one.
#[non_exhaustive]
pub struct ServerEvent {
    /// The event's name.
    pub name: String,
    /// What it carries.
    pub args: Args,
    pub(crate) ack: Cell<Option<ServerAck>>,
}

impl ServerEvent {
    /// Answers. False if the server does not ask for that, or has its answer.
    pub fn ack(&self, answer: impl Into<Value>) -> bool {
        let ack = self.ack.take();
        let is_wanted = ack.is_some();
        if let Some(ack) = ack {
            ack(answer.into());
        }
        is_wanted
    }
}

impl fmt::Debug for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEvent")
            .field("name", &self.name)
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

impl Namespace {
    pub(crate) fn new(name: &str, options: &Rc<Options>) -> Self {
        Self(Rc::new(Inner {
            name: name.to_owned(),
            options: Rc::clone(options),
            rooms: RefCell::default(),
            connecting: Cell::new(0),
            is_half_made: Cell::new(false),
            on_connection: RefCell::default(),
            middlewares: RefCell::default(),
            memory: options.recovery.clone().map(Memory::new).map(RefCell::new),
            lp: OnceCell::new(),
            adapter: OnceCell::new(),
            on_server_event: RefCell::default(),
        }))
    }

    /// Its name, beginning with `/`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sets what is called for each client that has connected, before its first event. It replaces what was set before.
    pub fn on_connection(&self, on_connection: impl Fn(&Socket) + 'static) {
        let old = self.0.on_connection.replace(Some(Rc::new(on_connection)));
        drop(old);
    }

    /// Adds middleware: it decides whether a client may connect, after what was added before.
    ///
    /// # Examples
    /// ```
    /// use phaseloop_server::socketio::{ConnectError, Io, Socket};
    ///
    /// let io = Io::new();
    /// io.of("/admin").use_(async |socket: Socket| match socket.handshake().auth["token"].as_str() {
    ///     Some("secret") => Ok(()),
    ///     _ => Err(ConnectError::new("who are you?")),
    /// });
    /// ```
    pub fn use_<F>(&self, middleware: F)
    where
        F: AsyncFn(Socket) -> Result<(), ConnectError> + 'static,
    {
        let middleware = Rc::new(middleware);
        self.0.middlewares.borrow_mut().push(Rc::new(move |socket| {
            let middleware = Rc::clone(&middleware);
            Box::pin(async move { middleware(socket).await })
        }));
    }

    /// Has other servers share its rooms. Once, before the first client.
    ///
    /// # Panics
    /// It has an adapter, or has had to do without one.
    pub fn set_adapter(&self, adapter: impl Adapter) {
        assert!(
            self.0.adapter.set(Box::new(adapter)).is_ok(),
            "an adapter comes before the first use of the namespace {}, and only once",
            self.0.name
        );
    }

    /// To all.
    pub fn all(&self) -> Operator {
        Operator::new(self.clone())
    }

    /// To those in a room.
    pub fn to(&self, room: impl Into<String>) -> Operator {
        self.all().to(room)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, room: impl Into<String>) -> Operator {
        self.to(room)
    }

    /// To all but those in a room.
    pub fn except(&self, room: impl Into<String>) -> Operator {
        self.all().except(room)
    }

    /// To those that can take it at once.
    pub fn volatile(&self) -> Operator {
        self.all().volatile()
    }

    /// To those on this server: what an [`Adapter`] says on behalf of others.
    pub fn local(&self) -> Operator {
        self.all().local()
    }

    /// Sends an event to all.
    ///
    /// # Panics
    /// As [`Operator::emit`].
    #[track_caller]
    pub fn emit(&self, event: &str, args: impl IntoArgs) {
        self.all().emit(event, args);
    }

    /// All sockets, those of other servers too.
    ///
    /// # Errors
    /// As [`Operator::fetch_sockets`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Partial<RemoteSocket>> {
        self.all().fetch_sockets().await
    }

    /// How many sockets this server has here.
    pub fn socket_count(&self) -> usize {
        self.0.rooms.borrow().len()
    }

    /// The socket of this server with that id.
    pub fn socket_by_id(&self, id: &str) -> Option<Socket> {
        self.0.rooms.borrow().by_id(id).cloned()
    }

    /// The rooms that sockets of this server have joined, in no order.
    pub fn room_names(&self) -> Vec<String> {
        self.0.rooms.borrow().names()
    }

    /// The rooms that anybody has joined, on other servers too, in no order. Each socket's own room is among those of other servers.
    ///
    /// # Errors
    /// As [`Operator::fetch_sockets`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn all_room_names(&self) -> Result<Vec<String>, Partial<String>> {
        let unique = |mut names: Vec<String>| {
            names.sort_unstable();
            names.dedup();
            names
        };
        let names = with_own(self.room_names(), self.adapter().rooms().await);
        names.map(unique).map_err(|Partial { found, why }| Partial { found: unique(found), why })
    }

    /// Sends an event to the other servers, for what they have set with [`on_server_side_emit`](Self::on_server_side_emit).
    pub fn server_side_emit(&self, event: &str, args: impl IntoArgs) {
        self.adapter().server_side_emit(event, &args.into_args());
    }

    /// Sends an event to the other servers, each of which answers with one value.
    ///
    /// # Errors
    /// As [`Operator::fetch_sockets`].
    ///
    /// # Cancel safety
    /// Dropping it gives the answers up.
    pub fn server_side_emit_with_ack(&self, event: &str, args: impl IntoArgs) -> Asking<Value> {
        self.adapter().server_side_emit_with_ack(event, &args.into_args())
    }

    /// Sets what is called for an event that another server sends to servers. It replaces what was set before.
    pub fn on_server_side_emit(&self, event: impl Into<String>, on_event: impl Fn(ServerEvent) + 'static) {
        let old = self.0.on_server_event.borrow_mut().insert(event.into(), Rc::new(on_event));
        drop(old);
    }

    /// How many servers share this namespace, this one included.
    ///
    /// # Errors
    /// Why that is not known.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn server_count(&self) -> Result<usize, String> {
        self.adapter().server_count().await
    }

    pub(crate) fn rooms(&self) -> &RefCell<Rooms> {
        &self.0.rooms
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// For an adapter, which the namespace owns.
    #[cfg(feature = "socketio-redis")]
    pub(crate) fn downgrade(&self) -> impl Fn() -> Option<Self> + use<> {
        let weak = Rc::downgrade(&self.0);
        move || weak.upgrade().map(Self)
    }

    /// Another server said something to this one.
    #[cfg(feature = "socketio-redis")]
    pub(crate) fn server_said(&self, event: ServerEvent) {
        let on_event = self.0.on_server_event.borrow().get(&event.name).cloned();
        if let Some(on_event) = on_event {
            on_event(event);
        }
    }

    pub(crate) fn adapter(&self) -> &dyn Adapter {
        &**self.0.adapter.get_or_init(|| Box::new(Local))
    }

    pub(crate) fn middlewares(&self) -> Vec<Middleware> {
        self.0.middlewares.borrow().clone()
    }

    pub(crate) fn skips_middlewares(&self) -> bool {
        self.0.memory.as_ref().is_some_and(|memory| memory.borrow().skips_middlewares())
    }

    /// A socket for a client that asks to connect: who it was, if it comes back.
    pub(crate) fn socket(&self, client: &Rc<Client>, handshake: Handshake) -> Socket {
        let number = self.0.rooms.borrow_mut().next_number();
        let Some(memory) = &self.0.memory else {
            return Socket::new(self, client, handshake, Identity::new(number, None));
        };
        let now = self.0.lp.get_or_init(|| client.session().lp().clone()).now();
        let found = Proof::of(&handshake.auth).and_then(|proof| {
            let away = memory.borrow_mut().find(proof, self.room_for(client.session()), now);
            away.map(|away| (proof.secret.to_owned(), away))
        });
        let who = match found {
            Some((secret, Away { id, data, .. })) => {
                Identity { number, id, secret: Some(secret), recovered: true, data }
            }
            None => Identity::new(number, Some(random_id())),
        };
        Socket::new(self, client, handshake, who)
    }

    /// The rooms of a socket that is about to be let in, and what it missed; nothing for one that is new. `None` if it came back
    /// but may no longer be taken for who it was: the time is up, or somebody else was faster.
    pub(crate) fn take_back(&self, socket: &Socket) -> Option<(Vec<String>, Vec<Outgoing>)> {
        let Some(memory) = self.0.memory.as_ref().filter(|_| socket.is_recovered()) else {
            return Some(Default::default());
        };
        let proof = Proof::of(&socket.handshake().auth)?;
        let len_max = self.room_for(socket.session());
        let (away, missed) = memory.borrow_mut().restore(proof, len_max, self.now()?)?;
        Some((away.rooms, missed))
    }

    /// Bytes that a session can take behind the packet that says that it is connected.
    fn room_for(&self, session: &Session) -> usize {
        let len_max = self.0.options.engine.send_queue_len_max;
        len_max.saturating_sub(session.queued() + self.name().len() + CONNECT_LEN_MAX)
    }

    /// Lets a socket in.
    pub(crate) fn admit(&self, socket: &Socket, rooms: &[String], missed: &[Outgoing]) {
        socket.set_connected();
        self.0.rooms.borrow_mut().add(socket.clone());
        let facts = match socket.secret() {
            None => json!({ "sid": socket.id() }),
            Some(secret) => json!({ "sid": socket.id(), "pid": secret }),
        };
        Outgoing::new(Kind::Connect, self.name(), Some(facts)).send(socket.session(), false);
        rooms.iter().for_each(|room| socket.join(room));
        missed.iter().for_each(|packet| packet.send(socket.session(), false));
        if !socket.is_connected() {
            return; // that was more than its session takes
        }
        let on_connection = self.0.on_connection.borrow().clone();
        if let Some(on_connection) = on_connection {
            on_connection(socket);
        }
    }

    /// A client asks to connect, or that is decided.
    pub(crate) fn count_connecting(&self, change: isize) {
        self.0.connecting.set(self.0.connecting.get().saturating_add_signed(change));
    }

    /// True if nobody is here, asks to be, or is waited for.
    pub(crate) fn is_empty(&self) -> bool {
        let is_idle = self.memory().is_none_or(|(memory, now)| memory.borrow_mut().is_idle(now));
        self.socket_count() == 0 && self.0.connecting.get() == 0 && is_idle
    }

    /// Runs what makes it. If that panics it takes nobody, ever.
    pub(crate) fn set_up(&self, make: impl FnOnce(&Self)) {
        self.0.is_half_made.set(true);
        make(self);
        self.0.is_half_made.set(false);
    }

    pub(crate) fn takes_clients(&self) -> bool {
        !self.0.is_half_made.get()
    }

    /// Drops all handlers, which often hold the namespace.
    pub(crate) fn let_go(&self) {
        let inner = &self.0;
        drop((inner.on_connection.take(), inner.middlewares.take(), inner.on_server_event.take()));
    }

    pub(crate) fn remember(&self, secret: String, away: Away) {
        if let Some((memory, now)) = self.memory() {
            memory.borrow_mut().remember(secret, away, now);
        }
    }

    fn now(&self) -> Option<Instant> {
        self.0.lp.get().map(LoopHandle::now)
    }

    /// With the time; `None` before the first client, too.
    fn memory(&self) -> Option<(&RefCell<Memory>, Instant)> {
        self.0.memory.as_ref().zip(self.now())
    }

    /// Sends an event to whom it is for: encoded once here, and once by an adapter.
    pub(crate) fn broadcast(&self, target: &Target, flags: Flags, event: &str, mut args: Args) {
        if !flags.local {
            let Flags { volatile, uncompressed, .. } = flags;
            let what = Broadcast { target, event, args: &args, volatile, compress: !uncompressed };
            self.adapter().broadcast(&what);
        }
        let kept = self.memory().filter(|_| !flags.volatile).map(|(memory, now)| {
            let id = random_id();
            args.push(id.as_str());
            (memory, now, id)
        });
        let sockets = self.0.rooms.borrow().select(&target.rooms, &target.except);
        if sockets.is_empty() && kept.is_none() {
            return;
        }
        let packet = Outgoing::event(self.name(), event, args, None);
        for socket in &sockets {
            packet.send(socket.session(), flags.volatile);
        }
        if let Some((memory, now, id)) = kept {
            memory.borrow_mut().keep(id, target.clone(), packet, now);
        }
    }
}

/// The packet that says that a client is connected, but for the namespace's name.
const CONNECT_LEN_MAX: usize = 128;

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Namespace");
        out.field("name", &self.0.name).field("sockets", &self.socket_count()).finish_non_exhaustive()
    }
}
