//! What tells one family of sockets from another: addresses, checks, and the names of their handles.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use super::sys::{self, Shape};
use super::unix::UnixAddr;
use crate::state::handles::HandleKind;

/// A family of sockets. Sealed: the families are those of this module.
pub trait Family: sealed::Family + 'static {
    /// How the ends of its sockets are named.
    type Addr: sealed::Address;
}

/// A family whose sockets are streams of bytes.
pub trait StreamFamily: Family + sealed::StreamFamily {}

/// A family whose sockets send and receive datagrams.
pub trait DatagramFamily: Family + sealed::DatagramFamily {}

/// TCP: the family of [`TcpStream`](super::TcpStream) and [`TcpListener`](super::TcpListener).
#[derive(Debug)]
pub enum Tcp {}

/// UDP: the family of [`UdpSocket`](super::UdpSocket).
#[derive(Debug)]
pub enum Udp {}

/// Unix sockets: the family of [`UnixStream`](super::UnixStream), [`UnixListener`](super::UnixListener) and
/// [`UnixDatagram`](super::UnixDatagram).
#[derive(Debug)]
pub enum Unix {}

impl Family for Tcp {
    type Addr = SocketAddr;
}

impl Family for Udp {
    type Addr = SocketAddr;
}

impl Family for Unix {
    type Addr = UnixAddr;
}

impl DatagramFamily for Udp {}
impl DatagramFamily for Unix {}
impl StreamFamily for Tcp {}
impl StreamFamily for Unix {}

impl sealed::Family for Tcp {}
impl sealed::Family for Udp {}
impl sealed::Family for Unix {}

impl sealed::DatagramFamily for Udp {
    const SOCKET: HandleKind = HandleKind::UdpSocket;

    fn check(fd: BorrowedFd<'_>) -> io::Result<()> {
        sys::check(fd, Shape::UdpSocket)
    }

    fn unnamed() -> SocketAddr {
        // Not seen on Linux, where every datagram of UDP has a sender.
        SocketAddr::from(([0, 0, 0, 0], 0))
    }
}

impl sealed::DatagramFamily for Unix {
    const SOCKET: HandleKind = HandleKind::UnixDatagram;

    fn check(fd: BorrowedFd<'_>) -> io::Result<()> {
        sys::check(fd, Shape::UnixDatagram)
    }

    fn unnamed() -> UnixAddr {
        UnixAddr::Unnamed
    }
}

impl sealed::StreamFamily for Tcp {
    const STREAM: HandleKind = HandleKind::TcpStream;
    const LISTENER: HandleKind = HandleKind::TcpListener;

    fn check(fd: BorrowedFd<'_>, listening: bool) -> io::Result<()> {
        sys::check(fd, if listening { Shape::TcpListener } else { Shape::TcpStream })
    }
}

impl sealed::StreamFamily for Unix {
    const STREAM: HandleKind = HandleKind::UnixStream;
    const LISTENER: HandleKind = HandleKind::UnixListener;

    fn check(fd: BorrowedFd<'_>, listening: bool) -> io::Result<()> {
        sys::check(fd, if listening { Shape::UnixListener } else { Shape::UnixStream })
    }
}

impl sealed::Address for SocketAddr {
    fn from_raw(raw: sys::RawAddr) -> io::Result<Self> {
        Ok(Self::try_from(raw)?)
    }

    fn to_raw(&self) -> io::Result<sys::RawAddr> {
        Ok((*self).into())
    }
}

/// What only this crate says and asks of a family.
pub(super) mod sealed {
    use super::{BorrowedFd, HandleKind, io, sys};
    use std::fmt::Debug;

    pub trait Family {}

    pub trait StreamFamily {
        /// How a stream is listed, and called in `Debug`.
        const STREAM: HandleKind;
        /// How a listener is listed, and called in `Debug`.
        const LISTENER: HandleKind;

        /// Refuses a descriptor that is something else.
        fn check(fd: BorrowedFd<'_>, listening: bool) -> io::Result<()>;
    }

    pub trait DatagramFamily: super::Family {
        /// How a socket is listed, and called in `Debug`.
        const SOCKET: HandleKind;

        /// Refuses a descriptor that is something else.
        fn check(fd: BorrowedFd<'_>) -> io::Result<()>;

        /// The address of a sender that has none.
        fn unnamed() -> Self::Addr;
    }

    pub trait Address: Clone + Debug + Sized + 'static {
        /// The address that the system gave; an error if it is of another family.
        fn from_raw(raw: sys::RawAddr) -> io::Result<Self>;

        /// The address as the system takes it; an error if it does not fit.
        fn to_raw(&self) -> io::Result<sys::RawAddr>;
    }
}
