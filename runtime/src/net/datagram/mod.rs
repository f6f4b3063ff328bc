//! Datagrams: one type for every family, over one core that knows none of them.
//!
//! `receive` and `send` hold the callback front's two halves, `fronts` is what users type, `undelivered` says who learns of
//! datagrams that did not arrive, `full_peer` when to try again where no event tells.

mod fronts;
mod full_peer;
mod receive;
mod send;
mod sys;
mod undelivered;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::Location;
use std::rc::Rc;

use crate::driver::Readiness;
use crate::net::base::{Base, socket_methods};
use crate::net::family::{DatagramFamily, sealed::Address};
use crate::net::sys as net_sys;
use crate::state::sources::Ready;
use crate::state::{Callback, LoopHandle};

pub use receive::{Datagram, ReceiveEvent, Received};
pub use undelivered::{Undelivered, UndeliveredTo};

use receive::Receiver;
use send::Sends;

/// A socket of datagrams of one loop; [`UdpSocket`](super::UdpSocket) and [`UnixDatagram`](super::UnixDatagram) are its families.
///
/// Cheap to clone; clones are the same socket, which closes when the last is dropped. While receiving is started, or a datagram
/// is queued, the loop holds one too. Callbacks run with the [`ContextKey`](crate::ContextKey) values that were in force where
/// they were given.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, net::UdpSocket};
/// let lp = EventLoop::new()?;
/// let received = lp.block_on(async {
///     let a = UdpSocket::bind(&lp, "127.0.0.1:0".parse().expect("an address"))?;
///     let b = UdpSocket::bind(&lp, "127.0.0.1:0".parse().expect("an address"))?;
///     a.send_to(b"hello", &b.local_addr()?).await?;
///     let mut buf = [0; 16];
///     let received = b.recv_from(&mut buf).await?;
///     assert_eq!(received.from, a.local_addr()?);
///     Ok::<_, std::io::Error>(buf[..received.len].to_vec())
/// })??;
/// assert_eq!(received, b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct DatagramSocket<K> {
    core: Rc<Core>,
    family: PhantomData<fn() -> K>,
}

/// The socket, whatever its family.
pub(super) struct Core {
    pub(super) base: Base,
    receiver: Receiver,
    sends: RefCell<Option<Box<Sends>>>,
    undelivered_to: Cell<UndeliveredTo>,
    /// Errors for the side that did not meet them, at most `undelivered::KEPT_MAX`.
    undelivered: RefCell<VecDeque<io::Error>>,
    /// The peer of the first one queued was full, and nothing that is queued is sent for a while.
    stalled: Cell<bool>,
    /// The kernel may join datagrams, and says so.
    joins: Cell<bool>,
    /// The name in the file system, to be removed.
    file: Cell<Option<super::unix::SocketFile>>,
}

impl<K> Clone for DatagramSocket<K> {
    fn clone(&self) -> Self {
        Self::of(&self.core)
    }
}

impl<K> DatagramSocket<K> {
    fn of(core: &Rc<Core>) -> Self {
        Self { core: Rc::clone(core), family: PhantomData }
    }
}

impl<K: DatagramFamily> DatagramSocket<K> {
    /// Takes over a socket. It is made non-blocking.
    ///
    /// # Errors
    /// `InvalidInput` if the descriptor is something else than a socket of this family; it is then closed. What the system
    /// says, if it can not be registered.
    #[track_caller]
    pub fn from_fd(lp: &LoopHandle, fd: OwnedFd) -> io::Result<Self> {
        K::check(fd.as_fd())?;
        net_sys::set_nonblocking(fd.as_fd())?;
        Self::open(lp, fd, None, Location::caller())
    }

    /// Gives the descriptor back, still non-blocking.
    ///
    /// # Errors
    /// The socket itself if it has clones, callbacks that the loop holds, or lent its descriptor by `as_fd`; and a closed one
    /// too.
    pub fn into_fd(self) -> Result<OwnedFd, Self> {
        let fd = self.core.base.take_fd(Rc::strong_count(&self.core));
        let Some(fd) = fd else { return Err(self) };
        if let Some(file) = self.core.file.take() {
            file.keep();
        }
        Ok(fd)
    }

    pub(super) fn open(
        lp: &LoopHandle,
        fd: OwnedFd,
        file: Option<super::unix::SocketFile>,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let interest = Readiness::READABLE.with(Readiness::WRITABLE);
        let core = Core {
            base: Base::open(lp, fd, interest, Readiness::WRITABLE, K::SOCKET, site)?,
            receiver: Receiver::default(),
            sends: RefCell::new(None),
            undelivered_to: Cell::default(),
            undelivered: RefCell::default(),
            stalled: Cell::new(false),
            joins: Cell::new(false),
            file: Cell::new(file),
        };
        Ok(Self::of(&Rc::new(core)))
    }

    /// The core, for options of one family.
    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// The address of this socket, with the port that was chosen.
    pub fn local_addr(&self) -> io::Result<K::Addr> {
        K::Addr::from_raw(self.core.base.with(net_sys::local_addr)?)
    }

    /// The address that this socket is connected to.
    ///
    /// # Errors
    /// `NotConnected` if it is not, or was closed.
    pub fn peer_addr(&self) -> io::Result<K::Addr> {
        K::Addr::from_raw(self.core.base.with(net_sys::peer_addr)?)
    }

    /// Sends to `addr` what is sent without an address, and receives from there only. A socket may be connected again.
    ///
    /// # Errors
    /// What the system says. Nobody needs to be there, except for a Unix socket.
    pub fn connect(&self, addr: &K::Addr) -> io::Result<()> {
        let raw = addr.to_raw()?;
        self.core.base.with(|fd| net_sys::connect(fd, &raw))
    }

    /// Receives from everybody again.
    pub fn disconnect(&self) -> io::Result<()> {
        self.core.base.with(net_sys::disconnect)
    }

    /// The error that the socket holds, which this takes away.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.core.base.with(net_sys::take_error)
    }

    /// Closes the socket. What is queued is not sent: its callbacks get `ECANCELED`.
    pub fn close(&self) {
        self.close_now(None);
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        self.core.close_now(callback)
    }
}

socket_methods!([K: DatagramFamily] DatagramSocket<K>, core.base, "started receiving");

impl Core {
    fn close_now(self: &Rc<Self>, callback: Option<Callback>) -> bool {
        if self.base.is_closed() {
            return false;
        }
        drop(self.file.take());
        let sends = self.sends.take();
        let _on_receive = self.receiver.stop(); // dropped at the end, when all else is in order
        self.base.close();
        if let Some(sends) = sends {
            self.cancel_sends(*sends);
        }
        self.base.announce_close(callback);
        true
    }

    /// Has the loop hold the socket, and count it, as far as the callback front has something under way.
    fn follow(self: &Rc<Self>) {
        let receiving = self.receiver.is_on();
        self.base.set_active(receiving);
        let busy = receiving || self.has_queued();
        self.base.set_target(busy.then(|| Rc::clone(self) as Rc<dyn Ready>));
    }
}

impl Ready for Core {
    fn ready(self: Rc<Self>, lp: &LoopHandle, _readiness: Readiness) {
        self.receive_ready();
        if self.has_queued() && !self.is_stalled() && self.base.has_ready(Readiness::ANY_WRITE) {
            lp.call(|_| self.flush()); // it may wake a task
        }
    }

    fn forget(&self) {
        drop((self.receiver.stop(), self.sends.take())); // while nothing is borrowed: they may own anything
    }
}

impl<K: DatagramFamily> fmt::Debug for DatagramSocket<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", K::SOCKET);
        f.debug_struct(&name).field("address", &self.local_addr().ok()).finish_non_exhaustive()
    }
}
