//! Groups of receivers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use socket2::{InterfaceIndexOrAddress, SockRef};

use super::sys::{self, SourceChange};
use crate::net::datagram::DatagramSocket;
use crate::net::family::Udp;

/// A network interface, for groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interface {
    /// The one that the system's routes lead to.
    #[default]
    Default,
    /// By its number, as `ip link` shows it.
    Index(NonZeroU32),
    /// By an address that it has. For IPv4 only.
    Address(Ipv4Addr),
}

impl Interface {
    fn v4(self) -> InterfaceIndexOrAddress {
        match self {
            Self::Default => InterfaceIndexOrAddress::Address(Ipv4Addr::UNSPECIFIED),
            Self::Index(index) => InterfaceIndexOrAddress::Index(index.get()),
            Self::Address(address) => InterfaceIndexOrAddress::Address(address),
        }
    }

    fn index(self) -> io::Result<u32> {
        match self {
            Self::Default => Ok(0),
            Self::Index(index) => Ok(index.get()),
            Self::Address(address) => {
                let problem = format!("the interface must be given by its number here, and not by {address}");
                Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
            }
        }
    }
}

impl DatagramSocket<Udp> {
    /// Receives what is sent to `group`. The socket should be bound to the group's port, and to the group or to no address.
    ///
    /// # Errors
    /// What the system says: `EADDRINUSE` if it is in the group, `EINVAL` for what is no group, `ENODEV` if no interface is found.
    pub fn join_multicast(&self, group: IpAddr, interface: Interface) -> io::Result<()> {
        self.core().base.with(|fd| match group {
            IpAddr::V4(group) => SockRef::from(&fd).join_multicast_v4_n(&group, &interface.v4()),
            IpAddr::V6(group) => SockRef::from(&fd).join_multicast_v6(&group, interface.index()?),
        })
    }

    /// Leaves a group that was joined by the same interface.
    ///
    /// # Errors
    /// What the system says: `EADDRNOTAVAIL` if it is not in the group.
    pub fn leave_multicast(&self, group: IpAddr, interface: Interface) -> io::Result<()> {
        self.core().base.with(|fd| match group {
            IpAddr::V4(group) => SockRef::from(&fd).leave_multicast_v4_n(&group, &interface.v4()),
            IpAddr::V6(group) => SockRef::from(&fd).leave_multicast_v6(&group, interface.index()?),
        })
    }

    /// Receives what `source` sends to `group`, and nobody else. Several sources may be joined one by one.
    ///
    /// # Errors
    /// As [`join_multicast`](Self::join_multicast); `InvalidInput` if the two are of different families.
    pub fn join_source(&self, source: IpAddr, group: IpAddr, interface: Interface) -> io::Result<()> {
        self.change_source(source, group, interface, SourceChange::Join)
    }

    /// Receives no more what `source` sends to `group`.
    ///
    /// # Errors
    /// As [`leave_multicast`](Self::leave_multicast).
    pub fn leave_source(&self, source: IpAddr, group: IpAddr, interface: Interface) -> io::Result<()> {
        self.change_source(source, group, interface, SourceChange::Leave)
    }

    fn change_source(
        &self,
        source: IpAddr,
        group: IpAddr,
        interface: Interface,
        change: SourceChange,
    ) -> io::Result<()> {
        let named = match (source, group, interface) {
            (IpAddr::V4(source), IpAddr::V4(group), Interface::Address(address)) => {
                Some((source, group, address))
            }
            _ => None,
        };
        self.core().base.with(|fd| match (named, change) {
            (Some((source, group, address)), SourceChange::Join) => {
                SockRef::from(&fd).join_ssm_v4(&source, &group, &address)
            }
            (Some((source, group, address)), SourceChange::Leave) => {
                SockRef::from(&fd).leave_ssm_v4(&source, &group, &address)
            }
            (None, _) if source.is_ipv4() != group.is_ipv4() => {
                let problem =
                    format!("the source {source} can not send to the group {group} of another family");
                Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
            }
            (None, change) => {
                let (source, group) = (SocketAddr::new(source, 0), SocketAddr::new(group, 0));
                sys::change_source(fd, source, group, interface.index()?, change)
            }
        })
    }

    /// Sets the interface by which datagrams go to groups.
    pub fn set_multicast_interface(&self, interface: Interface) -> io::Result<()> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core().base.with(|fd| match (v6, interface) {
            (true, interface) => SockRef::from(&fd).set_multicast_if_v6(interface.index()?),
            (false, Interface::Default) => SockRef::from(&fd).set_multicast_if_v4(&Ipv4Addr::UNSPECIFIED),
            (false, Interface::Address(address)) => SockRef::from(&fd).set_multicast_if_v4(&address),
            (false, Interface::Index(index)) => sys::set_multicast_index_v4(fd, index.get()),
        })
    }

    /// Whether what this socket sends to a group comes to receivers on this machine too. It does by default.
    pub fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core().base.with(|fd| match v6 {
            true => SockRef::from(&fd).set_multicast_loop_v6(on),
            false => SockRef::from(&fd).set_multicast_loop_v4(on),
        })
    }

    /// Sets over how many hops a datagram to a group may go. One by default: to the local network.
    pub fn set_multicast_ttl(&self, hops: u8) -> io::Result<()> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core().base.with(|fd| match v6 {
            true => SockRef::from(&fd).set_multicast_hops_v6(hops.into()),
            false => SockRef::from(&fd).set_multicast_ttl_v4(hops.into()),
        })
    }
}
