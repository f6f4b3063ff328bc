//! From a host that needs no lookup, or its addresses, to a TCP connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use phaseloop::LoopHandle;
use phaseloop::net::TcpStream;

/// The addresses of a host that needs no lookup. RFC 6761, section 6.3: `localhost` is the loopback address, of either family.
pub(crate) fn literal(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let addresses = if host.eq_ignore_ascii_case("localhost") {
        vec![IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]
    } else {
        vec![host.trim_start_matches('[').trim_end_matches(']').parse().ok()?]
    };
    Some(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// Tries one address after the other, each for its share of the time until then. Gives the first error.
pub(crate) async fn connect(
    lp: &LoopHandle,
    host: &str,
    addresses: &[SocketAddr],
    until: Option<Instant>,
) -> io::Result<TcpStream> {
    let mut failed = None;
    for (address, to_try) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = match (until, to_try) {
            // The last one's time is up when the whole connect's is.
            (None, _) | (_, 1) => Duration::MAX,
            (Some(until), _) => until.saturating_duration_since(lp.now()).div_f64(to_try as f64),
        };
        let error = match lp.timeout(share, TcpStream::connect(lp, *address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        failed.get_or_insert(error);
    }
    Err(failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{host:?} has no address"))))
}
