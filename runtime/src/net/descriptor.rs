//! A descriptor that can be closed while others hold its socket, and lent in spite of that.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::sys;
use crate::state::sources::gone;

/// INVARIANT lent: once the descriptor was lent with `lend`, its number stays ours until this value is dropped. Closing
/// then puts a stand-in under the number, so that the socket itself goes at once.
pub(super) struct Descriptor(RefCell<State>);

/// In one cell, which takes no more room than the number alone would: every idle connection has one.
struct State {
    fd: Option<OwnedFd>,
    is_open: bool,
    lent: bool,
}

impl Descriptor {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(RefCell::new(State { fd: Some(fd), is_open: true, lent: false }))
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.0.borrow().is_open
    }

    /// Calls `f`, which runs no user code, with the descriptor.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        let state = self.0.borrow();
        match &state.fd {
            Some(fd) if state.is_open => f(fd.as_fd()),
            _ => Err(gone()),
        }
    }

    /// Closes the socket. False if it was closed before.
    pub(super) fn close(&self) -> bool {
        let state = &mut *self.0.borrow_mut();
        let was_open = std::mem::replace(&mut state.is_open, false);
        match &mut state.fd {
            Some(fd) if was_open && state.lent => sys::close_in_place(fd),
            fd if was_open => *fd = None,
            _ => {}
        }
        was_open
    }

    /// Gives the descriptor away. `None` if it was closed or lent.
    pub(super) fn take(&self) -> Option<OwnedFd> {
        let state = &mut *self.0.borrow_mut();
        if state.lent || !state.is_open {
            return None;
        }
        state.is_open = false;
        state.fd.take()
    }

    /// Lends the descriptor for as long as this value is borrowed.
    ///
    /// # Panics
    /// If it was closed before it was ever lent.
    #[track_caller]
    pub(super) fn lend(&self) -> BorrowedFd<'_> {
        let mut state = self.0.borrow_mut();
        let number = state.fd.as_ref().map(AsRawFd::as_raw_fd);
        let number = number.expect("the socket was closed: ask `is_closed` before `as_fd`");
        state.lent = true;
        sys::borrow_for(self, number)
    }
}
