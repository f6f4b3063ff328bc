//! Lookups on the calling thread. They block.

use std::net::{IpAddr, SocketAddr};

use super::name::for_resolver;
use super::{DnsError, DnsErrorKind, LookupOptions, Resolved, ServiceName, sys};

/// Looks a name up on the calling thread, for threads without a loop. [`LookupOptions::timeout`] has no meaning here.
///
/// # Errors
/// As [`Dns::lookup`](super::Dns::lookup).
///
/// # Examples
/// ```
/// use fs_pool::dns::{LookupOptions, lookup_blocking};
///
/// let found = lookup_blocking("127.0.0.1", &LookupOptions { port: 80, ..Default::default() })?;
/// assert_eq!(found.addresses, ["127.0.0.1:80".parse().expect("it is one")]);
/// # Ok::<(), fs_pool::dns::DnsError>(())
/// ```
pub fn lookup_blocking(name: &str, options: &LookupOptions) -> Result<Resolved, DnsError> {
    if let Some(found) = literal(name, options) {
        return Ok(found);
    }
    let error = |kind| DnsError { operation: "lookup", subject: name.to_owned(), kind };
    let ascii = for_resolver(name).map_err(|rule| error(DnsErrorKind::Malformed(rule)))?;
    addresses(&ascii, options).map_err(error)
}

/// Looks the names of an address and its port up on the calling thread, for threads without a loop.
///
/// # Errors
/// As [`Dns::lookup_service`](super::Dns::lookup_service).
pub fn lookup_service_blocking(address: SocketAddr) -> Result<ServiceName, DnsError> {
    names(&address).map_err(|kind| DnsError {
        operation: "lookup_service",
        subject: address.to_string(),
        kind,
    })
}

/// What an address in place of a name comes to: itself, whatever family is wanted. Source: Node, `dns.lookup`.
pub(super) fn literal(name: &str, options: &LookupOptions) -> Option<Resolved> {
    let address: IpAddr = name.parse().ok()?;
    let wants_name = options.hints.contains(super::Hints::CANONICAL_NAME);
    let canonical_name = wants_name.then(|| name.to_owned());
    Some(Resolved { addresses: vec![SocketAddr::new(address, options.port)], canonical_name })
}

/// Asks the system's resolver.
pub(super) fn addresses(name: &str, options: &LookupOptions) -> Result<Resolved, DnsErrorKind> {
    let mut found = Resolved { addresses: Vec::new(), canonical_name: None };
    for entry in sys::addresses(name, options).map_err(sys::kind_of)? {
        let entry = entry.map_err(DnsErrorKind::System)?;
        let mut address = entry.sockaddr;
        address.set_port(options.port);
        found.addresses.push(address);
        found.canonical_name = found.canonical_name.or(entry.canonname);
    }
    options.order.sort(&mut found.addresses);
    Ok(found)
}

pub(super) fn names(address: &SocketAddr) -> Result<ServiceName, DnsErrorKind> {
    let (host, service) = sys::names(address).map_err(sys::kind_of)?;
    Ok(ServiceName { host, service })
}
