//! Datagrams that did not arrive, where the network said so: who is told.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use super::Core;
use super::sys::{self, Noted};
use crate::driver::Readiness;

/// Errors that wait for the side that is to be told; beyond them the oldest are forgotten, since they are hints.
const KEPT_MAX: usize = 64;

/// What is taken of the system's notes at a time: more than its queue holds.
const TAKEN_MAX: usize = 4096;

/// Who learns that a datagram did not arrive: that nobody listens at the port, that the host can not be reached, that the way
/// is too narrow. The network says so by ICMP, if at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UndeliveredTo {
    /// As the system has it: on a connected socket the next call, whichever it is; on others nobody.
    #[default]
    NextCall,
    /// Whoever receives, also on a socket that is not connected.
    Receiver,
    /// Whoever sends next, also on a socket that is not connected. The call that is told sends nothing itself.
    Sender,
}

/// A datagram that did not arrive. It is inside the `io::Error`, from where `get_ref` and `downcast_ref` bring it out, if the
/// socket was told who is to learn of it ([`UdpSocket::report_undelivered`](crate::net::UdpSocket::report_undelivered)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Where it was sent to.
    pub to: Option<SocketAddr>,
    /// The system's code of the error.
    pub code: i32,
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.code);
        match self.to {
            Some(to) => write!(f, "a datagram to {to} was not delivered: {error}"),
            None => write!(f, "a datagram was not delivered: {error}"),
        }
    }
}

impl Error for Undelivered {}

impl From<Undelivered> for io::Error {
    fn from(undelivered: Undelivered) -> Self {
        Self::new(Self::from_raw_os_error(undelivered.code).kind(), undelivered)
    }
}

/// True if it is about a datagram of before, and not about the call that met it.
fn is_late(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::ConnectionReset
    )
}

impl Core {
    /// Receives by `attempt`, unless an error waits for the receiver. Errors that the sender is to have are put aside.
    pub(super) fn receive_told<R>(
        &self,
        fd: BorrowedFd<'_>,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let to = self.undelivered_to.get();
        if to == UndeliveredTo::NextCall {
            return attempt(fd);
        }
        loop {
            if to == UndeliveredTo::Receiver
                && let Some(error) = self.undelivered.borrow_mut().pop_front()
            {
                return Err(error);
            }
            match attempt(fd) {
                // Nothing came: perhaps only errors did, which make a socket readable too.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.take_undelivered(fd)? || to == UndeliveredTo::Sender {
                        return Err(error);
                    }
                }
                // The queue says it again, with the address.
                Err(error) if is_late(&error) => {
                    self.take_undelivered(fd)?;
                }
                done => return done,
            }
        }
    }

    /// Sends by `attempt`, unless an error waits for the sender. Errors that the receiver is to have are put aside.
    pub(super) fn send_told<R>(
        &self,
        fd: BorrowedFd<'_>,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let to = self.undelivered_to.get();
        if to == UndeliveredTo::NextCall {
            return attempt(fd);
        }
        if to == UndeliveredTo::Sender {
            self.take_undelivered(fd)?;
            if let Some(error) = self.undelivered.borrow_mut().pop_front() {
                return Err(error);
            }
        }
        for _ in 0..KEPT_MAX {
            match attempt(fd) {
                Err(error) if is_late(&error) => {
                    let found = self.take_undelivered(fd)?;
                    if to == UndeliveredTo::Sender {
                        let kept = self.undelivered.borrow_mut().pop_front();
                        return Err(kept.unwrap_or(error));
                    }
                    if found {
                        // The receiver has something to hear. Poll wakes it: here the socket is in use.
                        self.base.lp.state.sources.mark(self.base.token, Readiness::READABLE);
                        self.base.run_again();
                    }
                }
                done => return done,
            }
        }
        attempt(fd)
    }

    pub(in crate::net) fn set_undelivered_to(&self, to: UndeliveredTo) {
        self.undelivered_to.set(to);
        self.undelivered.borrow_mut().clear();
    }

    /// Takes over what the system noted of the network's errors. True if there was something.
    fn take_undelivered(&self, fd: BorrowedFd<'_>) -> io::Result<bool> {
        let mut any = false;
        for _ in 0..TAKEN_MAX {
            let Some(Noted { code, to, by_network }) = sys::take_undelivered(fd)? else { break };
            if !by_network {
                continue;
            }
            any = true;
            let to = to.and_then(|to| SocketAddr::try_from(to).ok());
            let mut kept = self.undelivered.borrow_mut();
            if kept.len() == KEPT_MAX {
                kept.pop_front();
            }
            kept.push_back(Undelivered { to, code }.into());
        }
        Ok(any)
    }
}
