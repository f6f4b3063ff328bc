//! The options of a TCP connection.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::net::family::Tcp;
use crate::net::stream::ByteStream;
use crate::state::LoopHandle;

/// When and how often a silent connection is asked whether its peer is still there.
///
/// What is `None` stays as the system has it: on Linux, two hours, 75 seconds and 9 times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// Silence after which the first question is asked. Whole seconds, at least one.
    pub idle: Option<Duration>,
    /// Time between two questions. Whole seconds, at least one.
    pub interval: Option<Duration>,
    /// Questions without an answer after which the connection fails.
    pub count: Option<u32>,
}

impl Keepalive {
    /// Asks first after `idle`, and then in the system's intervals.
    pub fn after(idle: Duration) -> Self {
        Self { idle: Some(idle), ..Self::default() }
    }

    /// Refuses times that the system would take for zero.
    pub(super) fn apply(self, fd: BorrowedFd<'_>) -> io::Result<()> {
        for (name, time) in [("idle", self.idle), ("interval", self.interval)] {
            if let Some(time) = time.filter(|time| time.as_secs() == 0) {
                let problem =
                    format!("the {name} time of keepalive is {time:?}, and must be a second or more");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
        }
        let mut params = TcpKeepalive::new();
        params = self.idle.map_or(params.clone(), |idle| params.with_time(idle));
        params = self.interval.map_or(params.clone(), |interval| params.with_interval(interval));
        params = self.count.map_or(params.clone(), |count| params.with_retries(count));
        SockRef::from(&fd).set_tcp_keepalive(&params)
    }
}

impl ByteStream<Tcp> {
    /// Sends small writes at once (`true`) or gathers them.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.core.base.with(|fd| SockRef::from(&fd).set_tcp_nodelay(nodelay))
    }

    /// True if small writes are sent at once.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.core.base.with(|fd| SockRef::from(&fd).tcp_nodelay())
    }

    /// Has the system ask whether a silent peer is still there, or not.
    ///
    /// # Errors
    /// `InvalidInput` for a time of less than a second, and what the system says.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.core.base.with(|fd| match keepalive {
            Some(keepalive) => keepalive.apply(fd),
            None => SockRef::from(&fd).set_keepalive(false),
        })
    }

    /// When and how often the system asks, or `None` if it does not.
    pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
        self.core.base.with(|fd| {
            let socket = SockRef::from(&fd);
            if !socket.keepalive()? {
                return Ok(None);
            }
            let (idle, interval) = (socket.tcp_keepalive_time()?, socket.tcp_keepalive_interval()?);
            let count = socket.tcp_keepalive_retries()?;
            Ok(Some(Keepalive { idle: Some(idle), interval: Some(interval), count: Some(count) }))
        })
    }

    /// Says what becomes of bytes that the system has when the connection is closed. `None`, the default, sends them in the
    /// background. Zero throws them away and resets the connection, as [`close_reset`](Self::close_reset).
    ///
    /// # Errors
    /// `InvalidInput` for other times: then closing would block the loop for as long as that.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        if let Some(time) = linger.filter(|time| !time.is_zero()) {
            let problem =
                format!("to linger for {time:?} would block the loop: only zero and none are possible");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        self.core.base.with(|fd| SockRef::from(&fd).set_linger(linger))
    }

    /// Sets the type of service, or the traffic class of IPv6, of what is sent.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core.base.with(|fd| match v6 {
            true => SockRef::from(&fd).set_tclass_v6(tos.into()),
            false => SockRef::from(&fd).set_tos_v4(tos.into()),
        })
    }

    /// The type of service, or the traffic class of IPv6.
    pub fn tos(&self) -> io::Result<u32> {
        let v6 = self.local_addr()?.is_ipv6();
        self.core.base.with(|fd| match v6 {
            true => SockRef::from(&fd).tclass_v6(),
            false => SockRef::from(&fd).tos_v4(),
        })
    }

    /// Closes the connection with a reset: the peer gets an error instead of the end of the stream, and nothing lingers here.
    /// What is queued, and what the system has not sent, is lost.
    ///
    /// A duplicate of the descriptor holds the reset up until it is closed too.
    ///
    /// # Errors
    /// `InvalidInput` after a shutdown: the peer has been told that the stream ends well. `NotConnected` for a closed stream.
    /// Source: libuv, `uv_tcp_close_reset`.
    pub fn close_reset(&self) -> io::Result<()> {
        self.core.prepare_reset()?;
        self.close();
        Ok(())
    }

    /// As [`close_reset`](Self::close_reset), and calls `on_close` in the close phase.
    ///
    /// # Errors
    /// As `close_reset`; `on_close` is then dropped.
    pub fn close_reset_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> io::Result<()> {
        self.core.prepare_reset()?;
        self.close_with(on_close);
        Ok(())
    }
}
