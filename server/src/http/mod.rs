//! HTTP/1.1 and HTTP/2 on one port, by hyper, on the loop.
//!
//! [`Server`] is set up with a [`Handler`] and gives a [`Serving`], which runs. Requests and answers are the `http` crate's, with
//! one [`Body`] for both. [`Limits`] says what a peer may cost. [`upgrade`] takes a connection over.
//!
//! README.md in this folder says how a connection lives.

mod answers;
mod body;
mod channel;
mod connection;
mod error;
mod exchange;
mod handler;
mod http1;
#[cfg(feature = "http2")]
mod http2;
#[cfg(not(feature = "http2"))]
#[path = "without_http2.rs"]
mod http2;
mod lasting;
mod limits;
mod rate;
mod registry;
mod request;
mod server;
mod serving;
mod upgrade;
mod watch;

pub use ::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
pub use bytes::Bytes;

pub use body::Body;
pub use channel::{BodySender, Gone};
#[cfg(any(feature = "client", feature = "tls"))]
pub(crate) use connection::SecureStream;
#[cfg(feature = "tls")]
pub(crate) use connection::{Allows, Handshake, Secure, Secured, Transported};
pub use connection::{ConnectionInfo, Protocol, TlsInfo};
#[cfg(feature = "web")]
pub(crate) use error::status_of;
pub use error::{BodyError, BoxError, Fault, StatusError, Trouble};
#[cfg(feature = "web")]
pub(crate) use exchange::Answered;
pub use handler::{FromTower, Handler, IntoResponse, ToTower};
#[cfg(any(feature = "ws", feature = "socketio"))]
pub(crate) use http2::asked_protocol;
pub use limits::Limits;
pub use request::RequestExt;
pub use server::Server;
pub use serving::{CutConnection, ServerStats, Serving, ShutdownReport};
pub use upgrade::{CannotUpgrade, Upgraded, Upgrading, upgrade};
