//! Making UDP sockets, and their options.

use std::io;
use std::net::SocketAddr;
use std::panic::Location;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::sys;
use crate::net::datagram::{DatagramSocket, UndeliveredTo};
use crate::net::family::Udp;
use crate::state::LoopHandle;

/// How [`UdpSocket::bind_with`](crate::net::UdpSocket::bind_with) binds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpOptions {
    /// Binds to an address that others have, if they said so too. All of them get what is sent to a group; of what is sent to one
    /// address the system gives each datagram to one of them, the last that was bound.
    pub reuse_address: bool,
    /// Shares the port with other sockets that say so too; the system spreads senders over them.
    pub reuse_port: bool,
    /// An IPv6 socket takes no IPv4. Without it the system decides; on Linux, that it does.
    pub only_v6: Option<bool>,
    /// Sends and receives by this network device only, such as `eth0`. Needs a right.
    pub device: Option<String>,
    /// Bytes that the system may hold for us until they are received. It takes twice as much for its own needs, and has a limit.
    pub recv_buffer_len: Option<usize>,
    /// Bytes that the system may hold until they are sent. As above.
    pub send_buffer_len: Option<usize>,
}

impl DatagramSocket<Udp> {
    /// Binds to `address`. Port 0 has the system choose one.
    ///
    /// # Errors
    /// What the system says: the address is in use, is not ours, needs a right.
    #[track_caller]
    pub fn bind(lp: &LoopHandle, address: SocketAddr) -> io::Result<Self> {
        Self::bind_with(lp, address, &UdpOptions::default())
    }

    /// Binds to `address`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    #[track_caller]
    pub fn bind_with(lp: &LoopHandle, address: SocketAddr, options: &UdpOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(options.reuse_address)?;
        socket.set_reuse_port(options.reuse_port)?;
        if let (Some(only), true) = (options.only_v6, address.is_ipv6()) {
            socket.set_only_v6(only)?;
        }
        if let Some(device) = &options.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        if let Some(len) = options.recv_buffer_len {
            socket.set_recv_buffer_size(len)?;
        }
        if let Some(len) = options.send_buffer_len {
            socket.set_send_buffer_size(len)?;
        }
        socket.bind(&address.into())?;
        Self::open(lp, socket.into(), None, Location::caller())
    }

    /// Takes over a socket of std. It is made non-blocking.
    ///
    /// # Errors
    /// As [`from_fd`](Self::from_fd).
    #[track_caller]
    pub fn from_std(lp: &LoopHandle, socket: std::net::UdpSocket) -> io::Result<Self> {
        Self::from_fd(lp, socket.into())
    }

    /// Gives the socket back, still non-blocking.
    ///
    /// # Errors
    /// As [`into_fd`](Self::into_fd).
    pub fn into_std(self) -> Result<std::net::UdpSocket, Self> {
        self.into_fd().map(Into::into)
    }

    /// Says who is told that a datagram did not arrive. Those that were noted before are forgotten.
    ///
    /// # Platform
    /// Linux. Source: ip(7), `IP_RECVERR`.
    pub fn report_undelivered(&self, to: UndeliveredTo) -> io::Result<()> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core().base.with(|fd| sys::set_recverr(fd, v6, to != UndeliveredTo::NextCall))?;
        self.core().set_undelivered_to(to);
        Ok(())
    }

    /// Allows sending to broadcast addresses.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.core().base.with(|fd| SockRef::from(&fd).set_broadcast(broadcast))
    }

    /// True if sending to broadcast addresses is allowed.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.core().base.with(|fd| SockRef::from(&fd).broadcast())
    }

    /// Sets over how many hops a datagram to one address may go, from 1 to 255.
    pub fn set_ttl(&self, hops: u8) -> io::Result<()> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core().base.with(|fd| match v6 {
            true => SockRef::from(&fd).set_unicast_hops_v6(hops.into()),
            false => SockRef::from(&fd).set_ttl_v4(hops.into()),
        })
    }

    /// Over how many hops a datagram to one address may go.
    pub fn ttl(&self) -> io::Result<u32> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core().base.with(|fd| match v6 {
            true => SockRef::from(&fd).unicast_hops_v6(),
            false => SockRef::from(&fd).ttl_v4(),
        })
    }

    /// Sets the type of service, or the traffic class of IPv6, of what is sent.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core().base.with(|fd| match v6 {
            true => SockRef::from(&fd).set_tclass_v6(tos.into()),
            false => SockRef::from(&fd).set_tos_v4(tos.into()),
        })
    }
}
