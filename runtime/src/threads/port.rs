//! What a loop holds of a channel: it sends, and takes what comes by a callback or as a future.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::channel::{PortEnd, PortError};
use crate::handle::wakeup::Wakeup;
use crate::net::callback_slot::CallbackSlot;
use crate::state::LoopHandle;

/// One end of a channel to another thread, as a loop has it.
///
/// Cheap to clone; clones are the same port, which closes when the last is dropped and no [`on_message`](Self::on_message) is there. It
/// keeps the loop alive while it has an `on_message`, as Node's does; [`unref`](Self::unref) has it not. Futures do not: the
/// task that awaits them does.
///
/// # Ordering
/// Messages come in the order of sending, in the poll phase, each delivered in a tick of its own.
pub struct Port<S, R> {
    inner: Rc<Inner<S, R>>,
}

struct Inner<S, R> {
    lp: LoopHandle,
    end: PortEnd<S, R>,
    bell: Wakeup,
    on_message: CallbackSlot<OnMessage<S, R>>,
    on_close: Cell<Option<OnClose>>,
    listens: Cell<bool>,
    /// The other end is gone, which was told: nobody rings any more.
    peer_left: Cell<bool>,
    closed: Cell<bool>,
}

type OnClose = Box<dyn FnOnce(&LoopHandle)>;
type OnMessage<S, R> = dyn FnMut(&Port<S, R>, R);

/// How many messages one ring of the bell hands over before others have their turn.
const BATCH_MAX: usize = 64;

impl<S: Send + 'static, R: Send + 'static> Port<S, R> {
    #[track_caller]
    pub(super) fn open(lp: &LoopHandle, end: PortEnd<S, R>) -> Self {
        let bell = Wakeup::new(lp, |_| {});
        bell.unref();
        let inner = Inner {
            lp: lp.clone(),
            end,
            bell,
            on_message: CallbackSlot::default(),
            on_close: Cell::new(None),
            listens: Cell::new(false),
            peer_left: Cell::new(false),
            closed: Cell::new(false),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Sends a message. Does not block.
    ///
    /// # Errors
    /// `Full` if too many wait, `Closed` if either end is gone; the message is given back.
    pub fn send(&self, message: S) -> Result<(), PortError<S>> {
        self.inner.end.out.send(message)
    }

    /// Sends a message once there is room.
    ///
    /// # Errors
    /// `Closed`, as [`send`](Self::send).
    ///
    /// # Cancel safety
    /// The message was not sent, and is dropped, if the future is dropped before it is done.
    pub async fn send_when_room(&self, mut message: S) -> Result<(), PortError<S>> {
        loop {
            message = match self.send(message) {
                Err(PortError::Full(back, _)) => back,
                sent => return sent,
            };
            poll_fn(|cx| self.inner.end.out.poll_room(cx, self.inner.lp.turn())).await;
        }
    }

    /// The next message; `None` once the other end is gone and all it sent was taken.
    ///
    /// # Cancel safety
    /// Nothing is lost: a message is taken only when the future is done.
    pub async fn recv(&self) -> Option<R> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv), for use in a `poll` function.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        self.inner.end.back.poll_take(cx, self.inner.lp.turn())
    }

    /// Messages that wait to be taken here.
    pub fn waiting(&self) -> usize {
        self.inner.end.back.len()
    }

    /// Calls `on_message` with each message, also with those that wait already, and replaces the callback there was. The loop
    /// holds the port from now on, until the other end is gone or the port is closed. On a port that is closed it is dropped.
    pub fn on_message(&self, mut on_message: impl FnMut(&Self, R) + 'static) {
        if self.inner.closed.get() {
            return;
        }
        let context = self.inner.lp.captured_context();
        let callback = move |port: &Self, message| {
            port.inner.lp.in_context(context.clone(), || on_message(port, message));
        };
        drop(self.inner.on_message.start(Box::new(callback)));
        self.inner.bell.ref_();
        self.listen();
    }

    /// Calls `on_close` once the other end is gone and all that it sent was delivered to the message callback, if there is one.
    /// If it is gone already, in a tick. Replaces the callback there was. [`close`](Self::close) drops it: who closes knows.
    pub fn on_close(&self, on_close: impl FnOnce(&LoopHandle) + 'static) {
        let on_close = self.inner.lp.bind_context_once(move |lp, ()| on_close(lp));
        match (self.inner.closed.get(), self.inner.peer_left.get()) {
            (true, true) => self.inner.lp.next_tick(|lp| on_close(lp, ())),
            (true, false) => {}
            (false, _) => {
                drop(self.inner.on_close.replace(Some(Box::new(|lp: &LoopHandle| on_close(lp, ())))));
                self.listen();
            }
        }
    }

    /// Has the bell call from now on. It holds the port then, until there is nothing more to tell.
    fn listen(&self) {
        if self.inner.peer_left.get() {
            let port = self.clone();
            self.inner.lp.next_tick(move |_| port.rung());
            return;
        }
        if !self.inner.listens.replace(true) {
            let port = self.clone();
            self.inner.bell.replace_callback(move |_| port.rung());
        }
        self.inner.end.back.hang(self.inner.bell.sender());
    }

    fn rung(&self) {
        let back = &self.inner.end.back;
        if self.inner.on_message.is_on() {
            let count = back.len().min(BATCH_MAX);
            for _ in 0..count {
                let port = self.clone();
                self.inner.lp.next_tick(move |_| port.deliver());
            }
            // Again, behind what else is ready.
            if count == BATCH_MAX && self.inner.peer_left.get() {
                let port = self.clone();
                self.inner.lp.set_immediate(move |_| port.rung());
            } else if count == BATCH_MAX {
                back.hang(self.inner.bell.sender());
            }
        }
        if back.is_closed() {
            let port = self.clone();
            self.inner.lp.next_tick(move |lp| port.end(lp));
        }
    }

    fn deliver(&self) {
        if self.inner.on_message.is_on()
            && let Some(message) = self.inner.end.back.take()
        {
            self.inner.on_message.call(|on_message| on_message(self, message));
        }
    }

    /// Tells that the other end is gone, unless messages of it still wait for a callback that is there.
    fn end(&self, lp: &LoopHandle) {
        if self.inner.on_message.is_on() && self.waiting() > 0 {
            return; // the next ring comes back here
        }
        self.inner.peer_left.set(true);
        let on_close = self.inner.on_close.take();
        match self.waiting() {
            0 => self.close(),
            // Tasks may still take them; there is nothing more to ring for.
            _ => self.inner.bell.close(),
        }
        if let Some(on_close) = on_close {
            on_close(lp);
        }
    }

    /// Closes it: the other end is told, and gets what was sent before. What was not taken here is dropped.
    pub fn close(&self) {
        self.inner.closed.set(true);
        self.inner.end.out.close();
        self.inner.end.back.abandon();
        self.inner.bell.close();
        drop((self.inner.on_message.stop(), self.inner.on_close.take()));
    }

    /// True once either end is gone.
    pub fn is_closed(&self) -> bool {
        self.inner.end.out.is_closed()
    }
}

impl<S, R> Port<S, R> {
    /// The loop it belongs to.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.lp
    }

    /// Has it keep the loop alive, as it does while it has a message callback.
    pub fn ref_(&self) {
        self.inner.bell.ref_();
    }

    /// Lets the loop end in spite of it.
    pub fn unref(&self) {
        self.inner.bell.unref();
    }
}

impl<S, R> Drop for Inner<S, R> {
    fn drop(&mut self) {
        self.bell.close();
    }
}

impl<S, R> Clone for Port<S, R> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

impl<S: Send + 'static, R: Send + 'static> Stream for Port<S, R> {
    type Item = R;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        self.poll_recv(cx)
    }
}

impl<S, R> fmt::Debug for Port<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Port")
    }
}
