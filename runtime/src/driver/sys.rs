//! The one place where the driver vouches for a descriptor number.

use std::os::fd::{BorrowedFd, RawFd};

/// Borrows `fd`, which `owner` keeps open for as long as it lives.
pub(super) fn borrow_for<T>(_owner: &T, fd: RawFd) -> BorrowedFd<'_> {
    // SAFETY: the callers pass the descriptor that `_owner` owns, and the result can not outlive that borrow.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
