//! One connection: what its ends share. The task in `pump.rs` reads and writes; whoever sends puts into the outbox.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use phaseloop::LoopHandle;

use super::close::{Close, CloseCode, Closed, Lost};
use super::inbox::Inbox;
use super::link::Link;
use super::message::Message;
use super::options::{WhenFull, WsOptions};
use super::outbox::Outbox;
use super::sender::SendError;
use crate::joint::wire::Scratch;
use crate::proto::websocket::deflate::Deflater;
use crate::proto::websocket::encode::{self, Encoded};
use crate::proto::websocket::reader::{Event, Reader};
use crate::proto::websocket::{Fault, Role};
use crate::waiting::Waiting;

/// A connection, as its task and its users hold it.
pub(crate) struct Connection {
    pub(crate) lp: LoopHandle,
    pub(crate) options: Rc<WsOptions>,
    pub(crate) scratch: Scratch,
    pub(crate) role: Role,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) core: RefCell<Core>,
    pub(crate) wakers: RefCell<Wakers>,
    /// Those who wait for room, or for the end.
    pub(crate) senders: Waiting,
    /// Somebody takes messages: a socket, or callbacks.
    pub(crate) is_heard: Cell<bool>,
    pub(crate) work: Cell<Work>,
}

/// What the connection's task is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It waits until it is woken.
    Waits,
    /// It reads. Whoever is served by the same task is polled next.
    Reads,
    /// It lets others work, and writes next.
    Serves,
}

/// Whom to wake when something changes.
#[derive(Default)]
pub(crate) struct Wakers {
    pub(crate) pump: Option<Waker>,
    receiver: Option<Waker>,
}

pub(crate) struct Core {
    pub(crate) link: Link,
    pub(crate) reader: Reader,
    pub(crate) deflater: Option<Box<Deflater>>,
    pub(crate) outbox: Outbox,
    /// What was read and is not decoded, since the inbox is full.
    pub(crate) rest: Vec<u8>,
    inbox: Inbox,
    pub(crate) stage: Stage,
    pub(crate) closed: Option<Rc<Closed>>,
    /// When the peer was last heard, when it was asked, and since when it takes nothing.
    pub(crate) heard: Instant,
    pub(crate) asked: Option<Instant>,
    pub(crate) stalled: Option<Instant>,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    /// We said goodbye, then.
    Closing(Instant),
    /// No more messages in either direction: what was written leaves, and then, since then, the peer closes.
    Leaving(Instant),
    Over,
}

impl Connection {
    /// Has the connection's task write what there is to write, and look at what changed.
    pub(crate) fn wake_pump(&self) {
        if self.work.get() != Work::Waits {
            return; // it is about to
        }
        let waker = self.wakers.borrow().pump.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.core.borrow().stage == Stage::Open
    }

    pub(crate) fn is_full(&self) -> bool {
        self.core.borrow().outbox.is_over(self.options.high_water)
    }

    /// Puts a message into the outbox, if there is room.
    pub(crate) fn try_send(&self, message: Message) -> Result<(), SendError> {
        if let Some(error) = self.refusal() {
            return Err(error(message));
        }
        let encoded = self.core.borrow_mut().encode(&message, self.role);
        self.put(encoded);
        Ok(())
    }

    /// As [`try_send`](Self::try_send), for what was encoded for a server's connections.
    pub(crate) fn try_send_encoded(&self, message: &Message, encoded: &Encoded) -> Result<(), SendError> {
        if self.role == Role::Client {
            return self.try_send(message.clone());
        }
        if let Some(error) = self.refusal() {
            return Err(error(message.clone()));
        }
        self.put(encoded.clone());
        Ok(())
    }

    fn put(&self, encoded: Encoded) {
        let was_empty = {
            let outbox = &mut self.core.borrow_mut().outbox;
            let was_empty = outbox.is_empty();
            outbox.push(encoded);
            was_empty
        };
        if was_empty {
            self.wake_pump(); // it waits for the stream otherwise, or is awake
        }
    }

    /// Why a message can not be taken, if it can not.
    fn refusal(&self) -> Option<fn(Message) -> SendError> {
        if !self.is_open() {
            return Some(SendError::Closed);
        }
        if !self.is_full() {
            return None;
        }
        match self.options.when_full {
            WhenFull::Wait => Some(SendError::Full),
            WhenFull::Drop => Some(SendError::Dropped),
            WhenFull::Close => {
                let mut core = self.core.borrow_mut();
                core.outbox.clear_unbegun(); // the peer takes nothing of it; what it has begun to take, it may still end
                drop(core);
                self.fail(CloseCode::POLICY, Lost::SlowPeer);
                Some(SendError::Closed)
            }
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&self, close: Option<&Close>) {
        let mut core = self.core.borrow_mut();
        if core.stage == Stage::Open {
            core.outbox.push(encode::close(close, self.role));
            core.stage = Stage::Closing(self.lp.now());
            drop(core);
            self.wake_pump();
            self.wake_users();
        }
    }

    /// Ends the connection because of what its peer did, and says so.
    pub(crate) fn fail(&self, code: CloseCode, lost: Lost) {
        let mut core = self.core.borrow_mut();
        if core.stage == Stage::Open {
            core.outbox.push(encode::close(Some(&code.into()), self.role));
        }
        drop(core);
        self.leave(Closed { code, reason: "".into(), lost: Some(lost) });
    }

    pub(crate) fn fail_with(&self, fault: Fault) {
        match fault {
            Fault::Protocol(rule) => self.fail(CloseCode::PROTOCOL, Lost::Protocol(rule)),
            Fault::InvalidText => self.fail(CloseCode::INVALID_TEXT, Lost::InvalidText),
            Fault::TooBig(limit) => self.fail(CloseCode::TOO_BIG, Lost::TooBig(limit)),
        }
    }

    /// The connection is lost: nothing more can be said.
    pub(crate) fn lose(&self, lost: Lost) {
        self.leave(Closed { code: CloseCode::ABNORMAL, reason: "".into(), lost: Some(lost) });
        self.core.borrow_mut().stage = Stage::Over;
    }

    /// Both sides said what they had to: users learn of it, and the stream may end.
    fn leave(&self, closed: Closed) {
        let mut core = self.core.borrow_mut();
        if !matches!(core.stage, Stage::Leaving(_) | Stage::Over) {
            core.stage = Stage::Leaving(self.lp.now());
            core.closed = Some(Rc::new(closed));
            core.rest = Vec::new();
        }
        drop(core);
        self.wake_pump();
        self.wake_users();
    }

    /// Deals with what the peer said; a message is given back.
    pub(crate) fn take(&self, event: Event) -> Option<Message> {
        let mut core = self.core.borrow_mut();
        match event {
            Event::Message(message) => return Some(message),
            Event::Pong => {}
            // A peer that asks again and again and takes no answer gets none: RFC 6455, section 5.5.3, lets us answer
            // the last one only.
            Event::Ping(payload)
                if core.stage == Stage::Open && !core.outbox.is_over(self.options.high_water) =>
            {
                core.outbox.push(encode::pong(&payload, self.role));
            }
            Event::Ping(_) => {}
            Event::Close(close) => {
                if core.stage == Stage::Open {
                    core.outbox.push(encode::close(close.as_ref(), self.role));
                }
                drop(core);
                let Close { code, reason } = close.unwrap_or_else(|| CloseCode::NONE.into());
                self.leave(Closed { code, reason, lost: None });
            }
        }
        None
    }

    pub(crate) fn put_in_inbox(&self, message: Message) {
        if !self.is_heard.get() {
            return; // whoever took messages is gone, and the peer was told goodbye
        }
        self.core.borrow_mut().inbox.push(message);
        self.wake_receiver();
    }

    /// Nobody takes messages any more.
    pub(crate) fn stop_hearing(&self) {
        self.is_heard.set(false);
        self.core.borrow_mut().inbox = Inbox::default();
    }

    pub(crate) fn inbox_is_full(&self) -> bool {
        self.core.borrow().inbox.is_full(self.options.inbox_len_max)
    }

    /// The next message; `None` at the end.
    pub(crate) fn poll_message(&self, cx: &Context<'_>) -> Poll<Option<Message>> {
        let mut core = self.core.borrow_mut();
        let was_full = core.inbox.is_full(self.options.inbox_len_max);
        if let Some(message) = core.inbox.pop() {
            let has_room = !core.inbox.is_full(self.options.inbox_len_max);
            drop(core);
            if was_full && has_room {
                self.wake_pump();
            }
            return Poll::Ready(Some(message));
        }
        if core.closed.is_some() {
            return Poll::Ready(None);
        }
        let receiver = &mut self.wakers.borrow_mut().receiver;
        if !receiver.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *receiver = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until a message would be taken, or never will be.
    pub(crate) async fn room(&self) {
        let waits = || self.is_open() && self.is_full() && self.options.when_full == WhenFull::Wait;
        if waits() {
            // A box: who sends has room mostly, and would be as long as this wait for good.
            Box::pin(self.senders.until(|| (!waits()).then_some(()))).await;
        }
    }

    pub(crate) async fn closed(&self) -> Rc<Closed> {
        self.senders.until(|| self.core.borrow().closed.clone()).await
    }

    fn wake_users(&self) {
        self.senders.wake();
        self.wake_receiver();
    }

    fn wake_receiver(&self) {
        let mut wakers = self.wakers.borrow_mut();
        let Some(receiver) = wakers.receiver.take() else { return };
        let is_same_task = wakers.pump.as_ref().is_some_and(|pump| pump.will_wake(&receiver));
        if is_same_task && self.work.get() == Work::Reads {
            wakers.receiver = Some(receiver); // it is polled next
            return;
        }
        drop(wakers);
        receiver.wake();
    }
}

impl Core {
    pub(crate) fn new(link: Link, reader: Reader, deflater: Option<Box<Deflater>>, now: Instant) -> Self {
        Self {
            link,
            reader,
            deflater,
            outbox: Outbox::default(),
            rest: Vec::new(),
            inbox: Inbox::default(),
            stage: Stage::Open,
            closed: None,
            heard: now,
            asked: None,
            stalled: None,
        }
    }

    fn encode(&mut self, message: &Message, role: Role) -> Encoded {
        let packed = self.deflater.as_mut().and_then(|deflater| deflater.deflate(message.as_bytes()));
        match packed {
            Some(packed) => encode::compressed(message, packed, role),
            None => encode::message(message, role),
        }
    }
}
