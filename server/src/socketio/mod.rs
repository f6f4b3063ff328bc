//! Socket.IO v5: events with acknowledgements and binary values, namespaces, rooms, and clients that come back.
//!
//! [`Io`] answers the requests below `/socket.io/`. Each client that connects to a [`Namespace`] is a [`Socket`] of it; a
//! socket hears [`Event`]s, joins rooms and is spoken to by them. Handlers run on the loop and need not be `Send`.
//!
//! # Examples
//! ```
//! use phaseloop::EventLoop;
//! use phaseloop_server::http::Server;
//! use phaseloop_server::socketio::Io;
//!
//! let io = Io::new();
//! io.on_connection(|socket| {
//!     socket.join("lobby");
//!     socket.on("say", |event| {
//!         // To everybody in the room but the one who said it.
//!         event.socket.to("lobby").emit("said", event.args.clone());
//!         event.ack("thank you");
//!     });
//! });
//! let lp = EventLoop::new()?;
//! let serving = Server::new(io).listen(&lp, "127.0.0.1:0".parse()?)?;
//! # serving.shutdown(std::time::Duration::ZERO).detach();
//! lp.run(phaseloop::RunMode::Default)?; // until it is shut down
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//! [`Options`] bounds attachments, connections of a client and what is kept for clients that come back; the rest is bounded by
//! [`engineio::Options`](crate::engineio::Options).
//!
//! Source: `docs/socket.io-protocol/v5-current.md` of the Socket.IO project; where that leaves a choice, Node's `socket.io` 4.

mod ack;
mod adapter;
mod args;
mod client;
mod connect;
mod flags;
mod namespace;
mod operator;
mod outgoing;
mod recovery;
#[cfg(feature = "socketio-redis")]
mod redis;
mod rooms;
mod server;
mod socket;

pub use ack::AckError;
pub use adapter::{Adapter, Asking, Broadcast, Local, Partial, Target};
pub use args::{Args, IntoArgs};
pub use connect::{ConnectError, Handshake};
pub use flags::Flagged;
pub use namespace::{Namespace, ServerEvent};
pub use operator::{Operator, RemoteSocket};
pub use recovery::Recovery;
#[cfg(feature = "socketio-redis")]
pub use redis::{RedisAdapter, RedisAdapterOptions};
pub use server::{Io, Options};
pub use socket::{DisconnectReason, Event, Socket};
