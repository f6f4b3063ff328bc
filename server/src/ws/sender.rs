//! The end of a connection that sends, and sending to many.

use std::fmt;
use std::rc::Rc;

use super::close::{Close, Closed};
use super::connection::Connection;
use super::message::Message;
use crate::proto::websocket::Role;
use crate::proto::websocket::encode;

/// Sends on a connection. Clones send on the same one; none of them keeps it open.
#[derive(Clone)]
pub struct WsSender {
    pub(crate) connection: Rc<Connection>,
}

/// Why a message was not sent. It is inside.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closed, or closing.
    Closed(Message),
    /// More waits than [`WsOptions::high_water`](super::WsOptions::high_water).
    Full(Message),
    /// The same, and the policy is to drop what comes then.
    Dropped(Message),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (why, message) = match self {
            Self::Closed(message) => ("the connection is closed", message),
            Self::Full(message) => ("too much waits to be sent", message),
            Self::Dropped(message) => ("too much waits to be sent, and the rest is dropped", message),
        };
        write!(f, "{why}: a message of {} bytes", message.len())
    }
}

impl std::error::Error for SendError {}

impl WsSender {
    /// Sends a message, once there is room for one. It has not left when this is done, but it will in its turn.
    ///
    /// # Errors
    /// `Closed`, or `Dropped` where that is the policy.
    ///
    /// # Cancel safety
    /// Nothing was sent if the future is dropped before it is done.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        self.connection.room().await;
        self.connection.try_send(message)
    }

    /// Sends a message now.
    ///
    /// # Errors
    /// As the policy has it if more than [`WsOptions::high_water`](super::WsOptions::high_water) waits: `Full`, `Dropped` or `Closed`.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.connection.try_send(message.into())
    }

    /// As [`try_send`](Self::try_send), for a message that was encoded once for many.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn try_send_encoded(&self, encoded: &Encoded) -> Result<(), SendError> {
        self.connection.try_send_encoded(&encoded.message, &encoded.bytes)
    }

    /// Says goodbye. What was sent before still leaves, and what the peer has sent still comes.
    ///
    /// # Panics
    /// If the code is none that may be sent: see [`CloseCode::may_be_sent`](super::CloseCode::may_be_sent).
    #[track_caller]
    pub fn close(&self, close: impl Into<Close>) {
        let close = close.into();
        assert!(
            close.code.may_be_sent(),
            "the close code {} may not be sent: take 1000, or 3000 to 4999",
            close.code
        );
        self.connection.close(Some(&close));
    }

    /// Waits until the connection is closed, and tells how.
    ///
    /// # Cancel safety
    /// Nothing is lost: asked again, it tells the same.
    pub async fn closed(&self) -> Rc<Closed> {
        self.connection.closed().await
    }

    /// True if messages are taken: neither side has said goodbye.
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Bytes that wait to be sent.
    pub fn queued(&self) -> usize {
        self.connection.core.borrow().outbox.len()
    }

    /// The subprotocol that both chose.
    pub fn protocol(&self) -> Option<&str> {
        self.connection.protocol.as_deref()
    }

    /// True if both are the same connection.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.connection, &other.connection)
    }
}

impl fmt::Debug for WsSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.connection.core.borrow().stage;
        f.debug_struct("WsSender")
            .field("stage", &stage)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// A message that is encoded once and sent to many. It leaves uncompressed, which suits every connection.
#[derive(Clone, Debug)]
pub struct Encoded {
    message: Message,
    bytes: encode::Encoded,
}

impl Encoded {
    /// Encodes a message.
    pub fn new(message: impl Into<Message>) -> Self {
        let message = message.into();
        let bytes = encode::message(&message, Role::Server);
        Self { message, bytes }
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }
}

/// Sends a message to many, encoding it once. A connection that is closed or full is passed over, as its policy has it.
///
/// Gives how many took it.
///
/// # Examples
/// ```
/// use phaseloop_server::ws::{self, WsSender};
///
/// fn tell_all(room: &[WsSender]) -> usize {
///     ws::broadcast(room, "dinner is ready")
/// }
/// # assert_eq!(tell_all(&[]), 0);
/// ```
pub fn broadcast<'a>(to: impl IntoIterator<Item = &'a WsSender>, message: impl Into<Message>) -> usize {
    let encoded = Encoded::new(message);
    to.into_iter().filter(|sender| sender.try_send_encoded(&encoded).is_ok()).count()
}
