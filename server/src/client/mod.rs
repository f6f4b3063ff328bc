//! An HTTP client: connections that are kept, HTTP/1.1 and HTTP/2, timeouts, redirects by choice, streamed bodies.
//!
//! It is what a server needs to call other services and what tests need to call it; it has no cookies, no cache and no proxy.
//!
//! # Examples
//! ```
//! use phaseloop::EventLoop;
//! use phaseloop_server::client::Client;
//! use phaseloop_server::http::{Body, Request, Server};
//!
//! let lp = EventLoop::new()?;
//! let said = lp.block_on(async {
//!     let server = Server::new(async |request: Request<Body>| format!("you asked for {}", request.uri()));
//!     let serving = server.listen(&lp, "127.0.0.1:0".parse()?)?;
//!     let client = Client::new(&lp);
//!     let response = client.get(&format!("http://{}/page", serving.local_addr()?)).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(response.into_body().text().await?)
//! })??;
//! assert_eq!(said, "you asked for /page");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connect;
mod error;
#[cfg(feature = "http2")]
mod http2;
#[cfg(not(feature = "http2"))]
#[path = "without_http2.rs"]
mod http2;
mod kept;
mod options;
mod redirect;
mod request;

#[cfg(feature = "ws")]
pub(crate) use connect::Opened;
#[cfg(feature = "tls")]
pub(crate) use connect::{Encrypt, Encrypting, Established};
pub use connect::{Resolve, resolve_literals, resolve_on};
pub use error::ClientError;
pub use options::{ClientOptions, HttpVersion};
pub use request::Client;
