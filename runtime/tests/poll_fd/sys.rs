//! Numbers of descriptors, as a C library would handle them.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A descriptor known by its number alone, for which the test vouches.
pub(crate) fn number(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: only its number is used, and the driver is the only one to look at it; what happens when it is closed is
    // what the test is about.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Moves a descriptor to a number that was free.
pub(crate) fn renumber(fd: OwnedFd, number: RawFd) -> OwnedFd {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() == number {
        return fd;
    }
    // SAFETY: the call takes numbers only; `number` was closed by its owner.
    let moved = unsafe { libc::dup3(fd.as_raw_fd(), number, libc::O_CLOEXEC) };
    assert_eq!(moved, number);
    // SAFETY: the call above made it, and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(number) }
}
