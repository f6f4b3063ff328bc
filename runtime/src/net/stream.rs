//! A TCP connection.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};

use super::callbacks::{Reader, Writes};
use super::poll_io::Attempt;
use super::sys;
use crate::driver::{Readiness, Token};
use crate::state::LoopHandle;
use crate::state::handles::HandleKind;
use crate::state::sources::{Direction, gone};

/// A TCP connection of one loop.
///
/// Cheap to clone; clones are the same connection, which closes when the last is dropped. While a read callback is
/// started, or a write with a callback is queued, the loop holds one too.
///
/// Its futures are [futures-io](futures_io)'s traits and the methods here; its callbacks are
/// [`read_start`](Self::read_start) and [`queue_write`](Self::queue_write). Futures do not keep the loop alive (the task that awaits
/// them does); a started read callback does.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, net::{TcpListener, TcpStream}};
/// let lp = EventLoop::new()?;
/// let answer = lp.block_on(async {
///     let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().expect("an address"))?;
///     let address = listener.local_addr()?;
///     lp.spawn(async move {
///         let (stream, _) = listener.accept().await?;
///         stream.write_all(b"hello").await
///     });
///     let stream = TcpStream::connect(&lp, address).await?;
///     let mut buf = [0; 5];
///     stream.read_exact(&mut buf).await?;
///     Ok::<_, std::io::Error>(buf)
/// })??;
/// assert_eq!(&answer, b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct TcpStream {
    pub(super) inner: Rc<Inner>,
}

/// The connection. Its registration ends before its descriptor does.
pub(super) struct Inner {
    pub(super) lp: LoopHandle,
    pub(super) token: Token,
    /// `None` once closed.
    pub(super) socket: RefCell<Option<std::net::TcpStream>>,
    /// The end of the stream was sent, or is due once the queue is written.
    pub(super) shut_down: Cell<bool>,
    /// The callback front: who reads, and what waits to be written. A box for the latter, which most never need.
    pub(super) reader: Reader,
    pub(super) writes: RefCell<Option<Box<Writes>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lp.close_source(self.token);
    }
}

impl TcpStream {
    /// Connects to `address`.
    ///
    /// # Errors
    /// What the system says: refused, unreachable, timed out, no descriptor left.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    #[track_caller]
    pub fn connect(lp: &LoopHandle, address: SocketAddr) -> impl Future<Output = io::Result<Self>> + use<> {
        let begun = Self::begin_connect(lp, address, Location::caller());
        async move {
            let stream = begun?;
            poll_fn(|cx| stream.poll_connected(cx)).await?;
            Ok(stream)
        }
    }

    /// Begins to connect. An error of the address is reported by the connect itself.
    pub(super) fn begin_connect(
        lp: &LoopHandle,
        address: SocketAddr,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(error) if !sys::is_in_progress(&error) => return Err(error),
            _ => {}
        }
        Self::open(lp, socket.into(), Readiness::default(), site)
    }

    /// Takes over a connected socket of std. It is made non-blocking.
    ///
    /// # Errors
    /// The system's, when the socket can not be registered.
    #[track_caller]
    pub fn from_std(lp: &LoopHandle, socket: std::net::TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::open(lp, socket, Readiness::WRITABLE, Location::caller())
    }

    /// Gives the socket back, still non-blocking.
    ///
    /// # Errors
    /// The stream itself if it has clones, or callbacks that the loop holds; `Err` with a closed stream too.
    pub fn into_std(self) -> Result<std::net::TcpStream, Self> {
        if Rc::strong_count(&self.inner) > 1 || self.inner.socket.borrow().is_none() {
            return Err(self);
        }
        self.inner.lp.close_source(self.inner.token);
        let socket = self.inner.socket.borrow_mut().take();
        socket.ok_or(self)
    }

    /// Registers a non-blocking socket. `ready` is what is known of it: a fresh connection can be written to.
    pub(super) fn open(
        lp: &LoopHandle,
        socket: std::net::TcpStream,
        ready: Readiness,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let interest = Readiness::READABLE.with(Readiness::WRITABLE);
        let token = lp.open_source(socket.as_raw_fd(), interest, HandleKind::TcpStream, site)?;
        lp.state.sources.mark(token, ready);
        let inner = Inner {
            lp: lp.clone(),
            token,
            socket: RefCell::new(Some(socket)),
            shut_down: Cell::new(false),
            reader: Reader::default(),
            writes: RefCell::new(None),
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// The loop this connection belongs to.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.lp
    }

    /// Reads what is there into `buf` and gives the number of bytes; zero is the end of the stream.
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
    /// `WriteZero` if the system takes nothing more.
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

    /// Looks at what is there without taking it.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_op(cx, Direction::Read, |socket| socket.peek(buf).map(Attempt::Done))).await
    }

    /// Waits until a read would not block, the end of the stream included.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_op(cx, Direction::Read, |_| Ok(Attempt::Done(())))).await
    }

    /// Waits until a write would not block.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_op(cx, Direction::Write, |_| Ok(Attempt::Done(())))).await
    }

    /// Sends the end of the stream; what the peer still sends can be read.
    ///
    /// # Errors
    /// `NotConnected` if it was shut down or closed before.
    pub async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// As [`read`](Self::read), for use in a `poll` function.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let full = buf.len();
        self.poll_op(cx, Direction::Read, |mut socket| socket.read(buf).map(|len| transferred(len, full)))
    }

    /// As [`poll_read`](Self::poll_read), into several buffers.
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let full = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_op(cx, Direction::Read, |mut socket| {
            socket.read_vectored(bufs).map(|len| transferred(len, full))
        })
    }

    /// As [`write`](Self::write), for use in a `poll` function.
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_flushed(cx));
        self.poll_op(cx, Direction::Write, |mut socket| {
            socket.write(buf).map(|len| transferred(len, buf.len()))
        })
    }

    /// As [`poll_write`](Self::poll_write), from several buffers in one system call.
    pub fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_flushed(cx));
        let full = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_op(cx, Direction::Write, |mut socket| {
            socket.write_vectored(bufs).map(|len| transferred(len, full))
        })
    }

    /// As [`shutdown`](Self::shutdown), for use in a `poll` function.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_flushed(cx));
        if self.inner.shut_down.replace(true) {
            return Poll::Ready(Err(gone()));
        }
        Poll::Ready(self.with_socket(|socket| socket.shutdown(Shutdown::Write)))
    }

    /// Waits for the end of a connect that was begun.
    pub(super) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_op(cx, Direction::Write, |socket| {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            match socket.peer_addr() {
                Ok(_) => Ok(Attempt::Done(())),
                // Woken for nothing: the connect is still under way.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Err(error) => Err(error),
            }
        })
    }

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(std::net::TcpStream::local_addr)
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(std::net::TcpStream::peer_addr)
    }

    /// Sends small writes at once (`true`) or gathers them.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.with_socket(|socket| socket.set_nodelay(nodelay))
    }

    /// True if small writes are sent at once.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.with_socket(std::net::TcpStream::nodelay)
    }

    /// The error that the socket holds, which this takes away.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with_socket(std::net::TcpStream::take_error)
    }

    /// A duplicate of the descriptor, for socket options that have no method here.
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.with_socket(|socket| Ok(OwnedFd::from(socket.try_clone()?)))
    }

    pub(super) fn with_socket<R>(
        &self,
        f: impl FnOnce(&std::net::TcpStream) -> io::Result<R>,
    ) -> io::Result<R> {
        self.inner.socket.borrow().as_ref().map_or_else(|| Err(gone()), f)
    }

    fn poll_op<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut attempt: impl FnMut(&std::net::TcpStream) -> io::Result<Attempt<R>>,
    ) -> Poll<io::Result<R>> {
        let attempt = || self.with_socket(&mut attempt);
        self.inner.lp.poll_io(cx, self.inner.token, direction, attempt)
    }
}

/// A transfer that came back short was the last that did not block: new data brings a new event. The end of the stream
/// is no such transfer; it stays ready.
pub(super) fn transferred(len: usize, full: usize) -> Attempt<usize> {
    if len < full { Attempt::Exhausted(len) } else { Attempt::Done(len) }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer_addr().ok();
        f.debug_struct("TcpStream").field("peer", &peer).finish_non_exhaustive()
    }
}
