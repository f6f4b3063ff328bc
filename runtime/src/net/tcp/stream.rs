//! Connecting on TCP, and the options of a connection.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::driver::Readiness;
use crate::net::family::{Tcp, sealed::Address};
use crate::net::stream::{ByteStream, Connecting};
use crate::net::sys;
use crate::state::LoopHandle;

impl ByteStream<Tcp> {
    /// Connects to `address`.
    ///
    /// # Errors
    /// What the system says: refused, unreachable, timed out, no descriptor left.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    #[track_caller]
    pub fn connect(lp: &LoopHandle, address: SocketAddr) -> impl Future<Output = io::Result<Self>> + use<> {
        let begun = Self::begin_connect(lp, address, Location::caller());
        async move {
            let stream = begun?;
            poll_fn(|cx| stream.core.poll_connected(cx)).await?;
            Ok(stream)
        }
    }

    /// Connects to `address` and then calls back, once: with the stream, with an error, or with `ECANCELED` if
    /// [`Connecting::close`] came first. It keeps the loop alive until then.
    ///
    /// # Ordering
    /// The callback runs in the pending phase, never inside this call, also when the connect fails at once.
    #[track_caller]
    pub fn connect_with(
        lp: &LoopHandle,
        address: SocketAddr,
        on_connected: impl FnOnce(&LoopHandle, io::Result<Self>) + 'static,
    ) -> Connecting<Tcp> {
        Self::connect_and_call(lp, Self::connect(lp, address), on_connected, Location::caller())
    }

    /// Begins to connect. An error of the address is reported by the connect itself.
    fn begin_connect(
        lp: &LoopHandle,
        address: SocketAddr,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        let raw = address.to_raw()?;
        sys::connect(std::os::fd::AsFd::as_fd(&socket), &raw)?;
        Self::open(lp, socket.into(), Readiness::default(), site)
    }

    /// Takes over a connected socket of std. It is made non-blocking.
    ///
    /// # Errors
    /// As [`from_fd`](Self::from_fd).
    #[track_caller]
    pub fn from_std(lp: &LoopHandle, socket: std::net::TcpStream) -> io::Result<Self> {
        Self::from_fd(lp, socket.into())
    }

    /// Gives the socket back, still non-blocking.
    ///
    /// # Errors
    /// As [`into_fd`](Self::into_fd).
    pub fn into_std(self) -> Result<std::net::TcpStream, Self> {
        self.into_fd().map(Into::into)
    }

    /// Sends small writes at once (`true`) or gathers them.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.core.base.with(|fd| SockRef::from(&fd).set_tcp_nodelay(nodelay))
    }

    /// True if small writes are sent at once.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.core.base.with(|fd| SockRef::from(&fd).tcp_nodelay())
    }
}
