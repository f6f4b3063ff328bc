//! Streams of bytes: one type for every family, over one core that knows none of them.
//!
//! `core` holds the connection and what futures poll, `callbacks` reads for callbacks, `writes` is the queue of writes,
//! `fronts` is what users type, `copy` joins two streams, `split` and `traits` are the shapes that other libraries ask for.

mod callbacks;
mod connecting;
mod copy;
mod core;
mod fronts;
mod split;
mod traits;
mod writes;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::Location;
use std::rc::Rc;

use crate::driver::Readiness;
use crate::net::base::socket_methods;
use crate::net::family::{StreamFamily, sealed::Address};
use crate::net::sys;
use crate::state::{Callback, LoopHandle};

pub use callbacks::{Passed, ReadEvent};
pub use connecting::Connecting;
pub use copy::{Copied, CopyFailed, copy_bidirectional};
pub(super) use core::Core;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};

/// A connection of one loop; [`TcpStream`](super::TcpStream) and [`UnixStream`](super::UnixStream) are its families.
///
/// Cheap to clone; clones are the same connection, which closes when the last is dropped. While a read callback is
/// started, or a write is queued, the loop holds one too.
///
/// Its futures are [futures-io](futures_io)'s traits and the methods here; its callbacks are
/// [`read_start`](Self::read_start) and [`queue_write`](Self::queue_write). Futures do not keep the loop alive (the task that awaits
/// them does); a started read callback does. Callbacks run with the [`ContextKey`](crate::ContextKey) values that were in
/// force where they were given.
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
pub struct ByteStream<K> {
    pub(super) core: Rc<Core>,
    family: PhantomData<fn() -> K>,
}

impl<K> Clone for ByteStream<K> {
    #[inline]
    fn clone(&self) -> Self {
        Self::of(&self.core)
    }
}

impl<K> ByteStream<K> {
    /// The same connection, as users hold it.
    #[inline]
    pub(super) fn of(core: &Rc<Core>) -> Self {
        Self { core: Rc::clone(core), family: PhantomData }
    }
}

impl<K: StreamFamily> ByteStream<K> {
    /// Takes over a connected socket. It is made non-blocking.
    ///
    /// # Errors
    /// `InvalidInput` if the descriptor is something else than a stream of this family; it is then closed. What the system
    /// says, if it can not be registered.
    #[track_caller]
    pub fn from_fd(lp: &LoopHandle, fd: OwnedFd) -> io::Result<Self> {
        K::check(fd.as_fd(), false)?;
        sys::set_nonblocking(fd.as_fd())?;
        Self::open(lp, fd, Readiness::WRITABLE, Location::caller())
    }

    /// Gives the descriptor back, still non-blocking.
    ///
    /// # Errors
    /// The stream itself if it has clones, callbacks that the loop holds, or lent its descriptor by `as_fd`; and a closed
    /// stream too.
    pub fn into_fd(self) -> Result<OwnedFd, Self> {
        let fd = self.core.base.take_fd(Rc::strong_count(&self.core));
        fd.ok_or(self)
    }

    /// Registers a non-blocking socket. `ready` is what is known of it: a fresh connection can be written to.
    pub(super) fn open(
        lp: &LoopHandle,
        fd: OwnedFd,
        ready: Readiness,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        Ok(Self::of(&Core::open(lp, fd, ready, K::STREAM, site)?))
    }

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<K::Addr> {
        K::Addr::from_raw(self.core.base.with(sys::local_addr)?)
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> io::Result<K::Addr> {
        K::Addr::from_raw(self.core.base.with(sys::peer_addr)?)
    }

    /// The error that the socket holds, which this takes away.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.core.base.with(sys::take_error)
    }

    /// Closes the connection. What is queued is not written: its callbacks get `ECANCELED`.
    pub fn close(&self) {
        self.close_now(None);
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        self.core.close_now(callback)
    }
}

socket_methods!([K: StreamFamily] ByteStream<K>, core.base, "a started read callback");

impl<K: StreamFamily> fmt::Debug for ByteStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer_addr().ok();
        f.debug_struct(&format!("{:?}", K::STREAM)).field("peer", &peer).finish_non_exhaustive()
    }
}
