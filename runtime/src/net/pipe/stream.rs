//! A stream over a descriptor of any kind, and its futures.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::super::poll_io::Attempt;
use super::callbacks::{Reader, Writes};
use super::sys::{self, Access, Kind};
use crate::driver::{Readiness, Token};
use crate::state::LoopHandle;
use crate::state::handles::HandleKind;
use crate::state::sources::{Direction, gone};

/// A stream of bytes over a pipe, a FIFO, a socket pair, a terminal or a file.
///
/// Cheap to clone; clones are the same stream, which closes when the last is dropped. While a read callback is started, or a
/// write with a callback is queued, the loop holds one too. Futures and callbacks are those of
/// [`TcpStream`](crate::net::TcpStream), by the same names.
///
/// An end that only reads says `EBADF` to a write, and the other way round.
#[derive(Clone)]
pub struct PipeStream {
    pub(super) inner: Rc<Inner>,
}

/// The stream. Its registration ends before its descriptor does.
pub(super) struct Inner {
    pub(super) lp: LoopHandle,
    pub(super) token: Token,
    /// `None` once closed.
    pub(super) fd: RefCell<Option<OwnedFd>>,
    pub(super) kind: Kind,
    pub(super) access: Access,
    pub(super) shut_down: Cell<bool>,
    pub(super) reader: Reader,
    pub(super) writes: RefCell<Writes>,
    /// Is told, once, that nothing more will be read.
    on_read_end: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lp.close_source(self.token);
        self.read_ended();
    }
}

impl Inner {
    pub(super) fn read_ended(&self) {
        if let Some(on_read_end) = self.on_read_end.take() {
            on_read_end();
        }
    }
}

impl PipeStream {
    /// Registers a descriptor, or notes that it is always ready.
    #[track_caller]
    pub(super) fn open(lp: &LoopHandle, fd: OwnedFd, kind: Kind, access: Access) -> io::Result<Self> {
        let (handle, site) = (HandleKind::Pipe, Location::caller());
        let both = Readiness::READABLE.with(Readiness::WRITABLE);
        let registered = match access {
            Access::AlwaysReady => None,
            _ => match lp.open_source(fd.as_raw_fd(), both, handle, site) {
                Err(error) if sys::is_always_ready(&error) => None,
                registered => Some(registered?),
            },
        };
        let (token, access) = match registered {
            Some(token) => (token, access),
            None => (lp.add_source(-1, handle, site)?, Access::AlwaysReady),
        };
        if access == Access::AlwaysReady {
            lp.state.sources.mark(token, both);
        }
        let inner = Inner {
            lp: lp.clone(),
            token,
            fd: RefCell::new(Some(fd)),
            kind,
            access,
            shut_down: Cell::new(false),
            reader: Reader::default(),
            writes: RefCell::default(),
            on_read_end: Cell::new(None),
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Has `f` told, once, when nothing more will be read: at the end, at an error, or when the stream is closed.
    pub(crate) fn on_read_end(&self, f: impl FnOnce() + 'static) {
        self.inner.on_read_end.set(Some(Box::new(f)));
    }

    /// Gives the descriptor back, blocking again if it was made non-blocking.
    ///
    /// # Errors
    /// The stream itself if it has clones, or callbacks that the loop holds, or was closed.
    pub fn into_fd(self) -> Result<OwnedFd, Self> {
        if Rc::strong_count(&self.inner) > 1 {
            return Err(self);
        }
        let Some(fd) = self.inner.fd.take() else { return Err(self) };
        self.inner.lp.close_source(self.inner.token);
        if self.inner.access == Access::NonBlocking {
            // It can only fail for a descriptor that is not open, and this one is.
            let _ = sys::set_nonblocking(&fd, false);
        }
        Ok(fd)
    }

    /// A duplicate of the descriptor.
    ///
    /// # Errors
    /// `NotConnected` for a closed stream, and the system's when no descriptor is left.
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.with_fd(|fd| sys::duplicate(fd))
    }

    /// The loop this stream belongs to.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.lp
    }

    /// Reads what is there into `buf` and gives the number of bytes; zero is the end.
    ///
    /// # Cancel safety
    /// Nothing is lost: bytes are taken only when the future is done.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// Fills `buf`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the stream ends before that.
    ///
    /// # Cancel safety
    /// What was read so far is lost to whoever drops the future.
    pub async fn read_exact(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read(&mut buf[filled..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => filled += len,
            }
        }
        Ok(())
    }

    /// Reads up to the end.
    ///
    /// # Errors
    /// `FileTooLarge` if there are more than `len_max` bytes.
    ///
    /// # Cancel safety
    /// What was read so far is lost to whoever drops the future.
    pub async fn read_to_end(&self, len_max: usize) -> io::Result<Vec<u8>> {
        let (mut bytes, mut buf) = (Vec::new(), [0; 8192]);
        loop {
            let len = self.read(&mut buf).await?;
            if len == 0 {
                return Ok(bytes);
            }
            if bytes.len() + len > len_max {
                let message = format!("more than {len_max} bytes came before the end");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
            }
            bytes.extend_from_slice(&buf[..len]);
        }
    }

    /// Writes some of `buf` and gives the number of bytes.
    ///
    /// # Cancel safety
    /// Nothing was written if the future is dropped before it is done.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, buf)).await
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// `BrokenPipe` if nobody reads any more, `WriteZero` if the system takes nothing more.
    ///
    /// # Cancel safety
    /// An unknown part was written if the future is dropped.
    pub async fn write_all(&self, buf: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < buf.len() {
            match self.write(&buf[written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => written += len,
            }
        }
        Ok(())
    }

    /// Waits until a read would not block, the end of the stream included.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_op(cx, Direction::Read, |_, _| Ok(Attempt::Done(())))).await
    }

    /// Waits until a write would not block.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_op(cx, Direction::Write, |_, _| Ok(Attempt::Done(())))).await
    }

    /// Sends the end: a socket is shut down for writing, a pipe's writing end is closed. For terminals and files it only
    /// ends the writing.
    ///
    /// # Errors
    /// `NotConnected` if it was shut down or closed before.
    pub async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// As [`read`](Self::read), for use in a `poll` function.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let full = buf.len();
        let read = self.poll_op(cx, Direction::Read, |fd, access| {
            sys::read(fd, self.inner.kind, access, buf).map(|len| self.transferred(len, full))
        });
        if let Poll::Ready(Ok(0) | Err(_)) = &read
            && full > 0
        {
            self.inner.read_ended();
        }
        read
    }

    /// As [`write`](Self::write), for use in a `poll` function.
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_flushed(cx));
        if self.inner.shut_down.get() {
            return Poll::Ready(Err(sys::broken_pipe()));
        }
        self.poll_op(cx, Direction::Write, |fd, access| {
            sys::write(fd, access, buf).map(|len| self.transferred(len, buf.len()))
        })
    }

    /// As [`shutdown`](Self::shutdown), for use in a `poll` function.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_flushed(cx));
        if self.is_closed() || self.inner.shut_down.replace(true) {
            return Poll::Ready(Err(gone()));
        }
        Poll::Ready(self.end_writing())
    }

    /// Sends the end, by what the descriptor is.
    pub(super) fn end_writing(&self) -> io::Result<()> {
        match self.inner.kind {
            Kind::Socket => self.with_fd(|fd| sys::shut_down_socket(fd)),
            // A pipe has no other direction: closing is the only way to say that nothing more comes.
            Kind::Pipe => {
                self.inner.lp.close_source(self.inner.token);
                drop(self.inner.fd.take());
                Ok(())
            }
            Kind::Terminal | Kind::Device | Kind::File => Ok(()),
        }
    }

    pub(super) fn with_fd<R>(&self, f: impl FnOnce(&OwnedFd) -> io::Result<R>) -> io::Result<R> {
        self.inner.fd.borrow().as_ref().map_or_else(|| Err(gone()), f)
    }

    /// A transfer of our own pipe that came back short was the last that did not block. A terminal gives a line a read, a socket
    /// may keep messages apart, and what is shared may be limited in other ways: there only an attempt tells.
    fn transferred(&self, len: usize, full: usize) -> Attempt<usize> {
        let tells = self.inner.access == Access::NonBlocking
            && self.inner.kind == Kind::Pipe
            && (1..full).contains(&len);
        if tells { Attempt::Exhausted(len) } else { Attempt::Done(len) }
    }

    fn poll_op<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut attempt: impl FnMut(&OwnedFd, Access) -> io::Result<Attempt<R>>,
    ) -> Poll<io::Result<R>> {
        let inner = &self.inner;
        inner.lp.poll_io(cx, inner.token, direction, || self.with_fd(|fd| attempt(fd, inner.access)))
    }
}

macro_rules! futures_io {
    ($type:ty) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                PipeStream::poll_read(&*self, cx, buf)
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                PipeStream::poll_write(&*self, cx, buf)
            }

            /// Nothing is buffered, so there is nothing to flush.
            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Sends the end. A stream that was shut down before is closed already.
            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match PipeStream::poll_shutdown(&*self, cx) {
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => {
                        Poll::Ready(Ok(()))
                    }
                    polled => polled,
                }
            }
        }
    };
}

futures_io!(PipeStream);
futures_io!(&PipeStream);

impl fmt::Debug for PipeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fd = self.inner.fd.borrow().as_ref().map(AsRawFd::as_raw_fd);
        f.debug_struct("PipeStream").field("kind", &self.inner.kind).field("fd", &fd).finish_non_exhaustive()
    }
}
