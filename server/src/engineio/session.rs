//! One client: what waits for it, its heartbeat, and how it ends.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use phaseloop::{LoopHandle, TimerId};

use super::engine::Sessions;
use super::frame::Frame;
use super::options::Options;
use crate::later::later;
use crate::proto::engineio::{Kind, Packet, SEPARATOR};

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(Bytes),
}

/// Why a session ended. The names are those of Node's `engine.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed it, or its WebSocket.
    TransportClose,
    /// The connection broke, a poll was given up, or the client took too little or broke the rules of the transport.
    TransportError,
    /// No pong came in time.
    PingTimeout,
    /// What the client sent is no packet.
    ParseError,
    /// The server closed it.
    ForcedClose,
    /// The server is shutting down.
    ServerShuttingDown,
}

impl CloseReason {
    /// One of the sides wanted it, so that the client is there for the last packets.
    fn is_consented(self) -> bool {
        matches!(self, Self::TransportClose | Self::ForcedClose | Self::ServerShuttingDown)
    }

    /// As Node says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ServerShuttingDown => "server shutting down",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a session's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// By HTTP requests, one of which waits at the server.
    Polling,
    /// By one WebSocket.
    WebSocket,
}

/// Why nothing could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The session has ended.
    Closed,
    /// More would wait than [`Options::send_queue_len_max`], which is inside. The session was ended.
    QueueFull(usize),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the session has ended"),
            Self::QueueFull(len_max) => write!(f, "more than {len_max} bytes would wait for the client"),
        }
    }
}

impl std::error::Error for SendError {}

type OnMessage = Rc<dyn Fn(Message<'_>)>;
type OnClose = Box<dyn FnOnce(CloseReason)>;

/// A client of an [`Engine`](super::Engine). Cheap to clone; clones are the same session.
#[derive(Clone)]
pub struct Session(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    id: String,
    lp: LoopHandle,
    sessions: Weak<Sessions>,
    options: Rc<Options>,
    closed: Cell<Option<CloseReason>>,
    transport: Cell<TransportKind>,
    /// A WebSocket has the right to take over.
    upgrading: Cell<bool>,
    /// The poll that waits, or the next one, is answered with nothing.
    released: Cell<bool>,
    outbox: RefCell<VecDeque<Frame>>,
    /// INVARIANT outbox-len: the sum of the lengths in `outbox`.
    outbox_len: Cell<usize>,
    /// The last packet for a client that polls. It comes in a payload of its own, since clients close before they look at
    /// what stands in front of it in the same one.
    farewell: Cell<Farewell>,
    /// The poll that waits, or the task of the WebSocket.
    carrier: RefCell<Option<Waker>>,
    /// The task of a WebSocket that is not the carrier yet.
    successor: RefCell<Option<Waker>>,
    polling: Cell<bool>,
    posting: Cell<bool>,
    /// The next ping, or, while `pong_due` is set, the end of patience.
    heartbeat: Cell<Option<TimerId>>,
    pong_due: Cell<Option<Instant>>,
    on_message: RefCell<Option<OnMessage>>,
    on_close: RefCell<Option<OnClose>>,
}

impl Session {
    pub(crate) fn new(
        lp: &LoopHandle,
        sessions: &Rc<Sessions>,
        options: &Rc<Options>,
        transport: TransportKind,
    ) -> Self {
        Self(Rc::new(Inner {
            id: options.session_prefix.clone() + &random_id(),
            lp: lp.clone(),
            sessions: Rc::downgrade(sessions),
            options: Rc::clone(options),
            closed: Cell::new(None),
            transport: Cell::new(transport),
            upgrading: Cell::new(false),
            released: Cell::new(false),
            outbox: RefCell::default(),
            outbox_len: Cell::new(0),
            farewell: Cell::new(Farewell::Nothing),
            carrier: RefCell::default(),
            successor: RefCell::default(),
            polling: Cell::new(false),
            posting: Cell::new(false),
            heartbeat: Cell::new(None),
            pong_due: Cell::new(None),
            on_message: RefCell::default(),
            on_close: RefCell::default(),
        }))
    }

    /// Twenty characters that nobody can guess: who knows them is the client.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// How packets travel now.
    pub fn transport(&self) -> TransportKind {
        self.0.transport.get()
    }

    /// Why it ended; `None` while it is open.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.0.closed.get()
    }

    /// True until it ends.
    pub fn is_open(&self) -> bool {
        self.0.closed.get().is_none()
    }

    /// True if what is sent now leaves at once: a poll waits, or a WebSocket has nothing queued.
    pub fn is_writable(&self) -> bool {
        let inner = &self.0;
        self.is_open()
            && inner.outbox_len.get() == 0
            && (inner.transport.get() == TransportKind::WebSocket || inner.polling.get())
    }

    /// Bytes that wait for the client.
    pub fn queued(&self) -> usize {
        self.0.outbox_len.get()
    }

    /// Sets what is called for each message. It replaces what was set before.
    pub fn on_message(&self, on_message: impl Fn(Message<'_>) + 'static) {
        let old = self.0.on_message.replace(Some(Rc::new(on_message)));
        drop(old);
    }

    /// Sets what is called once, when the session ends. It replaces what was set before.
    pub fn on_close(&self, on_close: impl FnOnce(CloseReason) + 'static) {
        let old = self.0.on_close.replace(Some(Box::new(on_close)));
        drop(old);
    }

    /// Sends text.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_text(&self, text: &str) -> Result<(), SendError> {
        self.send(Frame::text(text))
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_binary(&self, bytes: impl Into<Bytes>) -> Result<(), SendError> {
        self.send(Frame::binary(bytes.into()))
    }

    /// Ends the session once the client has what was sent; its poll has [`Options::linger`] to fetch that.
    pub fn close(&self) {
        self.end(CloseReason::ForcedClose, Farewell::Close);
    }

    pub(crate) fn lp(&self) -> &LoopHandle {
        &self.0.lp
    }

    pub(crate) fn send(&self, frame: Frame) -> Result<(), SendError> {
        let inner = &self.0;
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let len_max = inner.options.send_queue_len_max;
        if inner.outbox_len.get() + frame.len() > len_max {
            inner.drop_outbox();
            self.end(CloseReason::TransportError, Farewell::Nothing);
            return Err(SendError::QueueFull(len_max));
        }
        inner.push(frame);
        wake(&inner.carrier);
        Ok(())
    }

    /// Ends the session, once.
    pub(crate) fn end(&self, reason: CloseReason, farewell: Farewell) {
        let inner = &self.0;
        if inner.closed.get().is_some() {
            return;
        }
        inner.closed.set(Some(reason));
        inner.stop_heartbeat();
        let polls = inner.transport.get() == TransportKind::Polling;
        if polls {
            inner.farewell.set(farewell); // a WebSocket has its own goodbye
        }
        // What is left may take more polls than the one that waits; the table of sessions forgets it later.
        let is_behind = !inner.polling.get() || inner.outbox_len.get() > 0;
        let lingers = polls && is_behind && farewell != Farewell::Nothing && reason.is_consented();
        if let Some(sessions) = inner.sessions.upgrade() {
            match lingers {
                true => sessions.linger(&inner.id, &inner.lp, inner.options.linger),
                false => sessions.forget(&inner.id),
            }
        }
        if !lingers && polls && !inner.polling.get() {
            inner.drop_outbox();
        }
        wake(&inner.carrier);
        wake(&inner.successor);
        let on_close = inner.on_close.take();
        if let Some(on_close) = on_close {
            on_close(reason);
        }
        // Callbacks often hold the session: here the ring is broken.
        let on_message = inner.on_message.take();
        drop(on_message);
    }

    /// Takes a packet of the client in.
    pub(crate) fn receive(&self, packet: Packet<'_>) {
        if !self.is_open() {
            return;
        }
        match packet {
            Packet::Text(Kind::Message, text) => self.deliver(Message::Text(text)),
            Packet::Binary(bytes) => self.deliver(Message::Binary(bytes)),
            Packet::Text(Kind::Pong, _) => self.0.pong(self),
            Packet::Text(Kind::Close, _) => self.end(CloseReason::TransportClose, Farewell::Noop),
            Packet::Text(Kind::Ping, _) => self.end(CloseReason::TransportError, Farewell::Close),
            Packet::Text(Kind::Open | Kind::Upgrade | Kind::Noop, _) => {}
        }
    }

    /// Forgets a session whose last packet was fetched.
    pub(crate) fn forget_if_done(&self) {
        if self.is_open() || self.0.farewell.get() != Farewell::Nothing {
            return;
        }
        if let Some(sessions) = self.0.sessions.upgrade() {
            sessions.forget(&self.0.id);
        }
    }

    fn deliver(&self, message: Message<'_>) {
        let on_message = self.0.on_message.borrow().clone();
        if let Some(on_message) = on_message {
            on_message(message);
        }
    }

    /// Has the first ping come after one interval.
    pub(crate) fn start_heartbeat(&self) {
        self.0.await_ping(self, self.0.lp.now());
    }

    /// Ends the session if its pong is overdue although the timer has not run yet. True if it did.
    pub(crate) fn check_heartbeat(&self) -> bool {
        let is_late = |due: Instant| self.0.lp.now() + TICK >= due;
        let is_over = self.is_open() && self.0.pong_due.get().is_some_and(is_late);
        if is_over {
            self.end(CloseReason::PingTimeout, Farewell::Close);
        }
        is_over
    }
}

/// What the client is told at the end, besides what waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// Nothing, and no longer what waits: it is gone, or gets an error as its answer.
    #[default]
    Nothing,
    Close,
    /// It closed the session itself: its poll only has to come home.
    Noop,
}

impl Inner {
    fn push(&self, frame: Frame) {
        self.outbox_len.set(self.outbox_len.get() + frame.len());
        self.outbox.borrow_mut().push_back(frame);
    }

    /// The next packet for a WebSocket.
    pub(crate) fn pop(&self) -> Option<Frame> {
        let frame = self.outbox.borrow_mut().pop_front()?;
        self.outbox_len.set(self.outbox_len.get() - frame.len());
        Some(frame)
    }

    pub(crate) fn drop_outbox(&self) {
        let outbox = self.outbox.take();
        self.outbox_len.set(0);
        drop(outbox);
    }

    /// All that waits, as one payload for polling; `None` if there is nothing.
    pub(crate) fn take_payload(&self) -> Option<String> {
        let outbox = self.outbox.take();
        let len = self.outbox_len.replace(0);
        let mut payload = String::with_capacity(len + outbox.len());
        for (number, frame) in outbox.iter().enumerate() {
            if number > 0 {
                payload.push(SEPARATOR);
            }
            frame.push_polled(&mut payload);
        }
        (!outbox.is_empty()).then_some(payload)
    }

    /// Waits for what a poll can be answered with.
    pub(crate) fn poll_payload(&self, cx: &Context<'_>) -> Poll<String> {
        if let Some(payload) = self.take_payload() {
            return Poll::Ready(payload);
        }
        let is_over = self.closed.get().is_some() || self.transport.get() != TransportKind::Polling;
        if is_over || self.released.take() {
            let packet = if self.farewell.take() == Farewell::Close { "1" } else { "6" };
            return Poll::Ready(packet.to_owned());
        }
        self.carry(cx);
        Poll::Pending
    }

    /// The one who asks is woken when there is something to send, or the session ends.
    pub(crate) fn carry(&self, cx: &Context<'_>) {
        self.carrier.replace(Some(cx.waker().clone()));
    }

    /// As `carry`, for a WebSocket that is not the carrier yet: woken when the session ends.
    pub(crate) fn stand_by(&self, cx: &Context<'_>) {
        self.successor.replace(Some(cx.waker().clone()));
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Claims the right to poll; false if another request has it.
    pub(crate) fn begin_poll(&self) -> bool {
        !self.polling.replace(true)
    }

    pub(crate) fn end_poll(&self) {
        self.polling.set(false);
    }

    /// Claims the right to bring packets; false if another request has it.
    pub(crate) fn begin_post(&self) -> bool {
        !self.posting.replace(true)
    }

    pub(crate) fn end_post(&self) {
        self.posting.set(false);
    }

    /// Claims the right to take over; false if the session has a WebSocket.
    pub(crate) fn begin_upgrade(&self) -> bool {
        self.transport.get() == TransportKind::Polling && !self.upgrading.replace(true)
    }

    /// The probe was answered: the poll comes home, so that nothing is under way by it when the WebSocket takes over.
    pub(crate) fn release_poll(&self) {
        self.released.set(true);
        wake(&self.carrier);
    }

    /// The session goes on by polling.
    pub(crate) fn give_up_upgrade(&self) {
        self.upgrading.set(false);
        self.released.set(false);
    }

    /// The WebSocket is the transport from here on.
    pub(crate) fn complete_upgrade(&self) {
        self.upgrading.set(false);
        self.transport.set(TransportKind::WebSocket);
        wake(&self.carrier);
    }

    fn await_ping(&self, session: &Session, from: Instant) {
        let weak = Rc::downgrade(&session.0);
        let due = later(from, self.options.ping_interval);
        self.arm(due, move |lp| {
            let Some(inner) = weak.upgrade() else { return };
            inner.ping(&Session(Rc::clone(&inner)), due, lp);
        });
    }

    fn ping(&self, session: &Session, due: Instant, lp: &LoopHandle) {
        // The lateness of two timers should not add up, so a late ping counts as sent when it was due; but a loop that was
        // busy for long must leave the client half of its time.
        let now = lp.now();
        let sent =
            if now.saturating_duration_since(due) <= self.options.ping_timeout / 2 { due } else { now };
        let pong_due = later(sent, self.options.ping_timeout);
        self.pong_due.set(Some(pong_due));
        let weak = Rc::downgrade(&session.0);
        self.arm(pong_due, move |_| {
            let Some(inner) = weak.upgrade() else { return };
            Session(inner).end(CloseReason::PingTimeout, Farewell::Close);
        });
        // A client for which too much waits already is ended by it, which is what the error says.
        let _ = session.send(Frame::packet("2"));
    }

    fn pong(&self, session: &Session) {
        // One that nobody asked for is no harm; it must not put the next ping off for ever either.
        if self.pong_due.take().is_some() {
            self.await_ping(session, self.lp.now());
        }
    }

    fn arm(&self, due: Instant, on_due: impl FnOnce(&LoopHandle) + 'static) {
        self.stop_heartbeat();
        let timer = self.lp.timer(due.saturating_duration_since(self.lp.now()), on_due);
        // A session does not keep a program alive that has stopped listening.
        self.lp.unref_timer(timer);
        self.heartbeat.set(Some(timer));
    }

    fn stop_heartbeat(&self) {
        if let Some(timer) = self.heartbeat.take() {
            self.lp.stop_timer(timer);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Session");
        out.field("transport", &self.transport()).field("queued", &self.queued());
        out.field("closed", &self.close_reason()).finish_non_exhaustive()
    }
}

fn wake(slot: &RefCell<Option<Waker>>) {
    let waker = slot.take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Twenty characters of 120 random bits.
pub(crate) fn random_id() -> String {
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

const TICK: Duration = Duration::from_millis(1);
