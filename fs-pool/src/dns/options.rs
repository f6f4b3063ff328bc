//! What to ask for, and how the answers are sorted.

use std::fmt;
use std::net::SocketAddr;
use std::ops::BitOr;
use std::time::Duration;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, as `192.0.2.1`.
    V4,
    /// IPv6, as `2001:db8::1`.
    V6,
}

impl Family {
    /// The family of an address. One of IPv4 that is mapped into IPv6 counts as IPv6.
    pub fn of(address: &SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

/// In which order the addresses of a name are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// As the system's resolver sorts them, by RFC 6724. The default, as in Node since version 17.
    #[default]
    Verbatim,
    /// IPv4 first; in each family as the resolver sorts them. Node's `ipv4first`.
    V4First,
    /// IPv6 first; in each family as the resolver sorts them. Node's `ipv6first`.
    V6First,
}

impl Order {
    /// Sorts addresses; those of one family stay in their order.
    pub(super) fn sort(self, addresses: &mut [SocketAddr]) {
        match self {
            Self::Verbatim => {}
            Self::V4First => addresses.sort_by_key(SocketAddr::is_ipv6),
            Self::V6First => addresses.sort_by_key(SocketAddr::is_ipv4),
        }
    }
}

/// Wishes to the system's resolver: a set, joined with `|`. See getaddrinfo(3).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Hints(u8);

impl Hints {
    /// Only families of which this machine has an address other than the loopback's.
    pub const ADDRCONFIG: Self = Self(1);
    /// With [`Family::V6`]: if there is no address of IPv6, those of IPv4, mapped into IPv6.
    pub const V4MAPPED: Self = Self(2);
    /// With [`Self::V4MAPPED`]: the mapped ones also if there are others.
    pub const ALL: Self = Self(4);
    /// Also the name that all aliases lead to.
    pub const CANONICAL_NAME: Self = Self(8);

    /// True if all of `other` is in the set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Hints {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::ADDRCONFIG, "addrconfig"),
            (Self::V4MAPPED, "v4mapped"),
            (Self::ALL, "all"),
            (Self::CANONICAL_NAME, "canonical_name"),
        ];
        f.debug_set()
            .entries(names.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| name))
            .finish()
    }
}

/// How a name is looked up. The default asks for both families, in the resolver's order, without a timeout.
#[derive(Clone, Copy, Debug, Default)]
pub struct LookupOptions {
    /// Only addresses of this family.
    pub family: Option<Family>,
    /// Wishes to the resolver.
    pub hints: Hints,
    /// The order of the addresses.
    pub order: Order,
    /// The port that the addresses get. It is not looked up.
    pub port: u16,
    /// Gives the lookup up after this time. Its worker stays busy until the resolver gives up as well.
    pub timeout: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_moves_families_and_keeps_the_order_within_one() {
        let given = ["[::1]:0", "1.0.0.1:0", "[::2]:0", "1.0.0.2:0"].map(|it| it.parse().expect("it is one"));
        let sorted = |order: Order| {
            let mut addresses: [SocketAddr; 4] = given;
            order.sort(&mut addresses);
            addresses.map(|address| address.ip().to_string())
        };
        assert_eq!(sorted(Order::Verbatim), ["::1", "1.0.0.1", "::2", "1.0.0.2"]);
        assert_eq!(sorted(Order::V4First), ["1.0.0.1", "1.0.0.2", "::1", "::2"]);
        assert_eq!(sorted(Order::V6First), ["::1", "::2", "1.0.0.1", "1.0.0.2"]);
    }
}
