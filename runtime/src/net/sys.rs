//! System calls that std does not make in the form we need.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrUnix, SocketFlags,
    SocketType, acceptfrom_with, recv, send, sendmsg, socket_with, sockopt,
};

/// An address as the system has it.
pub(super) use rustix::net::SocketAddrAny as RawAddr;

/// Buffers that one call may take. Source: Linux, `UIO_MAXIOV`; what is beyond is written by the next call.
pub(super) const BUFFERS_MAX: usize = 1024;

/// Borrows `fd`, which `owner` keeps open for as long as it lives.
pub(super) fn borrow_for<T>(_owner: &T, fd: RawFd) -> BorrowedFd<'_> {
    // SAFETY: the callers pass the number of a descriptor that `_owner` owns and keeps while it lives (INVARIANT lent),
    // and the result can not outlive that borrow.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Closes what is open under this number and keeps the number, with a socket there that is connected to nothing.
pub(super) fn close_in_place(fd: &mut OwnedFd) {
    let stand_in = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let replaced =
        stand_in.and_then(|stand_in| rustix::io::dup3(&stand_in, fd, rustix::io::DupFlags::CLOEXEC));
    if replaced.is_err() {
        // No descriptor is left for the stand-in. The connection ends all the same; its number goes with its owner.
        let _ = rustix::net::shutdown(&*fd, Shutdown::Both); // it fails for one that is not connected
    }
}

// --- opening ----------------------------------------------------------------------------------------------------------

/// Makes a socket that is non-blocking and not inherited by children, in one call.
fn open(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    Ok(socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?)
}

/// As `open`, for a Unix stream.
pub(super) fn open_unix_stream() -> io::Result<OwnedFd> {
    open(AddressFamily::UNIX, SocketType::STREAM)
}

/// As `open`, for Unix datagrams.
pub(super) fn open_unix_datagram() -> io::Result<OwnedFd> {
    open(AddressFamily::UNIX, SocketType::DGRAM)
}

/// Two connected Unix streams.
pub(super) fn unix_stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    unix_pair(SocketType::STREAM)
}

/// Two connected sockets of Unix datagrams.
pub(super) fn unix_datagram_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    unix_pair(SocketType::DGRAM)
}

fn unix_pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?)
}

pub(super) fn bind(fd: BorrowedFd<'_>, addr: &RawAddr) -> io::Result<()> {
    Ok(rustix::net::bind(fd, addr)?)
}

pub(super) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    Ok(rustix::net::listen(fd, backlog)?)
}

/// Begins to connect. Done, or under way: then the socket becomes writable.
pub(super) fn connect(fd: BorrowedFd<'_>, addr: &RawAddr) -> io::Result<()> {
    match rustix::net::connect(fd, addr) {
        Err(Errno::INPROGRESS) => Ok(()),
        connected => Ok(connected?),
    }
}

/// Ends a connection of a socket of datagrams.
pub(super) fn disconnect(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::connect_unspec(fd)?)
}

/// Accepts a connection that is non-blocking and not inherited by children, in one call.
pub(super) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, RawAddr)> {
    let (fd, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    Ok((fd, peer.ok_or(Errno::CONNABORTED)?))
}

/// Lets calls on the descriptor return instead of wait.
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

// --- asking -----------------------------------------------------------------------------------------------------------

/// What a descriptor must be to be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    TcpStream,
    TcpListener,
    UnixStream,
    UnixListener,
    UdpSocket,
    UnixDatagram,
}

impl Shape {
    fn is_unix(self) -> bool {
        matches!(self, Self::UnixStream | Self::UnixListener | Self::UnixDatagram)
    }

    fn kind(self) -> SocketType {
        match self {
            Self::UdpSocket | Self::UnixDatagram => SocketType::DGRAM,
            _ => SocketType::STREAM,
        }
    }

    fn listens(self) -> bool {
        matches!(self, Self::TcpListener | Self::UnixListener)
    }
}

/// Refuses a descriptor that is something else than `wanted`, and says what it is.
pub(super) fn check(fd: BorrowedFd<'_>, wanted: Shape) -> io::Result<()> {
    let family = sockopt::socket_domain(fd).map_err(|error| not_a(wanted, &io::Error::from(error)))?;
    let family_fits = match family {
        AddressFamily::UNIX => wanted.is_unix(),
        AddressFamily::INET | AddressFamily::INET6 => !wanted.is_unix(),
        _ => false,
    };
    let kind = sockopt::socket_type(fd)?;
    let listens = sockopt::socket_acceptconn(fd)?;
    if family_fits && kind == wanted.kind() && listens == wanted.listens() {
        return Ok(());
    }
    let what = format!("family {}, type {}, listening: {listens}", family.as_raw(), kind.as_raw());
    Err(not_a(wanted, &what))
}

fn not_a(wanted: Shape, what: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("the descriptor is no {wanted:?}: {what}"))
}

/// The error that the socket holds, which this takes away.
pub(super) fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    Ok(sockopt::socket_error(fd)?.err().map(io::Error::from))
}

pub(super) fn local_addr(fd: BorrowedFd<'_>) -> io::Result<RawAddr> {
    Ok(rustix::net::getsockname(fd)?)
}

pub(super) fn peer_addr(fd: BorrowedFd<'_>) -> io::Result<RawAddr> {
    Ok(rustix::net::getpeername(fd)?.ok_or(Errno::NOTCONN)?)
}

// --- transfer ---------------------------------------------------------------------------------------------------------

#[inline]
pub(super) fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    Ok(recv(fd, buf, RecvFlags::empty())?.0)
}

pub(super) fn peek(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    Ok(recv(fd, buf, RecvFlags::PEEK)?.0)
}

pub(super) fn read_vectored(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let count = bufs.len().min(BUFFERS_MAX);
    Ok(rustix::io::readv(fd, &mut bufs[..count])?)
}

/// Writes. A peer that is gone is an error and never a signal, whatever the host does with SIGPIPE.
#[inline]
pub(super) fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    Ok(send(fd, buf, SendFlags::NOSIGNAL)?)
}

pub(super) fn write_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let count = bufs.len().min(BUFFERS_MAX);
    Ok(sendmsg(fd, &bufs[..count], &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
}

/// Has the close of a TCP socket reset its connection.
pub(super) fn reset_on_close(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(fd, Some(std::time::Duration::ZERO))?)
}

/// Sends the end of the stream.
pub(super) fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::shutdown(fd, Shutdown::Write)?)
}

// --- errors -----------------------------------------------------------------------------------------------------------

/// True if an accept would fail again at once: the process or the system has run out of something, or the socket listens no
/// more. False if the error is about one connection, behind which others may wait. Source: accept(2), error handling.
pub(super) fn is_lasting(error: &io::Error) -> bool {
    let passing = [
        Errno::AGAIN,
        Errno::INTR,
        Errno::CONNABORTED,
        Errno::PROTO,
        Errno::PERM,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Errno::NONET,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NOPROTOOPT,
        Errno::TIMEDOUT,
    ];
    error.raw_os_error().is_some_and(|code| passing.iter().all(|errno| errno.raw_os_error() != code))
}

/// What the system says to a write after a shutdown.
pub(super) fn broken_pipe() -> io::Error {
    Errno::PIPE.into()
}

/// What an operation reports that ended because its stream was closed.
pub(super) fn cancelled() -> io::Error {
    Errno::CANCELED.into()
}

// --- names of Unix sockets --------------------------------------------------------------------------------------------

/// What the name of a Unix socket is.
pub(super) enum UnixName<'a> {
    Path(&'a OsStr),
    Abstract(&'a [u8]),
    Unnamed,
}

/// The address as the system takes it. The caller has checked the length.
pub(super) fn unix_to_raw(name: &UnixName<'_>) -> io::Result<RawAddr> {
    let address = match name {
        UnixName::Path(path) => SocketAddrUnix::new(path.as_bytes())?,
        UnixName::Abstract(name) => SocketAddrUnix::new_abstract_name(name)?,
        UnixName::Unnamed => SocketAddrUnix::new_unnamed(),
    };
    Ok(address.into())
}

/// Calls `f` with the name that the system gave.
pub(super) fn unix_from_raw<R>(raw: RawAddr, f: impl FnOnce(UnixName<'_>) -> R) -> io::Result<R> {
    // By the length: the system gives nothing but the family for a socket without a name.
    if raw.address_family() == AddressFamily::UNIX && raw.addr_len() as usize <= size_of::<u16>() {
        return Ok(f(UnixName::Unnamed));
    }
    // Today: a path of all 108 bytes, which a peer may have, is told as no name. The system counts a zero behind it, and
    // rustix would look for that beyond the end.
    if raw.address_family() == AddressFamily::UNIX && raw.addr_len() as usize > size_of::<libc::sockaddr_un>()
    {
        return Ok(f(UnixName::Unnamed));
    }
    let address = SocketAddrUnix::try_from(raw)?;
    if let Some(name) = address.abstract_name() {
        return Ok(f(UnixName::Abstract(name)));
    }
    let path = address.path();
    Ok(f(path.as_ref().map_or(UnixName::Unnamed, |path| UnixName::Path(OsStr::from_bytes(path.to_bytes())))))
}
