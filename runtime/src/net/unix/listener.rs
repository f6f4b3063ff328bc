//! Listening on a Unix socket.

use std::io;
use std::os::fd::AsFd;
use std::panic::Location;

use super::address::UnixAddr;
use super::file::{self, BindOptions};
use crate::net::family::Unix;
use crate::net::listener::Listener;
use crate::net::sys;
use crate::state::LoopHandle;

/// How [`UnixListener::bind_with`](crate::net::UnixListener::bind_with) binds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixListenOptions {
    /// Connections that the system holds for us until they are accepted. The system has a limit of its own.
    pub backlog: i32,
    /// Removes a socket's file that is in the way if nobody listens there: what a process leaves that was killed. Two processes
    /// that start at the same time may both find it so, and the last one keeps the name.
    pub replace_stale: bool,
    /// Removes the file when the listener is closed or dropped, if it is still the one that was made.
    pub unlink_on_close: bool,
    /// The file's permissions, as in `chmod`: who may connect. Without it the process's `umask` decides. They hold before the
    /// first connection can be made.
    pub mode: Option<u32>,
}

impl Default for UnixListenOptions {
    fn default() -> Self {
        Self { backlog: 1024, replace_stale: false, unlink_on_close: true, mode: None }
    }
}

impl Listener<Unix> {
    /// Listens on `addr`, with the default options.
    ///
    /// # Errors
    /// `AddrInUse` if the name is taken; the message says whether somebody listens there. `InvalidInput` if it is too long. And
    /// what the system says: no such folder, no right.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, net::{UnixAddr, UnixListener, UnixStream}};
    /// # let lp = EventLoop::new()?;
    /// let name = UnixAddr::abstract_name(format!("phaseloop-doc-{}", std::process::id()));
    /// let listener = UnixListener::bind(&lp, &name)?;
    /// let peer = lp.block_on(async {
    ///     let _client = UnixStream::connect(&lp, &name).await?;
    ///     let (stream, _) = listener.accept().await?;
    ///     stream.peer_credentials()
    /// })??;
    /// assert_eq!(peer.pid, Some(std::process::id()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn bind(lp: &LoopHandle, addr: impl Into<UnixAddr>) -> io::Result<Self> {
        Self::bind_at(lp, &addr.into(), &UnixListenOptions::default(), Location::caller())
    }

    /// Listens on `addr`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    #[track_caller]
    pub fn bind_with(
        lp: &LoopHandle,
        addr: impl Into<UnixAddr>,
        options: &UnixListenOptions,
    ) -> io::Result<Self> {
        Self::bind_at(lp, &addr.into(), options, Location::caller())
    }

    fn bind_at(
        lp: &LoopHandle,
        addr: &UnixAddr,
        options: &UnixListenOptions,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let fd = sys::open_unix_stream()?;
        let UnixListenOptions { backlog, replace_stale, unlink_on_close, mode } = options.clone();
        let file = file::bind(&fd, addr, &BindOptions { replace_stale, unlink_on_close, mode })?;
        sys::listen(fd.as_fd(), backlog)?;
        Self::open(lp, fd, file, site)
    }

    /// Takes over a listening socket of std. It is made non-blocking. Its file, if any, is not removed on close.
    ///
    /// # Errors
    /// As [`from_fd`](Self::from_fd).
    #[track_caller]
    pub fn from_std(lp: &LoopHandle, socket: std::os::unix::net::UnixListener) -> io::Result<Self> {
        Self::from_fd(lp, socket.into())
    }

    /// Gives the socket back, still non-blocking.
    ///
    /// # Errors
    /// As [`into_fd`](Self::into_fd).
    pub fn into_std(self) -> Result<std::os::unix::net::UnixListener, Self> {
        self.into_fd().map(Into::into)
    }
}
