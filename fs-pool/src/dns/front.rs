//! The front: what can be asked.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::name::for_resolver;
use super::query::{Asked, Query};
use super::{Connect, ConnectOptions, DnsErrorKind, LookupOptions, resolve};
use crate::pool::Class;
use crate::request::LoopPool;

/// Name lookups for one loop, done by a pool in the class [`Class::DNS`].
///
/// Cheap to clone; clones are the same. By default the class holds at most half of the workers, so that dead name servers
/// do not stop file work.
///
/// See the [module](super) for order and an example.
#[derive(Clone)]
pub struct Dns {
    pool: LoopPool,
}

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// At least one, in the wanted order, with the wanted port. A link-local one of IPv6 has its scope.
    pub addresses: Vec<SocketAddr>,
    /// The name that all aliases lead to, if [`Hints::CANONICAL_NAME`](super::Hints::CANONICAL_NAME) asked for it.
    pub canonical_name: Option<String>,
}

/// The names of an address and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// The name of the address.
    pub host: String,
    /// The name of the port's service, or its number.
    pub service: String,
}

impl Dns {
    /// Makes a front.
    pub fn new(pool: &LoopPool) -> Self {
        Self { pool: pool.clone() }
    }

    /// The pool's side of the loop.
    pub fn pool(&self) -> &LoopPool {
        &self.pool
    }

    /// Looks up the addresses of a name, with the system's resolver: getaddrinfo(3).
    ///
    /// One hop. An address in place of a name takes none: its callback runs as a tick, and it comes back as it is, whatever
    /// family was asked for. An international name needs the feature `idna`.
    /// Source: Node, `dns.lookup`; SEMANTICS, W3.
    ///
    /// # Errors
    /// A [`DnsError`](super::DnsError) with the name: the resolver's reason; or `Malformed` for what can not be a name, at
    /// which nobody was asked; or that it was cancelled, timed out or not taken by the pool.
    #[track_caller]
    pub fn lookup(&self, name: impl AsRef<str>, options: &LookupOptions) -> Query<Resolved> {
        let (name, options) = (name.as_ref(), *options);
        let asked = self.asked("lookup", name, options.timeout);
        if let Some(found) = resolve::literal(name, &options) {
            return Query::known(asked, Ok(found));
        }
        match for_resolver(name) {
            Ok(ascii) => {
                let ascii = ascii.into_owned();
                Query::start(asked, move |_| resolve::addresses(&ascii, &options))
            }
            Err(rule) => Query::known(asked, Err(DnsErrorKind::Malformed(rule))),
        }
    }

    /// Looks up the names of an address and its port: getnameinfo(3). One hop.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup). `NoName` for an address without a name. Source: Node, `dns.lookupService`.
    #[track_caller]
    pub fn lookup_service(&self, address: SocketAddr, timeout: Option<Duration>) -> Query<ServiceName> {
        let asked = self.asked("lookup_service", &address.to_string(), timeout);
        Query::start(asked, move |_| resolve::names(&address))
    }

    /// Connects to a port of a host by name, to whichever of its addresses answers first. See [`Connect`].
    ///
    /// # Errors
    /// A [`ConnectError`](super::ConnectError) with every address that was tried and what became of it.
    #[track_caller]
    pub fn connect(&self, host: impl AsRef<str>, port: u16, options: &ConnectOptions) -> Connect {
        Connect::start(self, host.as_ref(), port, options)
    }

    #[track_caller]
    fn asked(&self, operation: &'static str, subject: &str, timeout: Option<Duration>) -> Asked {
        let site = std::panic::Location::caller();
        Asked { pool: self.pool.clone(), operation, subject: subject.to_owned(), timeout, site }
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("class", &Class::DNS).finish_non_exhaustive()
    }
}
