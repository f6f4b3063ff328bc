//! What every socket of a loop is: a descriptor that is registered, counted, referenced and closed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::descriptor::Descriptor;
use super::poll_io::Attempt;
use crate::driver::{Readiness, Token};
use crate::state::handles::HandleKind;
use crate::state::sources::{Direction, Ready};
use crate::state::{Callback, Closing, LoopHandle};

/// A registered socket. Its registration ends before its descriptor does.
pub(super) struct Base {
    pub(super) lp: LoopHandle,
    pub(super) token: Token,
    descriptor: Descriptor,
}

impl Drop for Base {
    fn drop(&mut self) {
        self.lp.close_source(self.token);
    }
}

impl Base {
    /// Registers a non-blocking socket. `ready` is what is known of it: a fresh connection can be written to.
    pub(super) fn open(
        lp: &LoopHandle,
        fd: OwnedFd,
        interest: Readiness,
        ready: Readiness,
        kind: HandleKind,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let token = lp.open_source(fd.as_raw_fd(), interest, kind, site)?;
        lp.state.sources.mark(token, ready);
        Ok(Self { lp: lp.clone(), token, descriptor: Descriptor::new(fd) })
    }

    /// Calls `f`, which runs no user code, with the descriptor.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        self.descriptor.with(f)
    }

    /// Polls an operation on the socket: tried when it is ready, and waited for when it would block.
    #[inline]
    pub(super) fn poll_op<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<Attempt<R>>,
    ) -> Poll<io::Result<R>> {
        self.lp.poll_io(cx, self.token, direction, || self.descriptor.with(&mut attempt))
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        !self.descriptor.is_open()
    }

    /// True if neither the socket nor the loop would ever call back.
    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        self.is_closed() || self.lp.is_closed()
    }

    /// Ends the registration, and then the socket. False if it was closed before.
    pub(super) fn close(&self) -> bool {
        if self.is_closed() {
            return false;
        }
        self.lp.close_source(self.token);
        self.descriptor.close()
    }

    /// Has the close phase run `callback`, or only take note. To be called last: what else a close owes comes before.
    pub(super) fn announce_close(&self, callback: Option<Callback>) {
        if !self.lp.state.closed.get() {
            self.lp.state.alive.hold();
            self.lp.state.closing.borrow_mut().push(Closing { release: None, callback });
        }
    }

    /// Gives the descriptor away to the only one of `owners`, no longer registered. `None` if there are others, or if it was
    /// closed or lent.
    pub(super) fn take_fd(&self, owners: usize) -> Option<OwnedFd> {
        let fd = if owners == 1 { self.descriptor.take()? } else { return None };
        self.lp.close_source(self.token);
        Some(fd)
    }

    #[track_caller]
    pub(super) fn lend_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.lend()
    }

    pub(super) fn set_active(&self, active: bool) {
        self.lp.update_source(self.token, |flags| flags.active = active);
    }

    pub(super) fn set_referenced(&self, referenced: bool) {
        self.lp.update_source(self.token, |flags| flags.referenced = referenced);
    }

    pub(super) fn is_referenced(&self) -> bool {
        self.lp.state.sources.with(self.token, |source| source.flags.referenced).unwrap_or(false)
    }

    /// Has the loop call `target` when the socket is ready, and own it until then; or nobody.
    pub(super) fn set_target(&self, target: Option<Rc<dyn Ready>>) {
        self.lp.state.sources.set_target(self.token, target);
    }

    /// Forgets readiness that an attempt contradicted.
    pub(super) fn clear_ready(&self, readiness: Readiness) {
        self.lp.state.sources.clear(self.token, readiness);
    }

    pub(super) fn has_ready(&self, readiness: Readiness) -> bool {
        self.lp.state.sources.readiness(self.token).has(readiness)
    }

    /// Has `waker` woken when the socket becomes ready in a direction, or by `wake_all`.
    pub(super) fn wait(&self, direction: Direction, waker: &Waker) {
        self.lp.state.sources.wait(self.token, direction, waker, self.lp.turn());
    }

    /// What the socket is; `None` for a closed one.
    pub(super) fn kind(&self) -> Option<HandleKind> {
        self.lp.state.sources.with(self.token, |source| source.kind)
    }

    /// Wakes tasks that wait for the socket, to look again.
    pub(super) fn wake_all(&self) {
        self.lp.state.sources.wake_all(self.token);
    }

    /// Puts the socket in line for the next poll phase, as still ready.
    pub(super) fn run_again(&self) {
        self.lp.state.sources.run_again(self.token);
    }
}

/// Defines what every socket offers, on a type whose path `$base` leads to its `Base` and that closes by `close_now`.
macro_rules! socket_methods {
    ([$($params:tt)*] $type:ty, $($base:ident).+, $active:literal) => {
        impl<$($params)*> $type {
            /// The loop this socket belongs to.
            pub fn lp(&self) -> &$crate::state::LoopHandle {
                &self.$($base).+.lp
            }

            /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if
            /// the socket was closed before.
            ///
            /// # Ordering
            /// Close callbacks of one phase run last closed first. Source: SEMANTICS C1.
            pub fn close_with(&self, on_close: impl FnOnce(&$crate::state::LoopHandle) + 'static) -> bool {
                let callback = self.lp().wrap(on_close);
                self.close_now(Some(callback))
            }

            /// True once the socket was closed.
            pub fn is_closed(&self) -> bool {
                self.$($base).+.is_closed()
            }

            #[doc = concat!("Lets ", $active, " keep the loop alive, as it does by default.")]
            pub fn ref_(&self) {
                self.$($base).+.set_referenced(true);
            }

            #[doc = concat!("Lets the loop end in spite of ", $active, ".")]
            pub fn unref(&self) {
                self.$($base).+.set_referenced(false);
            }

            /// Whether it would keep the loop alive while it is active. False for a closed socket.
            pub fn has_ref(&self) -> bool {
                self.$($base).+.is_referenced()
            }

            /// A duplicate of the descriptor, which stays open when this socket is closed.
            ///
            /// # Errors
            /// `NotConnected` if the socket was closed; what the system says if no descriptor is left.
            pub fn try_clone_fd(&self) -> std::io::Result<std::os::fd::OwnedFd> {
                self.$($base).+.with(|fd| fd.try_clone_to_owned())
            }
        }

        /// Lends the descriptor, for socket options that have no method here and for other libraries. Its number stays this
        /// socket's until the last clone is dropped: closing the socket puts a stand-in under it.
        ///
        /// # Panics
        /// `as_fd` panics if the socket was closed before it was ever lent.
        impl<$($params)*> std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.$($base).+.lend_fd()
            }
        }
    };
}

pub(super) use socket_methods;
