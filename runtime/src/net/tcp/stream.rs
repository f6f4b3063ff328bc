//! Connections of TCP, from and to std.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use super::connect::ConnectOptions;
use crate::net::family::Tcp;
use crate::net::stream::{ByteStream, Connecting};
use crate::state::LoopHandle;

impl ByteStream<Tcp> {
    /// Connects to `address`. [`ConnectOptions`] can say from where, for how long, and how.
    ///
    /// # Errors
    /// What the system says: refused, unreachable, timed out, no descriptor left.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    #[track_caller]
    pub fn connect(lp: &LoopHandle, address: SocketAddr) -> impl Future<Output = io::Result<Self>> + use<> {
        ConnectOptions::default().connect(lp, address)
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
        ConnectOptions::default().connect_with(lp, address, on_connected)
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
}
