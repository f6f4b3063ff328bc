//! Engine.IO v4: a session of messages both ways, by HTTP polling, by WebSocket, and from the first to the second.
//!
//! [`Engine`] answers the requests below a path and makes a [`Session`] for each client. Socket.IO
//! ([`socketio`](crate::socketio)) is built on it; by itself it is for other protocols that browsers should speak through
//! proxies that know no WebSocket.
//!
//! Source: `docs/engine.io-protocol/v4-current.md` of the Socket.IO project; where that leaves a choice, Node's `engine.io` 6.

mod answers;
mod cors;
mod engine;
mod frame;
mod options;
mod polling;
mod session;
mod socket;
mod websocket;

pub use cors::{AllowedOrigins, Cors};
pub use engine::Engine;
pub use options::Options;
pub use session::{CloseReason, Message, SendError, Session, TransportKind};

pub(crate) use frame::Frame;
pub(crate) use session::random_id;
