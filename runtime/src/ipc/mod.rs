//! Messages between processes: channels over a Unix socket, in our own framing or in Node's.
//!
//! A [`Channel`] carries [`Message`]s both ways, bounded in both, and sockets with them. A parent makes one with
//! [`Command::spawn_with_channel`](crate::process::Command::spawn_with_channel), and the child takes it by [`from_env`]. With the
//! feature `ipc-json` messages can be serde's values, and `Framing::NODE` speaks with Node: a Node program can be
//! the child, or the parent.
//!
//! `protocol` says what a framing is, `frames` and `node` are the two; `core` is what arrives and `outbox` what goes out;
//! `channel` is what users type, `inherited` how a child gets its end.

mod channel;
mod core;
mod error;
mod frames;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod inherited;
#[cfg(feature = "ipc-json")]
mod json;
mod message;
#[cfg(feature = "ipc-json")]
mod node;
mod outbox;
mod protocol;
mod sys;

pub use channel::{Channel, ChannelLimits};
pub use error::{ReceiveError, SendError};
pub use inherited::from_env;
pub use message::{Attachment, AttachmentKind, Message};
pub use protocol::Framing;
