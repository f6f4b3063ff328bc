//! A descriptor that can be closed while others hold its socket, and lent in spite of that.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::sys;
use crate::state::sources::gone;

/// INVARIANT lent: once the descriptor was lent with `lend`, its number stays ours until this value is dropped. Closing
/// then puts a stand-in under the number, so that the socket itself goes at once.
pub(super) struct Descriptor {
    fd: RefCell<Option<OwnedFd>>,
    is_open: Cell<bool>,
    lent: Cell<bool>,
}

impl Descriptor {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd: RefCell::new(Some(fd)), is_open: Cell::new(true), lent: Cell::new(false) }
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Calls `f`, which runs no user code, with the descriptor.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        if !self.is_open.get() {
            return Err(gone());
        }
        self.fd.borrow().as_ref().map_or_else(|| Err(gone()), |fd| f(fd.as_fd()))
    }

    /// Closes the socket. False if it was closed before.
    pub(super) fn close(&self) -> bool {
        if !self.is_open.replace(false) {
            return false;
        }
        let mut fd = self.fd.borrow_mut();
        match &mut *fd {
            Some(fd) if self.lent.get() => sys::close_in_place(fd),
            fd => drop(fd.take()),
        }
        true
    }

    /// Gives the descriptor away. `None` if it was closed or lent.
    pub(super) fn take(&self) -> Option<OwnedFd> {
        if self.lent.get() || !self.is_open.replace(false) {
            return None;
        }
        self.fd.borrow_mut().take()
    }

    /// Lends the descriptor for as long as this value is borrowed.
    ///
    /// # Panics
    /// If it was closed before it was ever lent.
    #[track_caller]
    pub(super) fn lend(&self) -> BorrowedFd<'_> {
        let number = self.fd.borrow().as_ref().map(AsRawFd::as_raw_fd);
        let number = number.expect("the socket was closed: ask `is_closed` before `as_fd`");
        self.lent.set(true);
        sys::borrow_for(self, number)
    }
}
