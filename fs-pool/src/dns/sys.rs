//! The numbers by which the system's resolver knows flags, families and failures.

use super::{DnsErrorKind, Family, Hints, LookupOptions};

/// Asks for addresses. Blocks.
pub(super) fn addresses(
    name: &str,
    options: &LookupOptions,
) -> Result<dns_lookup::AddrInfoIter, dns_lookup::LookupError> {
    let hints = dns_lookup::AddrInfoHints {
        flags: flags(options.hints),
        address: options.family.map_or(libc::AF_UNSPEC, family),
        // One kind of socket, or each address would come once a kind.
        socktype: libc::SOCK_STREAM,
        protocol: 0,
    };
    dns_lookup::getaddrinfo(Some(name), None, Some(hints))
}

/// Asks for the names of an address and of a port. Blocks.
pub(super) fn names(address: &std::net::SocketAddr) -> Result<(String, String), dns_lookup::LookupError> {
    dns_lookup::getnameinfo(address, libc::NI_NAMEREQD)
}

/// What a failure of the resolver means.
pub(super) fn kind_of(error: dns_lookup::LookupError) -> DnsErrorKind {
    match error.error_num() {
        libc::EAI_AGAIN => DnsErrorKind::Again,
        libc::EAI_BADFLAGS => DnsErrorKind::BadFlags,
        libc::EAI_FAIL => DnsErrorKind::Fail,
        libc::EAI_FAMILY => DnsErrorKind::Family,
        libc::EAI_MEMORY => DnsErrorKind::Memory,
        libc::EAI_NONAME => DnsErrorKind::NoName,
        libc::EAI_OVERFLOW => DnsErrorKind::Overflow,
        libc::EAI_SERVICE => DnsErrorKind::Service,
        libc::EAI_SOCKTYPE => DnsErrorKind::SockType,
        code if code == ADDRFAMILY => DnsErrorKind::AddrFamily,
        code if code == NODATA => DnsErrorKind::NoData,
        // EAI_SYSTEM carries the system's code; anything else a text.
        _ => DnsErrorKind::System(error.into()),
    }
}

fn family(family: Family) -> i32 {
    match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    }
}

fn flags(hints: Hints) -> i32 {
    let pairs = [
        (Hints::ADDRCONFIG, libc::AI_ADDRCONFIG),
        (Hints::V4MAPPED, libc::AI_V4MAPPED),
        (Hints::ALL, libc::AI_ALL),
        (Hints::CANONICAL_NAME, libc::AI_CANONNAME),
    ];
    pairs.iter().filter(|(hint, _)| hints.contains(*hint)).fold(0, |all, (_, flag)| all | flag)
}

/// The two failures that not every system has, and for which the bindings have no name. Source: netdb.h of glibc.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ADDRFAMILY: i32 = -9;
#[cfg(any(target_os = "linux", target_os = "android"))]
const NODATA: i32 = -5;
/// As macOS numbers them; on the other BSDs they are obsolete and do not come.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ADDRFAMILY: i32 = 1;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NODATA: i32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hint_is_one_flag_of_the_system() {
        assert_eq!(flags(Hints::default()), 0);
        assert_eq!(flags(Hints::ADDRCONFIG | Hints::ALL), libc::AI_ADDRCONFIG | libc::AI_ALL);
        assert_eq!(flags(Hints::V4MAPPED), libc::AI_V4MAPPED);
        assert_eq!(flags(Hints::CANONICAL_NAME), libc::AI_CANONNAME);
    }

    #[test]
    fn each_failure_of_the_resolver_has_its_name() {
        let code = |number| kind_of(dns_lookup::LookupError::new(number)).code();
        assert_eq!(code(libc::EAI_NONAME), "EAI_NONAME");
        assert_eq!(code(libc::EAI_AGAIN), "EAI_AGAIN");
        assert_eq!(code(libc::EAI_BADFLAGS), "EAI_BADFLAGS");
        assert_eq!(code(libc::EAI_OVERFLOW), "EAI_OVERFLOW");
        assert_eq!(code(ADDRFAMILY), "EAI_ADDRFAMILY");
        assert_eq!(code(NODATA), "EAI_NODATA");
        assert_eq!(code(libc::EAI_SYSTEM), "EAI_SYSTEM");
    }
}
