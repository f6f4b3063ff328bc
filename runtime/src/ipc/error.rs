//! What goes wrong when messages are sent and received.

use std::error::Error;
use std::fmt;
use std::io;

use super::message::Message;

/// Why a message was not taken. It is given back, with its attachment.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The channel was disconnected, by either side.
    Disconnected(Message),
    /// Too much waits to be written: the peer reads more slowly than this side sends.
    Full {
        /// What was to be sent.
        message: Message,
        /// Bytes that wait, or messages.
        queued: usize,
        /// [`ChannelLimits::send_queue_len_max`](super::ChannelLimits::send_queue_len_max) bytes, or the messages that may wait:
        /// half of [`Limits::queued_writes_max`](crate::Limits::queued_writes_max), for the rest is kept for what the framing has
        /// to say.
        limit: usize,
        /// True if `queued` and `limit` count messages, however short they are; false if bytes.
        counts_messages: bool,
    },
    /// The message is longer than one may be.
    TooLong {
        /// What was to be sent.
        message: Message,
        /// [`ChannelLimits::message_len_max`](super::ChannelLimits::message_len_max).
        limit: usize,
    },
    /// The channel carries JSON, and the message is none.
    NotJson {
        /// What was to be sent.
        message: Message,
        /// What is wrong, and where.
        reason: String,
    },
    /// The system refused it, for instance because no descriptor is left.
    Io {
        /// What was to be sent.
        message: Message,
        /// What the system says.
        error: io::Error,
    },
}

impl SendError {
    /// The message that was not sent.
    pub fn into_message(self) -> Message {
        match self {
            Self::Disconnected(message)
            | Self::Full { message, .. }
            | Self::TooLong { message, .. }
            | Self::NotJson { message, .. }
            | Self::Io { message, .. } => message,
        }
    }

    /// True if the same message may be taken later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(_) => f.write_str("the channel is disconnected"),
            Self::Full { message, queued, limit, counts_messages } => {
                let len = message.bytes().len();
                let unit = if *counts_messages { "messages" } else { "bytes" };
                write!(
                    f,
                    "a message of {len} bytes does not fit: {queued} {unit} are queued, the limit is {limit}"
                )
            }
            Self::TooLong { message, limit } => {
                write!(f, "a message of {} bytes is too long: the limit is {limit}", message.bytes().len())
            }
            Self::NotJson { reason, .. } => write!(f, "the message is no JSON: {reason}"),
            Self::Io { error, .. } => write!(f, "the message was not sent: {error}"),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match &error {
            SendError::Disconnected(_) => io::ErrorKind::BrokenPipe,
            SendError::Full { .. } => io::ErrorKind::WouldBlock,
            SendError::TooLong { .. } | SendError::NotJson { .. } => io::ErrorKind::InvalidInput,
            SendError::Io { error, .. } => error.kind(),
        };
        Self::new(kind, error)
    }
}

/// What the peer sent in place of a message, or why one did not come. It stands in line with the messages.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The message was longer than one may be. It was skipped, and the channel goes on.
    TooLong {
        /// Its bytes.
        len: usize,
        /// [`ChannelLimits::message_len_max`](super::ChannelLimits::message_len_max).
        limit: usize,
    },
    /// A line is no JSON. It was skipped, and the channel goes on.
    Malformed {
        /// What is wrong, and where.
        reason: String,
        /// How the line begins.
        start: String,
    },
    /// What came can not be cut into messages. The channel is disconnected.
    Garbled {
        /// What stands where a message should begin.
        found: String,
    },
    /// The peer was gone in the middle of a message: it died, or closed its end. The channel is disconnected.
    Truncated {
        /// Bytes of the message that came.
        len: usize,
    },
    /// The message's descriptor did not arrive, since this process may open no more. The message was skipped.
    AttachmentLost,
    /// The peer said four times that it did not get the descriptor of a message that was sent. Nothing of the message was
    /// delivered to it.
    AttachmentRefused,
    /// A message that waited for its turn could not be sent, or the channel could not be read, which disconnects it.
    Io(io::Error),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, limit } => {
                write!(f, "the peer sent a message of {len} bytes: the limit is {limit}")
            }
            Self::Malformed { reason, start } => {
                write!(f, "the peer sent what is no JSON: {reason}: {start:?}")
            }
            Self::Garbled { found } => write!(f, "the peer sent what is no message: {found}"),
            Self::Truncated { len } => {
                write!(f, "the peer was gone in the middle of a message, after {len} bytes")
            }
            Self::AttachmentLost => f.write_str("a message was skipped: its descriptor did not arrive"),
            Self::AttachmentRefused => f.write_str("the peer did not get the descriptor of a message"),
            Self::Io(error) => write!(f, "the channel failed: {error}"),
        }
    }
}

impl Error for ReceiveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ReceiveError> for io::Error {
    fn from(error: ReceiveError) -> Self {
        let kind = match &error {
            ReceiveError::Io(error) => error.kind(),
            ReceiveError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
