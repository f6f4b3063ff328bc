//! TLS by rustls, with ring.
//!
//! [`Certificates`] hold what a server shows: one certificate by default, others by name, all replaceable while it runs.
//! [`ServerTls`] is how it encrypts. With the feature
//! `client`, `ClientTls` says whom a client trusts. The feature `dev-certificates` makes certificates up.
//!
//! # Examples
//! ```no_run
//! use phaseloop::EventLoop;
//! use phaseloop_server::http::{Body, Request, Server};
//! use phaseloop_server::tls::{Certificate, Certificates, ServerTls};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lp = EventLoop::new()?;
//! let certificates = Certificates::new(Certificate::from_files("cert.pem", "key.pem")?);
//! let server = Server::new(async |_: Request<Body>| "hello\n").tls(&ServerTls::new(&certificates)?);
//! let _serving = server.listen(&lp, "0.0.0.0:8443".parse()?)?;
//! // Once a day, from now on, without a restart:
//! let _daily = lp.set_interval(std::time::Duration::from_secs(86_400), move |_| {
//!     if let Ok(renewed) = Certificate::from_files("cert.pem", "key.pem") {
//!         certificates.replace(renewed);
//!     }
//! });
//! lp.run(phaseloop::RunMode::Default)?;
//! # Ok(())
//! # }
//! ```

mod certificates;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "dev-certificates")]
mod dev;
mod encrypted;
mod error;
mod server;

pub use certificates::{Certificate, Certificates};
#[cfg(feature = "client")]
pub use client::ClientTls;
#[cfg(feature = "dev-certificates")]
pub use dev::DevCertificate;
pub use error::TlsError;
pub use server::ServerTls;
