//! What servers are made of, on phaseloop: HTTP/1.1, HTTP/2 and TLS.
//!
//! A server runs on one loop, in its thread. Handlers are async functions that need not be `Send`: what they share is an `Rc`,
//! not an `Arc` of a `Mutex`. For more threads, run more loops.
//!
//! # A first program
//!
//! ```
//! use phaseloop::{EventLoop, RunMode};
//! use phaseloop_server::http::{Body, Request, RequestExt, Server};
//!
//! async fn greet(request: Request<Body>) -> String {
//!     let peer = request.peer_addr().map_or("nobody".into(), |peer| peer.to_string());
//!     format!("{} {} for {peer}\n", request.method(), request.uri())
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let lp = EventLoop::new()?;
//!     let serving = Server::new(greet).listen(&lp, "127.0.0.1:0".parse()?)?;
//!     println!("http://{}/", serving.local_addr()?);
//! #   serving.shutdown(std::time::Duration::ZERO).detach();
//!     lp.run(RunMode::Default)?; // until it is shut down
//!     Ok(())
//! }
//! ```
//!
//! # What there is
//!
//! | to | use |
//! | --- | --- |
//! | answer requests | [`http::Server`], [`http::Handler`], [`http::Serving`] |
//! | read and write bodies, at the peer's pace | [`http::Body`], [`http::BodySender`] |
//! | bound what a peer may cost | [`http::Limits`] |
//! | encrypt, with certificates by name that can be replaced | `tls::ServerTls` |
//! | route, read JSON and forms, send files, in the style of Express or Koa | `web::express`, `web::koa`, `web::Files` |
//! | ask other servers | `client::Client` |
//! | end in a friendly way | [`http::Serving::shutdown`] |
//! | talk with a page in both directions | `ws::Acceptor`, `ws::WebSocket` |
//! | tell pages what happens | `sse::Channel`, `sse::stream` |
//! | speak another protocol from some point on | [`http::upgrade`] |
//! | talk with browsers both ways, in rooms | `socketio::Io`; `engineio::Engine` below it |
//! | cache, lock, publish and queue with Redis | `redis::Client`, `redis::Cache`, `redis::Lock`, `redis::Consumer` |
//! | use several processes or threads on one port | `cluster::Setup`, `cluster::Worker` |
//! | take part in the tower family | [`http::FromTower`], [`http::ToTower`] |
//! | use hyper directly | [`joint`] |
//!
//! # What it is not
//!
//! The protocols themselves are hyper's, h2's and rustls's. There is no HTTP/3.
//!
//! # Limits
//!
//! Every limit is a field of [`http::Limits`], with its default and its reason. Nothing is unbounded by default but the time a
//! handler takes; wrap it in a [`timeout`](phaseloop::timeout).
//!
//! # Features
//!
//! - `http1` (default): the server, speaking HTTP/1.1.
//! - `http2` (default): HTTP/2 on the same port.
//! - `client`: a client that keeps connections, for HTTP/1.1 and, with `http2`, HTTP/2.
//! - `web`: routers and middleware in two styles, static files. `compress`: gzip, brotli and zstd for them.
//! - `ws`: WebSocket, on both sides. `ws-deflate`: its messages compressed.
//! - `sse`: server-sent events.
//! - `tls`: encryption, by rustls with ring. `dev-certificates`: certificates made up for development.
//! - `cluster`: several workers on one port, processes or threads, that are watched and replaced.
//! - `socketio`: Socket.IO v5 over Engine.IO v4, by polling and by WebSocket.
//! - `socketio-redis`: rooms that servers share through Redis, with Node's too.
//! - `redis`: a client of Redis, without a runtime. `redis-aio`: the crate redis' own `AsyncCommands` on it, for which the code of tokio's
//!   runtime is built and not started.
//!
//! # Where to read on
//!
//! [`http::Server`] for an example, and in the repository `server/src/http/README.md` for how a connection lives.
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "socketio")]
pub mod engineio;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "http1")]
pub mod http;
#[cfg(feature = "http1")]
pub mod joint;
#[cfg(any(feature = "http1", feature = "redis"))]
mod later;
#[cfg(feature = "http1")]
mod proto;
#[cfg(any(feature = "client", feature = "redis"))]
mod reach;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "socketio")]
pub mod socketio;
#[cfg(feature = "sse")]
pub mod sse;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(any(feature = "cluster", feature = "ws"))]
mod waiting;
#[cfg(feature = "web")]
pub mod web;
#[cfg(feature = "ws")]
pub mod ws;
