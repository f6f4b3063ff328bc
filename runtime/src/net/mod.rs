//! Sockets on the loop: TCP, UDP and Unix sockets, each with futures and with callbacks.
//!
//! A future front and a callback front stand on the same source; a stream uses one of them at a time in each direction.
//! `base` is what every socket is, `descriptor` what can be closed while it is held, `callback_slot` the
//! place of a callback that may do anything to its socket; `stream`, `listener` and
//! `datagram` are the types that all families share, `tcp`, `udp` and `unix` what only one of them has, `family` what tells them apart.
//! `pipe` has the streams of other descriptors.

mod base;
pub(crate) mod callback_slot;
mod datagram;
mod descriptor;
mod family;
mod listener;
pub mod pipe;
mod poll_io;
mod refused;
mod stream;
mod sys;
mod tcp;
mod udp;
mod unix;

pub use datagram::{Datagram, DatagramSocket, ReceiveEvent, Received, Undelivered, UndeliveredTo};
pub use family::{DatagramFamily, Family, StreamFamily, Tcp, Udp, Unix};
pub use listener::{Incoming, Listener};
pub use refused::WriteRefused;
pub use stream::{
    ByteStream, Connecting, Copied, CopyFailed, OwnedReadHalf, OwnedWriteHalf, Passed, ReadEvent, ReadHalf,
    WriteHalf, copy_bidirectional,
};
pub use tcp::{ConnectOptions, Keepalive, ListenOptions};
pub use udp::{Interface, UdpOptions};
pub use unix::{UnixAddr, UnixCredentials, UnixListenOptions};

/// A TCP connection.
pub type TcpStream = ByteStream<Tcp>;
/// A socket that accepts TCP connections.
pub type TcpListener = Listener<Tcp>;
/// A connection between two processes of this machine, or two parts of one.
pub type UnixStream = ByteStream<Unix>;
/// A socket that accepts Unix connections.
pub type UnixListener = Listener<Unix>;
/// A socket for datagrams of UDP.
pub type UdpSocket = DatagramSocket<Udp>;
/// A socket for datagrams between processes of this machine, or parts of one.
pub type UnixDatagram = DatagramSocket<Unix>;
