//! System calls that std does not make in the form we need.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

/// Accepts a connection that is non-blocking and not inherited by children, in one call.
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (fd, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    let peer = peer.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
    Ok((TcpStream::from(fd), peer))
}

/// True if the process or the system has run out of something that accepting needs.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.iter().any(|errno| errno.raw_os_error() == code))
}

/// True if a non-blocking connect has begun and will report later.
pub(super) fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error())
}

/// What the system says to a write after a shutdown.
pub(super) fn broken_pipe() -> io::Error {
    Errno::PIPE.into()
}

/// What an operation reports that ended because its stream was closed.
pub(super) fn cancelled() -> io::Error {
    Errno::CANCELED.into()
}
