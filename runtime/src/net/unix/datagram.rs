//! Datagrams over Unix sockets.

use std::io;
use std::panic::Location;

use super::address::UnixAddr;
use super::file::{self, BindOptions};
use crate::net::datagram::DatagramSocket;
use crate::net::family::Unix;
use crate::net::sys;
use crate::state::LoopHandle;

impl DatagramSocket<Unix> {
    /// Binds to `addr`. The file is removed when the socket is closed or dropped, if it is still the one that was made.
    ///
    /// # Errors
    /// `AddrInUse` if the name is taken. `InvalidInput` if it is too long. And what the system says: no such folder, no right.
    #[track_caller]
    pub fn bind(lp: &LoopHandle, addr: impl Into<UnixAddr>) -> io::Result<Self> {
        let fd = sys::open_unix_datagram()?;
        let options = BindOptions { replace_stale: false, unlink_on_close: true, mode: None };
        let file = file::bind(&fd, &addr.into(), &options)?;
        Self::open(lp, fd, file, Location::caller())
    }

    /// Makes a socket without a name: it can send, and nobody can answer.
    ///
    /// # Errors
    /// What the system says when no descriptor is left.
    #[track_caller]
    pub fn unbound(lp: &LoopHandle) -> io::Result<Self> {
        Self::open(lp, sys::open_unix_datagram()?, None, Location::caller())
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// What the system says when no descriptor is left.
    #[track_caller]
    pub fn pair(lp: &LoopHandle) -> io::Result<(Self, Self)> {
        let (a, b) = sys::unix_datagram_pair()?;
        let site = Location::caller();
        Ok((Self::open(lp, a, None, site)?, Self::open(lp, b, None, site)?))
    }

    /// Takes over a socket of std. It is made non-blocking.
    ///
    /// # Errors
    /// As [`from_fd`](Self::from_fd).
    #[track_caller]
    pub fn from_std(lp: &LoopHandle, socket: std::os::unix::net::UnixDatagram) -> io::Result<Self> {
        Self::from_fd(lp, socket.into())
    }

    /// Gives the socket back, still non-blocking.
    ///
    /// # Errors
    /// As [`into_fd`](Self::into_fd).
    pub fn into_std(self) -> Result<std::os::unix::net::UnixDatagram, Self> {
        self.into_fd().map(Into::into)
    }
}
