//! Who takes the messages of a connection: an inbox that a task reads, or callbacks.

use std::rc::Rc;

use super::close::Closed;
use super::connection::Connection;
use super::message::Message;
use super::sender::WsSender;

pub(crate) enum Front {
    /// [`WebSocket`](super::WebSocket) takes them.
    Inbox,
    Callbacks(Box<Callbacks>),
}

/// What is called. Each is called from the connection's task, with nothing of the connection borrowed.
pub(crate) struct Callbacks {
    pub(crate) sender: WsSender,
    pub(crate) on_message: OnMessage,
    pub(crate) on_close: std::cell::Cell<Option<OnClose>>,
}

pub(crate) type OnMessage = Box<dyn Fn(&WsSender, Message)>;

pub(crate) type OnClose = Box<dyn FnOnce(&WsSender, &Closed)>;

impl Front {
    pub(crate) fn message(&self, connection: &Connection, message: Message) {
        match self {
            Self::Inbox => connection.put_in_inbox(message),
            Self::Callbacks(callbacks) => (callbacks.on_message)(&callbacks.sender, message),
        }
    }

    /// Tells that the connection is closed, once.
    pub(crate) fn maybe_closed(&self, connection: &Connection) {
        let Self::Callbacks(callbacks) = self else { return };
        let closed = connection.core.borrow().closed.as_ref().map(Rc::clone);
        if let Some(closed) = closed
            && let Some(on_close) = callbacks.on_close.take()
        {
            on_close(&callbacks.sender, &closed);
        }
    }
}
