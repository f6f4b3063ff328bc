//! What a channel sends: at once, or when the peer has confirmed the attachment before it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::channel::Channel;
use super::core::{Core, Life, MESSAGE_COST};
use super::error::{ReceiveError, SendError};
use super::message::{Attachment, Message};
use crate::net::WriteRefused;
use crate::task::waiters::Waiters;

pub(super) type OnSent = Box<dyn FnOnce(&Channel, io::Result<()>)>;

/// How often an attachment that did not arrive is sent again. Source: Node, `MAX_HANDLE_RETRANSMISSIONS`.
const REFUSALS_MAX: u32 = 3;

/// How much memory for encoding is kept.
const SCRATCH_LEN_MAX: usize = 64 * 1024;

/// INVARIANT order: while an attachment waits for its receipt, all later messages wait too.
#[derive(Default)]
pub(super) struct Outbox {
    unconfirmed: Option<Unconfirmed>,
    waiting: VecDeque<(Message, Option<OnSent>)>,
    /// Bytes of those that wait.
    len: usize,
    /// Tasks that wait until nothing waits here.
    idle: Waiters,
    scratch: Vec<u8>,
}

/// A message whose attachment the peer has not confirmed: it may have to be sent again.
struct Unconfirmed {
    bytes: Vec<u8>,
    attachment: Attachment,
    refusals: u32,
}

impl Outbox {
    pub(super) fn waits_for_receipt(&self) -> bool {
        self.unconfirmed.is_some()
    }
}

impl Core {
    /// Bytes that were accepted and the system has not taken.
    pub(super) fn queued_len(&self) -> usize {
        self.outbox.borrow().len + self.stream.write_queue_len()
    }

    pub(super) fn submit(
        self: &Rc<Self>,
        message: Message,
        mut on_sent: Option<OnSent>,
    ) -> Result<(), SendError> {
        if self.life.get() != Life::Connected {
            return Err(SendError::Disconnected(message));
        }
        let (len, limit) = (message.body.len(), self.limits.message_len_max);
        if len > limit {
            return Err(SendError::TooLong { message, limit });
        }
        // Those that wait cost something even if they are empty.
        let waiting = self.outbox.borrow().waiting.len() * MESSAGE_COST;
        let (queued, limit) = (self.queued_len() + waiting, self.limits.send_queue_len_max);
        if queued > 0 && queued.saturating_add(len) > limit {
            return Err(SendError::Full { message, queued, limit, counts_messages: false });
        }
        if let Some((queued, limit)) = self.count_reached() {
            return Err(SendError::Full { message, queued, limit, counts_messages: true });
        }
        let outbox = &mut *self.outbox.borrow_mut();
        if outbox.waits_for_receipt() {
            outbox.len += len;
            outbox.waiting.push_back((message, on_sent));
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut outbox.scratch);
        let sent = self.put(outbox, message, &mut on_sent, &mut bytes);
        if bytes.capacity() <= SCRATCH_LEN_MAX {
            bytes.clear();
            outbox.scratch = bytes;
        }
        let confirms = outbox.waits_for_receipt();
        if confirms {
            self.hold_later();
        }
        sent
    }

    /// How many messages are queued, and how many may be, once that is reached. The other half of what the stream takes is kept for
    /// answers and for attachments that are sent again, so that no message that was accepted is refused later.
    fn count_reached(&self) -> Option<(usize, usize)> {
        let count = self.stream.queued_writes() + self.outbox.borrow().waiting.len();
        let limit = (self.lp().state.limits.queued_writes_max / 2).max(1);
        (count >= limit).then_some((count, limit))
    }

    /// Encodes a message and gives it to the stream, which calls nobody back from inside the call. What can not be sent leaves
    /// `on_sent` where it is.
    fn put(
        self: &Rc<Self>,
        outbox: &mut Outbox,
        mut message: Message,
        on_sent: &mut Option<OnSent>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if let Err(reason) = self.protocol.borrow().encode(&message, bytes) {
            return Err(SendError::NotJson { message, reason });
        }
        if let Err(error) = self.write(bytes, message.attachment.as_ref(), on_sent) {
            return Err(match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected => {
                    SendError::Disconnected(message)
                }
                io::ErrorKind::WouldBlock => {
                    let by_bytes = error.get_ref().and_then(|error| error.downcast_ref::<WriteRefused>());
                    let (queued, limit) = by_bytes.map_or_else(
                        || (self.stream.queued_writes(), self.lp().state.limits.queued_writes_max),
                        |refused| (refused.queued, refused.limit),
                    );
                    SendError::Full { message, queued, limit, counts_messages: by_bytes.is_none() }
                }
                _ => SendError::Io { message, error },
            });
        }
        if let Some(attachment) = message.attachment.take()
            && self.protocol.borrow().receipt(true).is_some()
        {
            outbox.unconfirmed = Some(Unconfirmed { bytes: bytes.clone(), attachment, refusals: 0 });
        }
        Ok(())
    }

    fn write(
        self: &Rc<Self>,
        bytes: &[u8],
        attachment: Option<&Attachment>,
        on_sent: &mut Option<OnSent>,
    ) -> io::Result<()> {
        // A duplicate: the message keeps its own until the write is accepted, or the peer has confirmed it.
        let fd = attachment.map(|attachment| attachment.fd.try_clone()).transpose()?;
        if fd.is_none() && on_sent.is_none() {
            return self.stream.queue_write(bytes);
        }
        // In a place of its own, for a write that is refused drops its callback.
        let place = Rc::new(Cell::new(on_sent.take()));
        let (core, in_place) = (Rc::clone(self), Rc::clone(&place));
        let on_written = move |_: &_, result| {
            if let Some(on_sent) = in_place.take() {
                on_sent(&Channel::of(&core), result);
            }
        };
        let written = match fd {
            None => self.stream.queue_write_with(bytes, on_written),
            Some(fd) => self.stream.queue_write_with_descriptors(bytes, vec![fd], on_written),
        };
        if written.is_err() {
            *on_sent = place.take();
        }
        written
    }

    /// Has the loop hold the core while a receipt is due, once no borrow is out.
    fn hold_later(self: &Rc<Self>) {
        let core = Rc::clone(self);
        self.lp().next_tick(move |_| core.hold());
    }

    /// The peer says whether it got the attachment that was sent last.
    pub(super) fn receipt(self: &Rc<Self>, arrived: bool) {
        let unconfirmed = self.outbox.borrow_mut().unconfirmed.take();
        let Some(mut unconfirmed) = unconfirmed else { return }; // of nothing that we sent
        if !arrived {
            unconfirmed.refusals += 1;
            let again = unconfirmed.refusals <= REFUSALS_MAX;
            if again && self.write(&unconfirmed.bytes, Some(&unconfirmed.attachment), &mut None).is_ok() {
                self.outbox.borrow_mut().unconfirmed = Some(unconfirmed);
                return;
            }
            self.tell(Err(ReceiveError::AttachmentRefused));
        }
        drop(unconfirmed);
        self.send_waiting();
        self.hold();
        let mut idle = {
            let outbox = &mut *self.outbox.borrow_mut();
            if outbox.waits_for_receipt() { Waiters::default() } else { std::mem::take(&mut outbox.idle) }
        };
        idle.take().for_each(Waker::wake);
        if self.life.get() == Life::Leaving {
            self.leave();
        }
    }

    /// Sends what waited, up to the next attachment.
    fn send_waiting(self: &Rc<Self>) {
        let mut bytes = Vec::new();
        while let Some((sent, on_sent)) = self.send_first(&mut bytes) {
            // It was accepted, so its failure is told to its callback, or else in line with what arrives. Nothing is borrowed here:
            // to tell it wakes tasks.
            match (sent, on_sent) {
                (Ok(()), _) => {}
                (Err(error), Some(on_sent)) => self.fail(on_sent, error.into()),
                (Err(error), None) => self.tell(Err(ReceiveError::Io(error.into()))),
            }
        }
    }

    /// Sends the first of those that wait. `None` if there is none, or a receipt has to come before.
    fn send_first(self: &Rc<Self>, bytes: &mut Vec<u8>) -> Option<(Result<(), SendError>, Option<OnSent>)> {
        let outbox = &mut *self.outbox.borrow_mut();
        if outbox.waits_for_receipt() {
            return None;
        }
        let (message, mut on_sent) = outbox.waiting.pop_front()?;
        outbox.len -= message.body.len();
        bytes.clear();
        let sent = self.put(outbox, message, &mut on_sent, bytes);
        Some((sent, on_sent))
    }

    /// Sends what the protocol itself has to say.
    pub(super) fn answer(self: &Rc<Self>, bytes: &[u8]) {
        match self.stream.queue_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // A peer that asks and asks and does not read.
                self.lose(Some(ReceiveError::Io(error)));
            }
            _ => {} // a peer that is gone is told of where it is read
        }
    }

    /// Ends the channel once all that was accepted is sent.
    pub(super) fn leave(self: &Rc<Self>) {
        if self.outbox.borrow().waits_for_receipt() {
            return; // the receipt comes back here
        }
        let core = Rc::clone(self);
        if self.stream.shutdown_with(move |_, _| core.lose(None)).is_err() {
            self.lose(None);
        }
    }

    /// Waits until all that was accepted is with the system.
    pub(super) async fn flushed(self: &Rc<Self>) {
        loop {
            poll_fn(|cx| {
                if !self.outbox.borrow().waits_for_receipt() {
                    return Poll::Ready(());
                }
                let asked = self.outbox.borrow_mut().idle.join(cx.waker(), self.lp().turn());
                asked.into_iter().for_each(Waker::wake); // outside the borrow
                Poll::Pending
            })
            .await;
            self.stream.flushed().await;
            if !self.outbox.borrow().waits_for_receipt() {
                return;
            }
        }
    }

    /// The channel is gone: tells those whose messages still waited.
    pub(super) fn cancel_outbox(self: &Rc<Self>) {
        let mut outbox = std::mem::take(&mut *self.outbox.borrow_mut());
        outbox.idle.take().for_each(Waker::wake);
        for on_sent in outbox.waiting.into_iter().filter_map(|(_, on_sent)| on_sent) {
            self.fail(on_sent, io::ErrorKind::BrokenPipe.into());
        }
    }

    /// Tells, in the pending phase, that a message was not sent.
    fn fail(self: &Rc<Self>, on_sent: OnSent, error: io::Error) {
        let core = Rc::clone(self);
        self.lp().defer(move |_| on_sent(&Channel::of(&core), Err(error)));
    }
}
