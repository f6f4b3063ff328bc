//! The channel behind its fronts: what arrives, who is told, and how it ends. `outbox` has what goes out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use super::channel::{Channel, ChannelLimits};
use super::error::ReceiveError;
use super::message::{Attachment, AttachmentKind, Message};
use super::outbox::Outbox;
use super::protocol::{Decoded, Framing, Protocol};
use crate::net::callback_slot::CallbackSlot;
use crate::net::{Passed, ReadEvent, UnixStream};
use crate::state::LoopHandle;
use crate::task::waiters::Waiters;

pub(super) type Received = Result<Message, ReceiveError>;
pub(super) type MessageCallback = dyn FnMut(&Channel, Received);
pub(super) type InternalCallback = dyn FnMut(&Channel, Message);
pub(super) type OnDisconnect = Box<dyn FnOnce(&LoopHandle)>;

/// INVARIANT held: the loop holds the core, by the stream's read callback, while somebody has to be told: a message callback is
/// there, or something waits for the peer's receipt. Otherwise the read callback is weak, and the core ends with its fronts.
pub(super) struct Core {
    pub(super) stream: UnixStream,
    pub(super) limits: ChannelLimits,
    pub(super) framing: Framing,
    pub(super) protocol: RefCell<Box<dyn Protocol>>,
    pub(super) outbox: RefCell<Outbox>,
    pub(super) life: Cell<Life>,
    /// What the user said, if anything: the channel keeps the loop alive or not.
    pub(super) referenced: Cell<Option<bool>>,
    inbox: RefCell<Inbox>,
    /// Nothing is read, since too much waits in the inbox.
    paused: Cell<bool>,
    on_message: CallbackSlot<MessageCallback>,
    on_internal: CallbackSlot<InternalCallback>,
    on_disconnect: Cell<Option<OnDisconnect>>,
}

/// How far the channel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Connected,
    /// Disconnected by us: what was accepted is still sent.
    Leaving,
    Disconnected,
}

/// What arrived and was not taken.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<Received>,
    /// Bytes of the messages, with what each costs.
    len: usize,
    /// Messages that have a socket.
    attached: usize,
    /// Descriptors whose messages are not complete; `None` for one that was lost on the way.
    descriptors: VecDeque<Option<OwnedFd>>,
    readers: Waiters,
}

/// What an empty message counts.
pub(super) const MESSAGE_COST: usize = 64;

/// Descriptors that may come with one message. One that is made here has at most one, and the next message may have begun.
const UNCLAIMED_MAX: usize = 64;

fn is_attached(received: &Received) -> bool {
    received.as_ref().is_ok_and(|message| message.attachment.is_some())
}

fn cost(received: &Received) -> usize {
    MESSAGE_COST + received.as_ref().map_or(0, |message| message.body.len())
}

impl Core {
    pub(super) fn open(stream: UnixStream, framing: Framing, limits: ChannelLimits) -> Rc<Self> {
        // A write that fails is no news: the end that can be read tells of it, behind what the peer sent before.
        stream.on_write_error(|_, _| {});
        let core = Rc::new(Self {
            stream,
            protocol: RefCell::new((framing.make)(limits.message_len_max)),
            limits,
            framing,
            outbox: RefCell::default(),
            life: Cell::new(Life::Connected),
            referenced: Cell::new(None),
            inbox: RefCell::default(),
            paused: Cell::new(false),
            on_message: CallbackSlot::default(),
            on_internal: CallbackSlot::default(),
            on_disconnect: Cell::new(None),
        });
        core.hold();
        core
    }

    pub(super) fn lp(&self) -> &LoopHandle {
        self.stream.lp()
    }

    /// Reads from now on, and has the loop hold the core as far as it must (INVARIANT held).
    pub(super) fn hold(self: &Rc<Self>) {
        let waits = self.outbox.borrow().waits_for_receipt();
        match self.referenced.get().unwrap_or(self.on_message.is_on() || waits) {
            true => self.stream.ref_(),
            false => self.stream.unref(),
        }
        if waits && !self.is_full() {
            self.paused.set(false); // the receipt is behind what waits to be read
        }
        if self.paused.get() || self.life.get() == Life::Disconnected {
            return;
        }
        let held = (self.on_message.is_on() || waits).then(|| Rc::clone(self));
        let core = Rc::downgrade(self);
        // It fails only for a loop that is gone, where nothing is read any more.
        let _ = self.stream.read_start_with_descriptors(move |_, event, passed| {
            let _held = &held;
            if let Some(core) = Weak::upgrade(&core) {
                core.on_read(event, passed);
            }
        });
    }

    fn on_read(self: &Rc<Self>, event: ReadEvent<'_>, passed: Passed) {
        match event {
            ReadEvent::Data(bytes) => self.take(bytes, passed),
            // The peer closed its end while something was under way to it. What it sent was read before.
            ReadEvent::Failed(error) if error.kind() == io::ErrorKind::ConnectionReset => self.lose(None),
            ReadEvent::Failed(error) => self.lose(Some(ReceiveError::Io(error))),
            ReadEvent::End => self.lose(None),
        }
    }

    fn take(self: &Rc<Self>, bytes: &[u8], passed: Passed) {
        {
            let inbox = &mut *self.inbox.borrow_mut();
            inbox.descriptors.extend(passed.descriptors.into_iter().map(Some));
            inbox.descriptors.extend(passed.truncated.then_some(None));
        }
        let mut decoded = Vec::new();
        self.protocol.borrow_mut().decode(bytes, &mut decoded);
        decoded.into_iter().for_each(|decoded| self.accept(decoded));
        if self.life.get() == Life::Disconnected {
            return;
        }
        let unclaimed = self.inbox.borrow().descriptors.len();
        if self.protocol.borrow().unfinished().is_none() {
            // Nobody claimed them, and what comes next brings its own.
            drop(std::mem::take(&mut self.inbox.borrow_mut().descriptors));
        } else if unclaimed > UNCLAIMED_MAX {
            let found = format!("{unclaimed} descriptors within one message");
            return self.lose(Some(ReceiveError::Garbled { found }));
        }
        if !self.on_message.is_on() && self.is_full() {
            self.paused.set(true);
            self.stream.read_stop();
        }
    }

    /// True if nothing more is to be read until something is taken. While a receipt is due there is room for a message more of
    /// the longest kind: it is behind what the peer sent before, and who waits for it may be the one who is to take that.
    fn is_full(&self) -> bool {
        let (limits, inbox) = (&self.limits, self.inbox.borrow());
        let waits = self.outbox.borrow().waits_for_receipt();
        let more = if waits { limits.message_len_max } else { 0 };
        let attachments_max = limits.receive_attachments_max.saturating_mul(1 + usize::from(waits));
        inbox.len > limits.receive_queue_len_max.saturating_add(more) || inbox.attached > attachments_max
    }

    fn accept(self: &Rc<Self>, decoded: Decoded) {
        if self.life.get() == Life::Disconnected {
            return;
        }
        match decoded {
            Decoded::Message { body, internal, attachment } => {
                let Ok(attachment) = self.claim(attachment) else { return };
                let message = Message { body, attachment, internal, is_json: false };
                match internal {
                    true => self.tell_internal(message),
                    false => self.tell(Ok(message)),
                }
            }
            Decoded::Receipt { arrived } => self.receipt(arrived),
            Decoded::Answer(bytes) => self.answer(&bytes),
            Decoded::Skipped(error, attachment) => {
                // Taken and closed, or the next message would get it; and the peer waits to hear that it came.
                drop(self.claim(attachment));
                self.tell(Err(error));
            }
            Decoded::Lost(error) => self.lose(Some(error)),
        }
    }

    /// Finds the descriptor of a message, and tells the peer whether it is there.
    fn claim(self: &Rc<Self>, kind: Option<AttachmentKind>) -> Result<Option<Attachment>, ()> {
        let Some(kind) = kind else { return Ok(None) };
        let fd = self.inbox.borrow_mut().descriptors.pop_front().flatten();
        let receipt = self.protocol.borrow().receipt(fd.is_some());
        match (&fd, receipt) {
            (_, Some(receipt)) => self.answer(receipt),
            // The peer does not learn of it, so it will not send it again.
            (None, None) => self.tell(Err(ReceiveError::AttachmentLost)),
            (Some(_), None) => {}
        }
        fd.map(|fd| Some(Attachment { kind, fd })).ok_or(())
    }

    /// Queues a message and tells whoever waits: a callback in a tick of its own.
    pub(super) fn tell(self: &Rc<Self>, received: Received) {
        let mut readers = {
            let inbox = &mut *self.inbox.borrow_mut();
            inbox.len += cost(&received);
            inbox.attached += usize::from(is_attached(&received));
            inbox.messages.push_back(received);
            std::mem::take(&mut inbox.readers)
        };
        readers.take().for_each(Waker::wake);
        if self.on_message.is_on() {
            self.deliver_later();
        }
    }

    fn deliver_later(self: &Rc<Self>) {
        let core = Rc::clone(self);
        self.lp().next_tick(move |_| core.deliver());
    }

    fn deliver(self: &Rc<Self>) {
        if !self.on_message.is_on() {
            return; // the callback was taken away: the message waits for another
        }
        if let Some(received) = self.pop() {
            let channel = Channel::of(self);
            self.on_message.call(|on_message| on_message(&channel, received));
        }
    }

    fn tell_internal(self: &Rc<Self>, message: Message) {
        if self.on_internal.is_on() {
            let core = Rc::clone(self);
            self.lp().next_tick(move |_| {
                let channel = Channel::of(&core);
                core.on_internal.call(|on_internal| on_internal(&channel, message));
            });
        }
    }

    /// Takes the next message, and reads on if there is room again.
    fn pop(self: &Rc<Self>) -> Option<Received> {
        let (received, has_room) = {
            let inbox = &mut *self.inbox.borrow_mut();
            let received = inbox.messages.pop_front()?;
            inbox.len -= cost(&received);
            inbox.attached -= usize::from(is_attached(&received));
            let (len_max, attachments_max) =
                (self.limits.receive_queue_len_max, self.limits.receive_attachments_max);
            (received, inbox.len <= len_max / 2 && inbox.attached <= attachments_max / 2)
        };
        if self.paused.get() && has_room {
            self.paused.set(false);
            self.hold();
        }
        Some(received)
    }

    pub(super) fn poll_receive(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        if let Some(received) = self.pop() {
            return Poll::Ready(Some(received));
        }
        if self.life.get() == Life::Disconnected || self.lp().is_closed() {
            return Poll::Ready(None);
        }
        let asked = self.inbox.borrow_mut().readers.join(cx.waker(), self.lp().turn());
        asked.into_iter().for_each(Waker::wake); // outside the borrow
        Poll::Pending
    }

    pub(super) fn start(self: &Rc<Self>, on_message: Box<MessageCallback>) {
        drop(self.on_message.start(on_message));
        for _ in 0..self.inbox.borrow().messages.len() {
            self.deliver_later();
        }
        match self.life.get() {
            Life::Disconnected => self.end_later(),
            _ => self.hold(),
        }
    }

    pub(super) fn stop(self: &Rc<Self>) {
        let old = self.on_message.stop();
        self.hold();
        drop(old);
    }

    pub(super) fn start_internal(&self, on_internal: Box<InternalCallback>) {
        drop(self.on_internal.start(on_internal));
    }

    pub(super) fn start_disconnect(self: &Rc<Self>, on_disconnect: OnDisconnect) {
        drop(self.on_disconnect.replace(Some(on_disconnect)));
        if self.life.get() == Life::Disconnected {
            self.end_later();
        }
    }

    /// The channel is no more, for the reason given or because the peer left.
    pub(super) fn lose(self: &Rc<Self>, reason: Option<ReceiveError>) {
        if self.life.replace(Life::Disconnected) == Life::Disconnected {
            return;
        }
        let unfinished = self.protocol.borrow().unfinished();
        let reason = reason.or(unfinished.map(|len| ReceiveError::Truncated { len }));
        if let Some(reason) = reason {
            self.tell(Err(reason));
        }
        let (mut readers, descriptors) = {
            let inbox = &mut *self.inbox.borrow_mut();
            (std::mem::take(&mut inbox.readers), std::mem::take(&mut inbox.descriptors))
        };
        drop(descriptors);
        self.stream.close();
        self.cancel_outbox();
        readers.take().for_each(Waker::wake);
        self.end_later();
    }

    /// Behind all messages: says that it is over, and lets the callbacks go, which may own the channel.
    fn end_later(self: &Rc<Self>) {
        let core = Rc::clone(self);
        self.lp().next_tick(move |lp| {
            let callbacks = (core.on_message.stop(), core.on_internal.stop());
            if let Some(on_disconnect) = core.on_disconnect.take() {
                on_disconnect(lp);
            }
            drop(callbacks);
        });
    }
}

impl Drop for Core {
    /// What is queued is written all the same: the loop holds the stream until then.
    fn drop(&mut self) {
        if !self.stream.is_closed() {
            self.stream.read_stop();
        }
    }
}
