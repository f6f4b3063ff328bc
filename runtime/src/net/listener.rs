//! A TCP socket that accepts connections.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use socket2::{Domain, Protocol, Socket, Type};

use super::poll_io::Attempt;
use super::stream::TcpStream;
use super::sys;
use crate::driver::{Readiness, Token};
use crate::handle::sleep::Sleep;
use crate::state::handles::HandleKind;
use crate::state::sources::{Direction, Ready, gone};
use crate::state::{Callback, Closing, LoopHandle};

/// How long a listener leaves connections in the backlog after the process ran out of descriptors or memory. Trying at
/// once would spin: the connection that could not be accepted stays ready.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// How [`TcpListener::bind_with`] binds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Connections that the system holds for us until they are accepted. The system has a limit of its own.
    pub backlog: i32,
    /// Binds to an address that connections of an earlier socket still linger on.
    pub reuse_address: bool,
    /// Shares the port with other sockets that say so too; the system spreads connections over them.
    pub reuse_port: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 1024, reuse_address: true, reuse_port: false }
    }
}

/// A socket of one loop that accepts TCP connections.
///
/// Cheap to clone; clones are the same socket, which closes when the last is dropped.
///
/// A listener survives running out of descriptors: the error is reported once, connections wait in the backlog for
/// 50 ms, and then it tries again.
#[derive(Clone)]
pub struct TcpListener {
    inner: Rc<Inner>,
}

struct Inner {
    lp: LoopHandle,
    token: Token,
    socket: RefCell<Option<std::net::TcpListener>>,
    /// The pause after exhaustion, as the future front waits for it.
    pause: RefCell<Option<Sleep>>,
    on_connection: RefCell<Option<OnConnection>>,
    /// The callback front pauses after exhaustion.
    paused: Cell<bool>,
    starts: Cell<u32>,
    site: &'static Location<'static>,
}

type OnConnection = Box<dyn FnMut(&TcpListener, io::Result<TcpStream>)>;

impl Drop for Inner {
    fn drop(&mut self) {
        self.lp.close_source(self.token);
    }
}

impl TcpListener {
    /// Listens on `address`, with the default options. Port 0 has the system choose one.
    ///
    /// # Errors
    /// What the system says: the address is in use, is not ours, needs a right.
    #[track_caller]
    pub fn bind(lp: &LoopHandle, address: SocketAddr) -> io::Result<Self> {
        Self::bind_with(lp, address, &ListenOptions::default())
    }

    /// Listens on `address`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    #[track_caller]
    pub fn bind_with(lp: &LoopHandle, address: SocketAddr, options: &ListenOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(options.reuse_address)?;
        socket.set_reuse_port(options.reuse_port)?;
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        Self::from_std(lp, socket.into())
    }

    /// Takes over a listening socket of std. It is made non-blocking.
    ///
    /// # Errors
    /// The system's, when the socket can not be registered.
    #[track_caller]
    pub fn from_std(lp: &LoopHandle, socket: std::net::TcpListener) -> io::Result<Self> {
        let site = Location::caller();
        socket.set_nonblocking(true)?;
        let token = lp.open_source(socket.as_raw_fd(), Readiness::READABLE, HandleKind::TcpListener, site)?;
        let inner = Inner {
            lp: lp.clone(),
            token,
            socket: RefCell::new(Some(socket)),
            pause: RefCell::new(None),
            on_connection: RefCell::new(None),
            paused: Cell::new(false),
            starts: Cell::new(0),
            site,
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// The loop this socket belongs to.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.lp
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// What the system says. After one that says the process or the system is out of descriptors or memory, the next
    /// accept waits 50 ms: a loop that goes on after errors does not spin.
    ///
    /// # Cancel safety
    /// No connection is lost: one is taken only when the future is done.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`accept`](Self::accept), for use in a `poll` function.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        ready!(self.poll_pause(cx));
        let lp = &self.inner.lp;
        let accepted = ready!(
            lp.poll_io(cx, self.inner.token, Direction::Read, || { self.accept_now().map(Attempt::Done) })
        );
        if accepted.as_ref().is_err_and(sys::is_exhausted) {
            self.inner.pause.replace(Some(lp.sleep(EXHAUSTED_PAUSE)));
        }
        Poll::Ready(accepted)
    }

    /// The connections, one after the other, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Calls `on_connection` with each connection, from the next poll phase on. Replaces the callback there was.
    ///
    /// It keeps the loop alive, and the socket open, until it is closed. Several connections may be accepted in one
    /// poll phase, up to [`Limits::accepts_per_turn`](crate::Limits::accepts_per_turn), each with its own checkpoint.
    ///
    /// # Errors
    /// `NotConnected` if the socket was closed. The callback is then dropped.
    pub fn on_connection(
        &self,
        on_connection: impl FnMut(&Self, io::Result<TcpStream>) + 'static,
    ) -> io::Result<()> {
        if self.is_closed() || self.inner.lp.is_closed() {
            return Err(gone());
        }
        let inner = &self.inner;
        inner.starts.set(inner.starts.get().wrapping_add(1));
        let old = inner.on_connection.replace(Some(Box::new(on_connection)));
        drop(old);
        inner.lp.update_source(inner.token, |flags| flags.active = true);
        inner.lp.state.sources.set_target(inner.token, Some(Rc::clone(inner) as Rc<dyn Ready>));
        inner.lp.state.sources.run_again(inner.token);
        Ok(())
    }

    /// The address of the socket, with the port that was chosen.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(std::net::TcpListener::local_addr)
    }

    /// A duplicate of the descriptor, for socket options that have no method here.
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.with_socket(|socket| Ok(OwnedFd::from(socket.try_clone()?)))
    }

    /// Closes the socket: connections that were not accepted are refused.
    pub fn close(&self) {
        self.close_now(None);
    }

    /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if the
    /// socket was closed before.
    pub fn close_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> bool {
        let callback = self.inner.lp.wrap(on_close);
        self.close_now(Some(callback))
    }

    /// True once the socket was closed.
    pub fn is_closed(&self) -> bool {
        self.inner.socket.borrow().is_none()
    }

    /// Lets the connection callback keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = true);
    }

    /// Lets the loop end while a connection callback is set.
    pub fn unref(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = false);
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        let inner = &self.inner;
        let Some(socket) = inner.socket.borrow_mut().take() else { return false };
        inner.lp.close_source(inner.token);
        drop(socket);
        let on_connection = inner.on_connection.take();
        drop(on_connection);
        if !inner.lp.state.closed.get() {
            inner.lp.state.alive.hold();
            inner.lp.state.closing.borrow_mut().push(Closing { release: None, callback });
        }
        true
    }

    fn accept_now(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.with_socket(sys::accept)?;
        let stream = TcpStream::open(&self.inner.lp, socket, Readiness::WRITABLE, self.inner.site)?;
        Ok((stream, peer))
    }

    fn with_socket<R>(&self, f: impl FnOnce(&std::net::TcpListener) -> io::Result<R>) -> io::Result<R> {
        self.inner.socket.borrow().as_ref().map_or_else(|| Err(gone()), f)
    }

    /// Waits for the end of the pause after exhaustion.
    fn poll_pause(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pause = self.inner.pause.borrow_mut();
        if let Some(sleep) = &mut *pause {
            ready!(Pin::new(sleep).poll(cx));
        }
        let over = pause.take();
        drop(pause);
        drop(over);
        Poll::Ready(())
    }

    /// Accepts and calls back until no connection is left, the callback is gone, or the turn's budget is spent.
    fn accept_ready(&self) {
        let inner = &self.inner;
        let sources = &inner.lp.state.sources;
        for _ in 0..inner.lp.state.limits.accepts_per_turn.get() {
            let ready = sources.readiness(inner.token).has(Readiness::ANY_READ);
            if !ready || inner.paused.get() || inner.on_connection.borrow().is_none() {
                return;
            }
            match self.accept_now() {
                Ok((stream, _)) => inner.lp.call(|_| self.call_back(Ok(stream))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sources.clear(inner.token, Readiness::ANY_READ);
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if sys::is_exhausted(&error) {
                        self.pause();
                    }
                    // Others may wait behind the connection that failed, and no new event would tell of them.
                    inner.lp.call(|_| self.call_back(Err(error)));
                }
            }
        }
        sources.run_again(inner.token);
    }

    /// Leaves connections in the backlog for a while.
    fn pause(&self) {
        let (lp, weak, token) = (&self.inner.lp, Rc::downgrade(&self.inner), self.inner.token);
        self.inner.paused.set(true);
        let timer = lp.timer(EXHAUSTED_PAUSE, move |lp| {
            if let Some(inner) = weak.upgrade() {
                inner.paused.set(false);
                lp.state.sources.run_again(token);
            }
        });
        lp.unref_timer(timer);
    }

    fn call_back(&self, accepted: io::Result<TcpStream>) {
        let inner = &self.inner;
        let (taken, start) = (inner.on_connection.take(), inner.starts.get());
        let Some(on_connection) = taken else { return };
        let mut restore = PutBack { listener: self, start, on_connection: Some(on_connection) };
        if let Some(on_connection) = &mut restore.on_connection {
            on_connection(self, accepted);
        }
    }
}

/// Puts the callback back after its call, also if it panicked, unless it was replaced or the socket closed in it.
struct PutBack<'a> {
    listener: &'a TcpListener,
    start: u32,
    on_connection: Option<OnConnection>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if !self.listener.is_closed() && self.listener.inner.starts.get() == self.start {
            self.listener.inner.on_connection.replace(self.on_connection.take());
        }
    }
}

impl Ready for Inner {
    fn ready(self: Rc<Self>, _lp: &LoopHandle, _readiness: Readiness) {
        TcpListener { inner: self }.accept_ready();
    }

    fn forget(&self) {
        let on_connection = self.on_connection.take();
        drop(on_connection); // while nothing is borrowed: it may own anything
    }
}

/// The connections of a listener as a [`Stream`]. Made by [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(cx).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("address", &self.local_addr().ok()).finish_non_exhaustive()
    }
}
