//! How a TCP connection is made.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::Location;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::options::Keepalive;
use crate::driver::Readiness;
use crate::net::family::{Tcp, sealed::Address};
use crate::net::stream::{ByteStream, Connecting};
use crate::net::sys;
use crate::state::LoopHandle;

/// How a connection is made, where [`TcpStream::connect`](crate::net::TcpStream::connect) is not enough.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, net::{ConnectOptions, TcpListener}};
/// # use std::time::Duration;
/// # let lp = EventLoop::new()?;
/// let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().expect("an address"))?;
/// let mut options = ConnectOptions::default();
/// options.timeout = Some(Duration::from_secs(3));
/// options.nodelay = true;
/// let stream = lp.block_on(options.connect(&lp, listener.local_addr()?))??;
/// assert!(stream.nodelay()?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The address to connect from. An error of it is the connect's own: libuv calls that a delayed error.
    pub local: Option<SocketAddr>,
    /// Connects from an address that connections of before still linger on.
    pub reuse_address: bool,
    /// Shares the local port with other sockets that say so too.
    pub reuse_port: bool,
    /// Gives up after this time, with `TimedOut`. Without it the system decides, after about two minutes.
    pub timeout: Option<Duration>,
    /// Connects by this network device only, such as `eth0`. Needs a right.
    pub device: Option<String>,
    /// Sends small writes at once.
    pub nodelay: bool,
    /// Has the system ask whether a silent peer is still there.
    pub keepalive: Option<Keepalive>,
    /// The type of service, or the traffic class of IPv6, of what is sent, the first packet included.
    pub tos: Option<u8>,
    /// Bytes that the system may hold for us until they are read. It takes twice as much for its own needs, and has a limit.
    pub recv_buffer_len: Option<usize>,
    /// Bytes that the system may hold until they are sent. As above.
    pub send_buffer_len: Option<usize>,
}

impl ConnectOptions {
    /// Connects to `address`.
    ///
    /// # Errors
    /// As [`TcpStream::connect`](crate::net::TcpStream::connect), what the system says of an option, and `TimedOut`.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    #[track_caller]
    pub fn connect(
        &self,
        lp: &LoopHandle,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<ByteStream<Tcp>>> + use<> {
        let begun = self.begin(lp, address, Location::caller());
        let (lp, timeout) = (lp.clone(), self.timeout);
        async move {
            let stream = begun?;
            let connected = poll_fn(|cx| stream.core.poll_connected(cx));
            match timeout {
                None => connected.await?,
                Some(timeout) => lp.timeout(timeout, connected).await.unwrap_or_else(|_| {
                    let problem = format!("no answer came from {address} within {timeout:?}");
                    Err(io::Error::new(io::ErrorKind::TimedOut, problem))
                })?,
            }
            Ok(stream)
        }
    }

    /// Connects to `address` and then calls back, once: with the stream, with an error, or with `ECANCELED` if
    /// [`Connecting::close`] came first. It keeps the loop alive until then.
    ///
    /// # Ordering
    /// The callback runs in the pending phase, never inside this call, also when the connect fails at once.
    #[track_caller]
    pub fn connect_with(
        &self,
        lp: &LoopHandle,
        address: SocketAddr,
        on_connected: impl FnOnce(&LoopHandle, io::Result<ByteStream<Tcp>>) + 'static,
    ) -> Connecting<Tcp> {
        let connecting = self.connect(lp, address);
        ByteStream::connect_and_call(lp, connecting, on_connected, Location::caller())
    }

    fn begin(
        &self,
        lp: &LoopHandle,
        address: SocketAddr,
        site: &'static Location<'static>,
    ) -> io::Result<ByteStream<Tcp>> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        self.apply(&socket, address.is_ipv6())?;
        sys::connect(socket.as_fd(), &address.to_raw()?)?;
        ByteStream::open(lp, socket.into(), Readiness::default(), site)
    }

    fn apply(&self, socket: &Socket, v6: bool) -> io::Result<()> {
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        if let Some(local) = self.local {
            socket.set_reuse_address(self.reuse_address)?;
            socket.set_reuse_port(self.reuse_port)?;
            socket.bind(&local.into())?;
        }
        if let Some(len) = self.recv_buffer_len {
            socket.set_recv_buffer_size(len)?;
        }
        if let Some(len) = self.send_buffer_len {
            socket.set_send_buffer_size(len)?;
        }
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(keepalive) = self.keepalive {
            keepalive.apply(socket.as_fd())?;
        }
        match self.tos {
            Some(tos) if v6 => socket.set_tclass_v6(tos.into()),
            Some(tos) => socket.set_tos_v4(tos.into()),
            None => Ok(()),
        }
    }
}
