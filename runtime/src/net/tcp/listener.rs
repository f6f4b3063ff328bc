//! Listening on TCP.

use std::io;
use std::net::SocketAddr;
use std::panic::Location;

use socket2::{Domain, Protocol, Socket, Type};

use crate::net::family::Tcp;
use crate::net::listener::Listener;
use crate::state::LoopHandle;

/// How [`TcpListener::bind_with`](crate::net::TcpListener::bind_with) binds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Connections that the system holds for us until they are accepted. The system has a limit of its own.
    pub backlog: i32,
    /// Binds to an address that connections of an earlier socket still linger on.
    pub reuse_address: bool,
    /// Shares the port with other sockets that say so too; the system spreads connections over them.
    pub reuse_port: bool,
    /// An IPv6 socket takes no IPv4. Without it the system decides; on Linux, that it does.
    pub only_v6: Option<bool>,
    /// Accepts by this network device only, such as `eth0`. Needs a right.
    pub device: Option<String>,
    /// Bytes that the system may hold for each connection until they are read. It is set here, since connections take it over
    /// before they are accepted.
    pub recv_buffer_len: Option<usize>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            reuse_address: true,
            reuse_port: false,
            only_v6: None,
            device: None,
            recv_buffer_len: None,
        }
    }
}

impl Listener<Tcp> {
    /// Listens on `address`, with the default options. Port 0 has the system choose one.
    ///
    /// # Errors
    /// What the system says: the address is in use, is not ours, needs a right. Errors of the address come from here, at once;
    /// libuv keeps them until it listens or connects.
    #[track_caller]
    pub fn bind(lp: &LoopHandle, address: SocketAddr) -> io::Result<Self> {
        Self::bind_with(lp, address, &ListenOptions::default())
    }

    /// Listens on `address`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    #[track_caller]
    pub fn bind_with(lp: &LoopHandle, address: SocketAddr, options: &ListenOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        Self::open(lp, socket.into(), None, Location::caller())
    }

    /// Takes over a listening socket of std. It is made non-blocking.
    ///
    /// # Errors
    /// As [`from_fd`](Self::from_fd).
    #[track_caller]
    pub fn from_std(lp: &LoopHandle, socket: std::net::TcpListener) -> io::Result<Self> {
        Self::from_fd(lp, socket.into())
    }

    /// Gives the socket back, still non-blocking.
    ///
    /// # Errors
    /// As [`into_fd`](Self::into_fd).
    pub fn into_std(self) -> Result<std::net::TcpListener, Self> {
        self.into_fd().map(Into::into)
    }
}
