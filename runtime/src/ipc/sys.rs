//! Taking over a descriptor that the process was started with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Owns the descriptor of a number that was inherited, and has children inherit it no more.
///
/// What was inherited is told by the flag that is not set: all that std and this crate open is closed at `exec`. So a number that was
/// taken before, or that another file has got since, is refused.
pub(super) fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks for the flags of a number, whatever stands there.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if number <= 2 || flags & libc::FD_CLOEXEC != 0 {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: it is open, was inherited, and the environment says that it is for us, so nobody else owns it; the flag that is
    // set next keeps it from being taken a second time.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}
