//! Names and addresses: what blocks is done by the pool, and its result comes to the loop.
//!
//! [`Dns::lookup`] asks the system's resolver, getaddrinfo(3), so that files of hosts, local services and whatever else the
//! system is set up for are asked as well; [`Dns::lookup_service`] is the way back. [`Dns::connect`] goes from a host's name
//! to a connection, by Happy Eyeballs (RFC 8305). All three are awaited or told what to call.
//!
//! What it is not: a resolver of its own. There are no records but addresses, no cache, and no timeout on the wire: a
//! lookup that is given up keeps its worker until the system gives up too, which is why the class
//! [`DNS`](crate::pool::Class::DNS) holds at most half of the workers.
//!
//! # Features
//! `idna`: names in any script, written in punycode for the resolver (UTS 46). Without it they are refused.
//!
//! # Examples
//! ```
//! use fs_pool::dns::{Dns, Family, LookupOptions};
//! use fs_pool::{pool::Pool, request::LoopPool};
//! use phaseloop::{EventLoop, RunMode};
//!
//! let (lp, pool) = (EventLoop::new()?, Pool::builder().build()?);
//! let dns = Dns::new(&LoopPool::new(&lp, &pool));
//!
//! // Awaited:
//! let options = LookupOptions { family: Some(Family::V4), port: 80, ..Default::default() };
//! let found = lp.block_on(dns.lookup("localhost", &options))??;
//! assert!(found.addresses.contains(&"127.0.0.1:80".parse()?));
//!
//! // With a callback:
//! dns.lookup("a..b", &options).on_done(|_lp, result| {
//!     let message = result.expect_err("it is no name").to_string();
//!     assert_eq!(message, r#"lookup "a..b": EINVAL: the name has an empty part between its dots"#);
//! });
//! lp.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connect;
mod connect_error;
mod error;
mod front;
mod happy_eyeballs;
mod name;
mod options;
mod query;
mod resolve;
mod sys;

pub use connect::{Connect, ConnectOptions};
pub use connect_error::{ConnectError, ConnectErrorKind};
pub use error::{DnsError, DnsErrorKind};
pub use front::{Dns, Resolved, ServiceName};
pub use options::{Family, Hints, LookupOptions, Order};
pub use query::Query;
pub use resolve::{lookup_blocking, lookup_service_blocking};
