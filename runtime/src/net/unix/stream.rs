//! Connecting by a name, who the peer is, and descriptors that are passed.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::Location;

use super::address::UnixAddr;
use super::sys as unix_sys;
use crate::driver::Readiness;
use crate::net::family::{Unix, sealed::Address};
use crate::net::stream::{ByteStream, Connecting, Passed, ReadEvent};
use crate::net::sys;
use crate::state::LoopHandle;

/// Who a peer is, as the system saw it when it connected or listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixCredentials {
    /// Its process, unless that is one which this process can not see.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl ByteStream<Unix> {
    /// Connects to `addr`. The system does that at once or not at all.
    ///
    /// # Errors
    /// What the system says: `NotFound` and `ConnectionRefused` if nobody listens. `WouldBlock` if the listener's backlog is full;
    /// no event tells when it is not, so try again later. `InvalidInput` if the name is too long.
    #[track_caller]
    pub fn connect<A: Into<UnixAddr>>(
        lp: &LoopHandle,
        addr: A,
    ) -> impl Future<Output = io::Result<Self>> + use<A> {
        std::future::ready(Self::connect_now(lp, &addr.into(), Location::caller()))
    }

    /// Connects to `addr` and then calls back, once: with the stream, with an error, or with `ECANCELED` if
    /// [`Connecting::close`] came first. It keeps the loop alive until then.
    ///
    /// # Ordering
    /// The callback runs in the pending phase, never inside this call, also when the connect fails at once.
    #[track_caller]
    pub fn connect_with(
        lp: &LoopHandle,
        addr: impl Into<UnixAddr>,
        on_connected: impl FnOnce(&LoopHandle, io::Result<Self>) + 'static,
    ) -> Connecting<Unix> {
        let site = Location::caller();
        let connected = Self::connect_now(lp, &addr.into(), site);
        Self::connect_and_call(lp, std::future::ready(connected), on_connected, site)
    }

    fn connect_now(lp: &LoopHandle, addr: &UnixAddr, site: &'static Location<'static>) -> io::Result<Self> {
        let fd = sys::open_unix_stream()?;
        sys::connect(fd.as_fd(), &addr.to_raw()?).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                io::Error::new(error.kind(), format!("the backlog of {addr} is full"))
            }
            _ => error,
        })?;
        Self::open(lp, fd, Readiness::WRITABLE, site)
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    /// What the system says when no descriptor is left.
    #[track_caller]
    pub fn pair(lp: &LoopHandle) -> io::Result<(Self, Self)> {
        let (a, b) = sys::unix_stream_pair()?;
        let site = Location::caller();
        Ok((Self::open(lp, a, Readiness::WRITABLE, site)?, Self::open(lp, b, Readiness::WRITABLE, site)?))
    }

    /// Takes over a connected socket of std. It is made non-blocking.
    ///
    /// # Errors
    /// As [`from_fd`](Self::from_fd).
    #[track_caller]
    pub fn from_std(lp: &LoopHandle, socket: std::os::unix::net::UnixStream) -> io::Result<Self> {
        Self::from_fd(lp, socket.into())
    }

    /// Gives the socket back, still non-blocking.
    ///
    /// # Errors
    /// As [`into_fd`](Self::into_fd).
    pub fn into_std(self) -> Result<std::os::unix::net::UnixStream, Self> {
        self.into_fd().map(Into::into)
    }

    /// Who the peer is.
    ///
    /// # Platform
    /// Linux. Source: unix(7), `SO_PEERCRED`.
    pub fn peer_credentials(&self) -> io::Result<UnixCredentials> {
        let (pid, uid, gid) = self.core.base.with(unix_sys::peer_credentials)?;
        Ok(UnixCredentials { pid, uid, gid })
    }

    /// Writes some of `bytes`, at least one, and passes `descriptors` with the first of them.
    ///
    /// The peer gets descriptors of its own; these stay open. A peer that reads without asking for descriptors never has
    /// them: its system closes them.
    ///
    /// # Errors
    /// `InvalidInput`, with both numbers in the message, if there are no bytes to carry them, or more descriptors than
    /// [`Limits::descriptors_per_message`](crate::Limits::descriptors_per_message).
    ///
    /// # Cancel safety
    /// Nothing was sent if the future is dropped before it is done.
    pub async fn write_with_descriptors(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        poll_fn(|cx| self.core.poll_write_passing(cx, bytes, descriptors)).await
    }

    /// As [`queue_write`](Self::queue_write), and passes `descriptors` with the first byte. They are closed here once they are
    /// sent or the write has failed, and at once if it is refused.
    ///
    /// # Errors
    /// As `queue_write` and [`write_with_descriptors`](Self::write_with_descriptors).
    pub fn queue_write_with_descriptors(
        &self,
        bytes: &[u8],
        descriptors: Vec<OwnedFd>,
        on_written: impl FnOnce(&Self, io::Result<()>) + 'static,
    ) -> io::Result<()> {
        self.core.enqueue_with_fds(bytes, descriptors, Some(self.bind_done(on_written)))
    }

    /// Reads what is there into `buf`, and takes the descriptors that were passed with it.
    ///
    /// Descriptors come with the read that takes the byte they were sent with, and two messages with descriptors never come in
    /// one read. At most [`Limits::descriptors_per_message`](crate::Limits::descriptors_per_message) are taken in one.
    ///
    /// # Cancel safety
    /// Nothing is lost: bytes and descriptors are taken only when the future is done.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, net::UnixStream};
    /// # use std::os::fd::AsFd;
    /// # let lp = EventLoop::new()?;
    /// let (parent, child) = UnixStream::pair(&lp)?;
    /// let stdout = std::io::stdout();
    /// let passed = lp.block_on(async {
    ///     parent.write_with_descriptors(b"stdout", &[stdout.as_fd()]).await?;
    ///     let mut buf = [0; 16];
    ///     let (len, passed) = child.read_with_descriptors(&mut buf).await?;
    ///     assert_eq!(&buf[..len], b"stdout");
    ///     Ok::<_, std::io::Error>(passed)
    /// })??;
    /// assert_eq!(passed.descriptors.len(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn read_with_descriptors(&self, buf: &mut [u8]) -> io::Result<(usize, Passed)> {
        poll_fn(|cx| self.core.poll_read_passed(cx, buf)).await
    }

    /// As [`read_start`](Self::read_start), and takes the descriptors that were passed. Those that the callback leaves in
    /// [`Passed`] are closed after it.
    ///
    /// # Errors
    /// As `read_start`.
    pub fn read_start_with_descriptors(
        &self,
        on_read: impl FnMut(&Self, ReadEvent<'_>, Passed) + 'static,
    ) -> io::Result<()> {
        self.read_start_with_passed(on_read)
    }
}
