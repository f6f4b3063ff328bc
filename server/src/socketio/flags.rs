//! How something is sent.

use super::args::IntoArgs;
use super::operator::Operator;
use super::socket::Socket;

/// How something is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// It may be lost: it is, for a client that could not take it at once.
    pub(crate) volatile: bool,
    /// Not by compressed frames. For other servers, and for transports that compress.
    pub(crate) uncompressed: bool,
    /// Not to other servers.
    pub(crate) local: bool,
}

/// A socket, and how what it says next is sent: to its client, or from it to others, as with the socket itself. Made by
/// [`Socket::volatile`] and [`Socket::compress`].
///
/// # Examples
/// ```
/// use phaseloop_server::socketio::Io;
///
/// let io = Io::new();
/// io.on_connection(|socket| {
///     socket.volatile().emit("load", 0.7); // to this client
///     socket.volatile().to("room").emit("moved", (3, 4)); // to the others in the room
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is said before `emit`"]
pub struct Flagged {
    socket: Socket,
    flags: Flags,
}

impl Flagged {
    pub(crate) fn new(socket: &Socket) -> Self {
        Self { socket: socket.clone(), flags: Flags::default() }
    }

    /// Only if the client can take it at once.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether transports may compress it: see [`Operator::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.uncompressed = !compress;
        self
    }

    /// Sends an event to the client.
    ///
    /// # Panics
    /// As [`Operator::emit`].
    #[track_caller]
    pub fn emit(&self, event: &str, args: impl IntoArgs) {
        self.socket.only().with_flags(self.flags).local().emit(event, args);
    }

    /// To those in a room, but not to this socket.
    pub fn to(&self, room: impl Into<String>) -> Operator {
        self.broadcast().to(room)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, room: impl Into<String>) -> Operator {
        self.to(room)
    }

    /// To all but those in a room, and not to this socket.
    pub fn except(&self, room: impl Into<String>) -> Operator {
        self.broadcast().except(room)
    }

    /// To all of the namespace but this socket.
    pub fn broadcast(&self) -> Operator {
        self.socket.broadcast().with_flags(self.flags)
    }
}
