//! A connection as a stream of messages.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::close::{CloseCode, Closed};
use super::connection::Connection;
use super::front::{Callbacks, Front, OnClose, OnMessage};
use super::message::Message;
use super::pump::Pump;
use super::sender::WsSender;

/// A WebSocket: a stream of the messages that come, and, by way of [`WsSender`], the end that sends.
///
/// Pings are answered and sent, and goodbyes are answered, whether or not anybody takes messages. Dropping it says goodbye with
/// 1000.
///
/// # Cancel safety
/// No message is lost if the future of `next` is dropped.
pub struct WebSocket {
    sender: WsSender,
}

impl WebSocket {
    /// Has the connection served by a task of its own.
    pub(crate) fn start(connection: Rc<Connection>) -> Self {
        Pump::new(Rc::clone(&connection), Front::Inbox).spawn();
        Self::new(connection)
    }

    /// The users' end of a connection that somebody else serves.
    pub(crate) fn new(connection: Rc<Connection>) -> Self {
        Self { sender: WsSender { connection } }
    }

    /// The next message; `None` once the connection is closed.
    ///
    /// # Cancel safety
    /// No message is lost.
    pub async fn next(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.sender.connection.poll_message(cx)).await
    }

    /// The end that sends, to keep elsewhere.
    pub fn sender(&self) -> WsSender {
        self.sender.clone()
    }

    /// How the connection was closed, once it is.
    pub fn how_closed(&self) -> Option<Rc<Closed>> {
        self.connection.core.borrow().closed.clone()
    }
}

impl Deref for WebSocket {
    type Target = WsSender;

    fn deref(&self) -> &WsSender {
        &self.sender
    }
}

impl Stream for WebSocket {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.sender.connection.poll_message(cx)
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.connection.stop_hearing();
        self.connection.close(Some(&CloseCode::NORMAL.into()));
        self.connection.wake_pump(); // if the inbox was full
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocket").field(&self.sender).finish()
    }
}

/// What a connection calls. Set up with [`WsCallbacks::new`], and given to whatever opens connections.
///
/// # Ordering
/// Callbacks of one connection run one after the other, in its task; the one for the end comes last and runs once.
pub struct WsCallbacks {
    on_message: OnMessage,
    on_close: Option<OnClose>,
}

impl WsCallbacks {
    /// Calls `on_message` for each message.
    pub fn new(on_message: impl Fn(&WsSender, Message) + 'static) -> Self {
        Self { on_message: Box::new(on_message), on_close: None }
    }

    /// Calls `on_close` once the connection is closed.
    pub fn on_close(mut self, on_close: impl FnOnce(&WsSender, &Closed) + 'static) -> Self {
        self.on_close = Some(Box::new(on_close));
        self
    }

    pub(crate) fn start(self, connection: Rc<Connection>) -> WsSender {
        let sender = WsSender { connection: Rc::clone(&connection) };
        let callbacks =
            Callbacks { sender: sender.clone(), on_message: self.on_message, on_close: self.on_close.into() };
        Pump::new(connection, Front::Callbacks(Box::new(callbacks))).spawn();
        sender
    }
}

impl fmt::Debug for WsCallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsCallbacks").finish_non_exhaustive()
    }
}
