//! The channel as users hold it, with futures and with callbacks.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::core::{Core, Life};
use super::error::{ReceiveError, SendError};
use super::message::Message;
use super::protocol::Framing;
use crate::net::UnixStream;
use crate::state::LoopHandle;

/// What bounds a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// Bytes of one message, sent or received: 16 MiB.
    pub message_len_max: usize,
    /// Bytes that may wait to be sent: 32 MiB. A message that finds nothing waiting is always taken, if the stream's own
    /// [`write_queue_len_max`](crate::Limits::write_queue_len_max) lets it.
    pub send_queue_len_max: usize,
    /// Bytes that may wait to be received by tasks: 1 MiB. Beyond that nothing is read, so that the peer has to wait. Each
    /// message counts 64 more than it has.
    pub receive_queue_len_max: usize,
    /// Sockets that may wait, with their messages, to be received by tasks: 64, since each is a descriptor of this process.
    /// Beyond that nothing is read either.
    pub receive_attachments_max: usize,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        let mebibyte = 1024 * 1024;
        Self {
            message_len_max: 16 * mebibyte,
            send_queue_len_max: 32 * mebibyte,
            receive_queue_len_max: mebibyte,
            receive_attachments_max: 64,
        }
    }
}

/// A channel for messages to another process, over a Unix socket.
///
/// Cheap to clone; clones are the same channel. When the last is dropped and no [`on_message`](Self::on_message) is there, the channel
/// is disconnected; what was queued is still written.
///
/// A channel reads from the start. It keeps the loop alive while it has an `on_message`, as Node's does while
/// somebody listens for `message`, and while it waits for a peer's receipt; [`ref_`](Self::ref_) and [`unref`](Self::unref) override that.
/// Futures do not keep the loop alive: the task that awaits them does.
///
/// # Ordering
/// Each message is delivered in a tick of its own, behind the read that brought it, as in Node. Messages and their attachments come in
/// the order they were sent.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, ipc::Channel};
/// let lp = EventLoop::new()?;
/// let (parent, child) = Channel::pair(&lp)?;
/// child.on_message(|child, message| {
///     let Ok(message) = message else { return };
///     child.send(message).expect("there is room for one");
/// });
/// let echo = lp.block_on(async {
///     parent.send("hello").expect("there is room for one");
///     parent.recv().await
/// })?;
/// assert_eq!(echo.expect("it is connected")?.bytes(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Channel {
    core: Rc<Core>,
}

impl Channel {
    pub(super) fn of(core: &Rc<Core>) -> Self {
        Self { core: Rc::clone(core) }
    }

    /// Makes a channel of a connected socket.
    pub fn new(stream: UnixStream, framing: Framing, limits: ChannelLimits) -> Self {
        Self { core: Core::open(stream, framing, limits) }
    }

    /// Two ends of a channel within this process, in [our own framing](Framing::OWN).
    ///
    /// # Errors
    /// The system's, when no descriptor is left.
    #[track_caller]
    pub fn pair(lp: &LoopHandle) -> io::Result<(Self, Self)> {
        let (a, b) = UnixStream::pair(lp)?;
        let open = |stream| Self::new(stream, Framing::OWN, ChannelLimits::default());
        Ok((open(a), open(b)))
    }

    /// The loop it belongs to.
    pub fn lp(&self) -> &LoopHandle {
        self.core.lp()
    }

    /// Sends a message: at once as far as that goes, and the rest when the peer reads. Does not block.
    ///
    /// On Node's channel, one attachment is under way at a time: what is sent behind it waits until the peer has it.
    ///
    /// # Errors
    /// [`SendError`], which gives the message back: the channel is disconnected, too much waits, or the message can not be sent.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.submit(message.into(), None)
    }

    /// As [`send`](Self::send), and calls back when the system has all of the message, or it failed. That it was sent does
    /// not say that the peer has looked at it.
    ///
    /// # Ordering
    /// In the pending phase, in the order of sending. But a message that waited for the receipt of an attachment, and then can not be
    /// sent, is told of at once: before those that were sent earlier and still wait to be written.
    ///
    /// # Errors
    /// As `send`; the callback is then dropped.
    pub fn send_with(
        &self,
        message: impl Into<Message>,
        on_sent: impl FnOnce(&Self, io::Result<()>) + 'static,
    ) -> Result<(), SendError> {
        let on_sent =
            self.lp().bind_context_once(move |_, (channel, result): (Self, _)| on_sent(&channel, result));
        let on_sent = move |channel: &Self, result| on_sent(channel.lp(), (channel.clone(), result));
        self.core.submit(message.into(), Some(Box::new(on_sent)))
    }

    /// Sends a message once there is room: waits while the [high water mark](crate::Limits::write_high_water_mark) is passed, or
    /// more than that would be queued than may be.
    ///
    /// # Errors
    /// As [`send`](Self::send), but for `Full`.
    ///
    /// # Cancel safety
    /// The message was not sent, and is dropped, if the future is dropped before it is done.
    pub async fn send_when_room(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut message = message.into();
        if self.core.stream.is_write_queue_high() {
            self.core.flushed().await;
        }
        loop {
            match self.core.submit(message, None) {
                Err(SendError::Full { message: back, queued, .. }) if queued > 0 => message = back,
                sent => return sent,
            }
            self.core.flushed().await;
        }
    }

    /// Waits until the system has all that was sent.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn flushed(&self) {
        self.core.flushed().await;
    }

    /// Bytes that were sent and the system has not taken.
    pub fn send_queue_len(&self) -> usize {
        self.core.queued_len()
    }

    /// The next message; an error in its place; or `None` once the channel is disconnected and all that came before was
    /// taken. An error does not end the channel, unless its description says so: go on until `None`.
    ///
    /// # Cancel safety
    /// Nothing is lost: a message is taken only when the future is done.
    pub async fn recv(&self) -> Option<Result<Message, ReceiveError>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv), for use in a `poll` function.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, ReceiveError>>> {
        self.core.poll_receive(cx)
    }

    /// Calls `on_message` with each message, and with each error in its place; replaces the callback there was. What came before is
    /// delivered too.
    ///
    /// The loop holds the channel from now on, until it is disconnected or [`clear_on_message`](Self::clear_on_message).
    pub fn on_message(&self, mut on_message: impl FnMut(&Self, Result<Message, ReceiveError>) + 'static) {
        let context = self.lp().captured_context();
        self.core.start(match context {
            None => Box::new(on_message),
            context => Box::new(move |channel, received| {
                channel.lp().in_context(context.clone(), || on_message(channel, received));
            }),
        });
    }

    /// Takes the message callback away. What arrives then waits for the next one, or for [`recv`](Self::recv).
    pub fn clear_on_message(&self) {
        self.core.stop();
    }

    /// Calls `on_internal` with the messages that are not for the user but for what is built on the channel; replaces the
    /// callback there was. Without one they are dropped, with what is attached to them.
    pub fn on_internal(&self, mut on_internal: impl FnMut(&Self, Message) + 'static) {
        let context = self.lp().captured_context();
        self.core.start_internal(Box::new(move |channel: &Self, message| {
            channel.lp().in_context(context.clone(), || on_internal(channel, message));
        }));
    }

    /// Calls `on_disconnect` once the channel is disconnected, by either side: in a tick, behind the messages that came before. One
    /// that is disconnected tells at once. Replaces the callback there was.
    pub fn on_disconnect(&self, on_disconnect: impl FnOnce(&LoopHandle) + 'static) {
        let on_disconnect = self.lp().bind_context_once(move |lp, ()| on_disconnect(lp));
        self.core.start_disconnect(Box::new(move |lp| on_disconnect(lp, ())));
    }

    /// Disconnects, as soon as all that was sent is with the system. Nothing can be sent any more.
    pub fn disconnect(&self) {
        if self.core.life.get() == Life::Connected {
            self.core.life.set(Life::Leaving);
            self.core.leave();
        }
    }

    /// Disconnects at once. What was queued is lost: its callbacks get an error.
    pub fn close(&self) {
        self.core.lose(None);
    }

    /// True until it is disconnected by either side, or [`disconnect`](Self::disconnect) was called.
    pub fn is_connected(&self) -> bool {
        self.core.life.get() == Life::Connected
    }

    /// Has it keep the loop alive while it is connected, whether or not somebody listens.
    pub fn ref_(&self) {
        self.core.referenced.set(Some(true));
        self.core.stream.ref_();
    }

    /// Lets the loop end in spite of it.
    pub fn unref(&self) {
        self.core.referenced.set(Some(false));
        self.core.stream.unref();
    }

    /// How its messages are cut.
    pub fn framing(&self) -> Framing {
        self.core.framing
    }
}

impl Stream for Channel {
    type Item = Result<Message, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("framing", &self.core.framing.name)
            .field("life", &self.core.life.get())
            .finish_non_exhaustive()
    }
}
