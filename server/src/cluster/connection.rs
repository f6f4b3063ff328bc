//! Connections as a worker gets them, and the sockets that it accepts from.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use phaseloop::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A connection that a worker is to serve.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connection {
    /// The connection.
    pub stream: Stream,
    /// What the primary read of it to find its worker: it comes before what the stream still has.
    pub first: Vec<u8>,
}

/// A connection, of one family or the other.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

pub(super) type OnConnection = Rc<RefCell<dyn FnMut(Connection)>>;

/// A socket that a worker accepts from.
#[derive(Clone)]
pub(super) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    pub(super) fn pause(&self, pause: bool) {
        match (self, pause) {
            (Self::Tcp(listener), true) => listener.accept_pause(),
            (Self::Tcp(listener), false) => listener.accept_resume(),
            (Self::Unix(listener), true) => listener.accept_pause(),
            (Self::Unix(listener), false) => listener.accept_resume(),
        }
    }

    pub(super) fn close(&self) {
        match self {
            Self::Tcp(listener) => listener.close(),
            Self::Unix(listener) => listener.close(),
        }
    }
}

/// Gives a connection to a callback. An error is the connection's: there is nobody to serve.
pub(super) fn give(callback: &OnConnection, stream: io::Result<Stream>, first: Vec<u8>) {
    if let (Ok(stream), Ok(mut callback)) = (stream, callback.try_borrow_mut()) {
        callback(Connection { stream, first });
    }
}
