//! Sockets that accept connections: one type for every family.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_core::Stream;

use super::base::{Base, socket_methods};
use super::callback_slot::CallbackSlot;
use super::family::{StreamFamily, sealed::Address};
use super::poll_io::Attempt;
use super::stream::ByteStream;
use super::sys::{self, RawAddr};
use super::unix::SocketFile;
use crate::driver::Readiness;
use crate::state::sources::{Direction, Ready, gone};
use crate::state::{Callback, LoopHandle};
use crate::task::waiters::Waiters;

/// How long a listener leaves connections in the backlog after the process ran out of descriptors or memory. Trying at
/// once would spin: the connection that could not be accepted stays ready. So would a socket that somebody has shut down, and a
/// task that goes on after it was told that the socket is closed.
const PAUSE: Duration = Duration::from_millis(50);

/// A socket of one loop that accepts connections; [`TcpListener`](super::TcpListener) and
/// [`UnixListener`](super::UnixListener) are its families.
///
/// Cheap to clone; clones are the same socket, which closes when the last is dropped.
///
/// A listener survives running out of descriptors: the error is reported once, connections wait in the backlog for
/// 50 ms, and then it tries again.
pub struct Listener<K> {
    core: Rc<Core>,
    family: PhantomData<fn() -> K>,
}

/// The socket, whatever its family.
struct Core {
    base: Base,
    on_connection: CallbackSlot<ConnectionCallback>,
    /// Nothing is accepted until a timer says so: descriptors or memory ran out, or the socket listens no more.
    pausing: Cell<bool>,
    /// Tasks that wait for the end of the pause.
    waiting: RefCell<Waiters>,
    /// Somebody began to accept when the socket was closed, and was told.
    told_closed: Cell<bool>,
    /// Nothing is accepted until the user says so.
    held: Cell<bool>,
    /// The name in the file system, to be removed.
    file: Cell<Option<SocketFile>>,
    site: &'static Location<'static>,
}

type ConnectionCallback = dyn FnMut(&Rc<Core>, io::Result<OwnedFd>);
type OnConnection = Box<ConnectionCallback>;

impl<K> Clone for Listener<K> {
    fn clone(&self) -> Self {
        Self::of(&self.core)
    }
}

impl<K> Listener<K> {
    fn of(core: &Rc<Core>) -> Self {
        Self { core: Rc::clone(core), family: PhantomData }
    }
}

impl<K: StreamFamily> Listener<K> {
    /// Takes over a listening socket. It is made non-blocking.
    ///
    /// # Errors
    /// `InvalidInput` if the descriptor is something else than a listener of this family; it is then closed. What the system
    /// says, if it can not be registered.
    #[track_caller]
    pub fn from_fd(lp: &LoopHandle, fd: OwnedFd) -> io::Result<Self> {
        K::check(fd.as_fd(), true)?;
        sys::set_nonblocking(fd.as_fd())?;
        Self::open(lp, fd, None, Location::caller())
    }

    /// Gives the descriptor back, still non-blocking. A name in the file system stays where it is.
    ///
    /// # Errors
    /// The listener itself if it has clones, a callback that the loop holds, or lent its descriptor by `as_fd`; and a closed
    /// one too.
    pub fn into_fd(self) -> Result<OwnedFd, Self> {
        let fd = self.core.base.take_fd(Rc::strong_count(&self.core));
        let Some(fd) = fd else { return Err(self) };
        if let Some(file) = self.core.file.take() {
            file.keep();
        }
        Ok(fd)
    }

    /// Registers a non-blocking socket that listens.
    pub(super) fn open(
        lp: &LoopHandle,
        fd: OwnedFd,
        file: Option<SocketFile>,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let base = Base::open(lp, fd, Readiness::READABLE, Readiness::default(), K::LISTENER, site)?;
        let core = Core {
            base,
            on_connection: CallbackSlot::default(),
            pausing: Cell::new(false),
            waiting: RefCell::default(),
            told_closed: Cell::new(false),
            held: Cell::new(false),
            file: Cell::new(file),
            site,
        };
        Ok(Self::of(&Rc::new(core)))
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// What the system says, and `NotConnected` for a closed socket. After one that says the process or the system is out of
    /// descriptors or memory the next accept waits 50 ms, and so does whoever goes on with a closed socket: a loop that goes on
    /// after errors does not spin.
    ///
    /// # Cancel safety
    /// No connection is lost: one is taken only when the future is done.
    pub async fn accept(&self) -> io::Result<(ByteStream<K>, K::Addr)> {
        if self.is_closed() && self.core.told_closed.replace(true) && !self.lp().is_closed() {
            self.lp().sleep(PAUSE).await;
        }
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`accept`](Self::accept), for use in a `poll` function. With a closed socket it does not wait.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(ByteStream<K>, K::Addr)>> {
        let (fd, peer) = ready!(self.core.poll_accept(cx))?;
        let peer = K::Addr::from_raw(peer)?;
        Poll::Ready(self.adopt(fd).map(|stream| (stream, peer)))
    }

    /// Accepts a connection that waits.
    ///
    /// # Errors
    /// `WouldBlock` if none does; else as [`accept`](Self::accept), and without a pause.
    pub fn try_accept(&self) -> io::Result<(ByteStream<K>, K::Addr)> {
        let (fd, peer) = self.core.base.with(sys::accept)?;
        let peer = K::Addr::from_raw(peer)?;
        Ok((self.adopt(fd)?, peer))
    }

    /// The connections, one after the other, until the socket is closed.
    pub fn incoming(&self) -> Incoming<'_, K> {
        Incoming { listener: self }
    }

    /// Calls `on_connection` with each connection, from the next poll phase on. Replaces the callback there was.
    ///
    /// It keeps the loop alive, and the socket open, until it is closed. Several connections may be accepted in one
    /// poll phase, up to [`Limits::accepts_per_turn`](crate::Limits::accepts_per_turn), each with its own checkpoint.
    /// It runs with the [`ContextKey`](crate::ContextKey) values that are in force now.
    ///
    /// # Errors
    /// `NotConnected` if the socket was closed. The callback is then dropped.
    pub fn on_connection(
        &self,
        mut on_connection: impl FnMut(&Self, io::Result<ByteStream<K>>) + 'static,
    ) -> io::Result<()> {
        let mut call = move |core: &Rc<Core>, accepted: io::Result<OwnedFd>| {
            let listener = Self::of(core);
            let accepted = accepted.and_then(|fd| listener.adopt(fd));
            on_connection(&listener, accepted);
        };
        let on_connection: OnConnection = match self.lp().captured_context() {
            None => Box::new(call),
            context => Box::new(move |core, accepted| {
                core.base.lp.in_context(context.clone(), || call(core, accepted));
            }),
        };
        self.core.start(on_connection)
    }

    /// Listens again, with room for another number of connections that are not accepted yet. Those that wait stay.
    ///
    /// # Errors
    /// `NotConnected` for a closed socket.
    pub fn set_backlog(&self, backlog: i32) -> io::Result<()> {
        self.core.base.with(|fd| sys::listen(fd, backlog))
    }

    /// Accepts nothing until [`accept_resume`](Self::accept_resume): connections wait in the backlog, as many as the system
    /// holds there. Holds for the callback at once, also in the middle of a poll phase, and for futures. The loop stays as
    /// alive as it was.
    pub fn accept_pause(&self) {
        self.core.held.set(true);
    }

    /// Accepts again what [`accept_pause`](Self::accept_pause) held up.
    pub fn accept_resume(&self) {
        if self.core.held.replace(false) {
            self.core.base.wake_all();
            self.core.base.run_again();
        }
    }

    /// The address of the socket, with the port that was chosen.
    pub fn local_addr(&self) -> io::Result<K::Addr> {
        K::Addr::from_raw(self.core.base.with(sys::local_addr)?)
    }

    /// Closes the socket: connections that were not accepted are refused.
    pub fn close(&self) {
        self.close_now(None);
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        self.core.close_now(callback)
    }

    fn adopt(&self, fd: OwnedFd) -> io::Result<ByteStream<K>> {
        ByteStream::open(self.lp(), fd, Readiness::WRITABLE, self.core.site)
    }
}

socket_methods!([K: StreamFamily] Listener<K>, core.base, "a connection callback");

impl Core {
    fn start(self: &Rc<Self>, on_connection: OnConnection) -> io::Result<()> {
        if self.base.is_gone() {
            return Err(gone());
        }
        drop(self.on_connection.start(on_connection));
        self.base.set_active(true);
        self.base.set_target(Some(Rc::clone(self) as Rc<dyn Ready>));
        self.base.run_again();
        Ok(())
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        if self.base.is_closed() {
            return false;
        }
        let _on_connection = self.on_connection.stop(); // dropped at the end, when all else is in order
        drop(self.file.take()); // before the socket, so that nobody finds a name that refuses
        self.base.close();
        self.end_pause();
        self.base.announce_close(callback);
        true
    }

    fn poll_accept(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<(OwnedFd, RawAddr)>> {
        if self.pausing.get() && !self.base.lp.is_closed() {
            self.base.lp.wait_among(&self.waiting, cx.waker());
            return Poll::Pending;
        }
        if self.held.get() && !self.base.is_gone() {
            self.base.wait(Direction::Read, cx.waker());
            return Poll::Pending;
        }
        let accept = |fd: std::os::fd::BorrowedFd<'_>| sys::accept(fd).map(Attempt::Done);
        let accepted = ready!(self.base.poll_op(cx, Direction::Read, accept));
        if accepted.as_ref().is_err_and(sys::is_lasting) {
            self.pause();
        }
        Poll::Ready(accepted)
    }

    /// Accepts and calls back until no connection is left, the callback is gone, or the turn's budget is spent.
    fn accept_ready(self: &Rc<Self>) {
        let lp = &self.base.lp;
        for _ in 0..lp.state.limits.accepts_per_turn.get() {
            let waits = self.pausing.get() || self.held.get() || !self.on_connection.is_on();
            if waits || !self.base.has_ready(Readiness::ANY_READ) {
                return;
            }
            match self.base.with(sys::accept) {
                Ok((fd, _)) => lp.call(|_| self.call_back(Ok(fd))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.base.clear_ready(Readiness::ANY_READ);
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if sys::is_lasting(&error) {
                        self.pause();
                    }
                    // Others may wait behind the connection that failed, and no new event would tell of them.
                    lp.call(|_| self.call_back(Err(error)));
                }
            }
        }
        self.base.run_again();
    }

    /// Leaves connections in the backlog for a while.
    fn pause(self: &Rc<Self>) {
        if self.pausing.replace(true) {
            return;
        }
        let weak = Rc::downgrade(self);
        let timer = self.base.lp.timer(PAUSE, move |_| {
            if let Some(core) = weak.upgrade() {
                core.end_pause();
                core.base.run_again();
            }
        });
        self.base.lp.unref_timer(timer);
    }

    fn end_pause(&self) {
        self.pausing.set(false);
        self.waiting.take().take().for_each(Waker::wake);
    }

    fn call_back(self: &Rc<Self>, accepted: io::Result<OwnedFd>) {
        self.on_connection.call(|on_connection| on_connection(self, accepted));
    }
}

impl Ready for Core {
    fn ready(self: Rc<Self>, _lp: &LoopHandle, _readiness: Readiness) {
        self.accept_ready();
    }

    fn forget(&self) {
        drop(self.on_connection.stop()); // while nothing is borrowed: it may own anything
    }
}

/// The connections of a listener as a [`Stream`]. Made by [`Listener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a, K: StreamFamily> {
    listener: &'a Listener<K>,
}

impl<K: StreamFamily> Stream for Incoming<'_, K> {
    type Item = io::Result<ByteStream<K>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.listener.poll_accept(cx));
        let is_over = accepted.is_err() && self.listener.core.base.is_gone();
        Poll::Ready((!is_over).then_some(accepted.map(|(stream, _)| stream)))
    }
}

impl<K: StreamFamily> fmt::Debug for Listener<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", K::LISTENER);
        f.debug_struct(&name).field("address", &self.local_addr().ok()).finish_non_exhaustive()
    }
}
