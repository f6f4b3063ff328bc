//! What is under every stream, whatever its family: one connection, polled by futures and told of by callbacks.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::callbacks::{Passed, ReadCallback};
use super::writes::Writes;
use crate::driver::Readiness;
use crate::net::base::Base;
use crate::net::callback_slot::CallbackSlot;
use crate::net::poll_io::Attempt;
use crate::net::sys;
use crate::net::unix::sys as rights;
use crate::state::LoopHandle;
use crate::state::handles::HandleKind;
use crate::state::sources::{Direction, gone};

/// A connection. Its types differ only in their names, addresses and options, so this knows none of them.
pub(in crate::net) struct Core {
    pub(in crate::net) base: Base,
    /// The end of the stream was sent, or is due once the queue is written.
    pub(super) shut_down: Cell<bool>,
    /// A Unix socket: a read stops at a message with descriptors.
    stops_at_descriptors: bool,
    /// Descriptors that are passed to the read callback are taken, and not left to the system to close.
    pub(super) takes_descriptors: Cell<bool>,
    /// The callback front: who reads, and what waits to be written. A box for the latter, which most never need.
    pub(super) on_read: CallbackSlot<ReadCallback>,
    pub(super) writes: RefCell<Option<Box<Writes>>>,
}

impl Core {
    /// Registers a non-blocking socket. `ready` is what is known of it: a fresh connection can be written to.
    pub(in crate::net) fn open(
        lp: &LoopHandle,
        fd: OwnedFd,
        ready: Readiness,
        kind: HandleKind,
        site: &'static Location<'static>,
    ) -> io::Result<Rc<Self>> {
        let interest = Readiness::READABLE.with(Readiness::WRITABLE);
        Ok(Rc::new(Self {
            base: Base::open(lp, fd, interest, ready, kind, site)?,
            stops_at_descriptors: kind == HandleKind::UnixStream,
            shut_down: Cell::new(false),
            takes_descriptors: Cell::new(false),
            on_read: CallbackSlot::default(),
            writes: RefCell::new(None),
        }))
    }

    #[inline]
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.base
            .poll_op(cx, Direction::Read, |fd| self.read(fd, buf).map(|(len, full)| transferred(len, full)))
    }

    pub(super) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let full = self.read_full(bufs.iter().take(sys::BUFFERS_MAX).map(|buf| buf.len()).sum());
        self.base
            .poll_op(cx, Direction::Read, |fd| sys::read_vectored(fd, bufs).map(|len| transferred(len, full)))
    }

    pub(super) fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.base.poll_op(cx, Direction::Read, |fd| sys::peek(fd, buf).map(Attempt::Done))
    }

    #[inline]
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flushed(cx));
        self.base
            .poll_op(cx, Direction::Write, |fd| sys::write(fd, buf).map(|len| transferred(len, buf.len())))
    }

    pub(super) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flushed(cx));
        let full = bufs.iter().take(sys::BUFFERS_MAX).map(|buf| buf.len()).sum();
        self.base.poll_op(cx, Direction::Write, |fd| {
            sys::write_vectored(fd, bufs).map(|len| transferred(len, full))
        })
    }

    /// As `poll_write`, with descriptors that go with the first byte.
    pub(in crate::net) fn poll_write_passing(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_descriptors(buf.len(), descriptors.len())?;
        ready!(self.poll_flushed(cx));
        self.base.poll_op(cx, Direction::Write, |fd| {
            rights::send(fd, buf, descriptors).map(|len| transferred(len, buf.len()))
        })
    }

    /// As `poll_read`, and takes the descriptors that were passed.
    pub(in crate::net) fn poll_read_passed(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, Passed)>> {
        let limit = self.base.lp.state.limits.descriptors_per_message;
        // A read that took descriptors stops at their message, so that a short one tells nothing.
        self.base.poll_op(cx, Direction::Read, |fd| {
            let (len, descriptors, truncated) = rights::receive(fd, buf, limit)?;
            Ok(Attempt::Done((len, Passed { descriptors, truncated })))
        })
    }

    /// Refuses what can not be passed.
    pub(super) fn check_descriptors(&self, len: usize, count: usize) -> io::Result<()> {
        let limit = self.base.lp.state.limits.descriptors_per_message.min(rights::DESCRIPTORS_MAX);
        let problem = match (len, count) {
            (0, _) => format!("{count} descriptors need a byte that carries them, and there is none"),
            _ if count > limit => {
                format!("{count} descriptors are too many for one message: the limit is {limit}")
            }
            _ => return Ok(()),
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
    }

    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flushed(cx));
        if self.shut_down.replace(true) {
            return Poll::Ready(Err(gone()));
        }
        Poll::Ready(self.base.with(sys::shutdown_write))
    }

    /// Has the close that follows reset the connection.
    pub(in crate::net) fn prepare_reset(&self) -> io::Result<()> {
        if !self.base.is_closed() && self.shut_down.get() {
            let problem = "the stream was shut down, so its end can not be a reset any more";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        self.base.with(sys::reset_on_close)
    }

    pub(super) fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        self.base.poll_op(cx, direction, |_| Ok(Attempt::Done(())))
    }

    /// Waits for the end of a connect that was begun.
    pub(in crate::net) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.base.poll_op(cx, Direction::Write, |fd| {
            if let Some(error) = sys::take_error(fd)? {
                return Err(error);
            }
            match sys::peer_addr(fd) {
                Ok(_) => Ok(Attempt::Done(())),
                // Woken for nothing: the connect is still under way.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Err(error) => Err(error),
            }
        })
    }

    /// Reads what is there, without waiting. What a short read says of the source is noted.
    pub(super) fn read_now<R>(
        &self,
        full: usize,
        len_of: impl FnOnce(&R) -> usize,
        read: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        if self.base.is_gone() {
            return Err(gone());
        }
        let result = self.base.with(read);
        self.may_read_more(result.as_ref().map(len_of), self.read_full(full));
        result
    }

    /// Reads, and says below which length that tells that nothing is left. A read of a Unix socket also stops at a message with
    /// descriptors, whoever takes them.
    #[inline]
    pub(super) fn read(&self, fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, usize)> {
        let len = buf.len();
        if !self.stops_at_descriptors {
            return sys::read(fd, buf).map(|read| (read, len));
        }
        rights::read(fd, buf).map(|(read, stopped)| (read, if stopped { 0 } else { len }))
    }

    /// As `read` says it of a call that does not tell where it stopped.
    #[inline]
    fn read_full(&self, len: usize) -> usize {
        if self.stops_at_descriptors { 0 } else { len }
    }

    /// Notes what a read says of the source: whether the next one may find something too.
    pub(super) fn may_read_more(&self, result: Result<usize, &io::Error>, full: usize) -> bool {
        let (sources, token) = (&self.base.lp.state.sources, self.base.token);
        let left = match result {
            Ok(len) if (1..full).contains(&len) => sources.exhaust(token, Readiness::READABLE),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sources.clear(token, Readiness::ANY_READ)
            }
            _ => return true, // the end of the stream stays, and an error is for the next read to confirm
        };
        left.has(Readiness::ANY_READ)
    }
}

/// A transfer that came back short was the last that did not block: new data brings a new event. The end of the stream
/// is no such transfer; it stays ready.
pub(in crate::net) fn transferred(len: usize, full: usize) -> Attempt<usize> {
    if len < full { Attempt::Exhausted(len) } else { Attempt::Done(len) }
}
