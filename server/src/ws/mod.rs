//! WebSocket, on both sides: RFC 6455, over HTTP/1.1 and, by RFC 8441, HTTP/2.
//!
//! An [`Acceptor`] makes a [`WebSocket`] of a request, [`connect`] asks a server for one. A socket is a stream of [`Message`]s and
//! a [`WsSender`]; [`WsCallbacks`] is the front for those who would rather be called. Pings, goodbyes, slow and silent peers are
//! looked after by the connection's task, within [`WsOptions`], whatever its users do. [`broadcast`] encodes once for many.
//!
//! An idle connection owns no buffer, neither for reading nor for writing.

mod acceptor;
mod client;
mod close;
mod connection;
#[cfg(feature = "ws-deflate")]
mod deflate;
#[cfg(not(feature = "ws-deflate"))]
#[path = "without_deflate.rs"]
mod deflate;
mod front;
mod handshake;
mod inbox;
mod link;
mod message;
mod opening;
mod options;
mod outbox;
mod pump;
mod sender;
mod served;
mod socket;

pub use acceptor::{Acceptor, Opening, Refusal, Refused};
pub use client::{ConnectError, Connector, connect};
pub use close::{Close, CloseCode, Closed, Lost};
#[cfg(feature = "ws-deflate")]
pub use deflate::{DeflateContext, DeflateOptions};
pub(crate) use link::Stream;
pub use message::{Message, Text};
pub use options::{WhenFull, WsOptions};
pub use sender::{Encoded, SendError, WsSender, broadcast};
pub use socket::{WebSocket, WsCallbacks};
