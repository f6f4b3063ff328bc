//! What goes through a channel: bytes, and perhaps a socket.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::net::{Listener, StreamFamily, TcpListener, TcpStream, UnixListener, UnixStream};
use crate::state::LoopHandle;

/// A message: bytes, which are JSON on a channel that carries JSON, and at most one socket that goes with them.
pub struct Message {
    pub(super) body: Vec<u8>,
    pub(super) attachment: Option<Attachment>,
    pub(super) internal: bool,
    /// The bytes were made by a serializer, so nobody need look whether they are JSON.
    #[cfg_attr(
        not(feature = "ipc-json"),
        expect(dead_code, reason = "asked by the framing that carries JSON")
    )]
    pub(super) is_json: bool,
}

impl Message {
    /// A message of bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { body: bytes.into(), attachment: None, internal: false, is_json: false }
    }

    /// Has a socket go with it.
    pub fn attach(mut self, attachment: Attachment) -> Self {
        self.attachment = Some(attachment);
        self
    }

    /// Has the peer's [`on_internal`](super::Channel::on_internal) get it, in place of its user. On Node's channel that is
    /// said by the message itself: its field `cmd` begins with `NODE_`.
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Gives the bytes away. An attachment that is still there is closed.
    pub fn into_bytes(self) -> Vec<u8> {
        self.body
    }

    /// The socket that goes with it.
    pub fn attachment(&self) -> Option<&Attachment> {
        self.attachment.as_ref()
    }

    /// Takes the socket out. One that stays is closed with the message.
    pub fn take_attachment(&mut self) -> Option<Attachment> {
        self.attachment.take()
    }

    /// True if it is not for the user of the channel but for what is built on it.
    pub fn is_internal(&self) -> bool {
        self.internal
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(bytes: &[u8; N]) -> Self {
        Self::new(bytes)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, rest) = self.body.split_at(self.body.len().min(SHOWN));
        f.debug_struct("Message")
            .field("len", &self.body.len())
            .field(
                "start",
                &format_args!("\"{}{}\"", start.escape_ascii(), if rest.is_empty() { "" } else { ".." }),
            )
            .field("attachment", &self.attachment)
            .field("internal", &self.internal)
            .finish()
    }
}

/// How many bytes of a message are shown to those who debug.
const SHOWN: usize = 40;

/// What an attachment is, as its sender says. The one who takes it checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachmentKind {
    /// A socket that accepts connections; `net.Server` in Node.
    Listener,
    /// A connection; `net.Socket` in Node.
    Stream,
    /// A socket for datagrams; `dgram.Socket` in Node.
    Datagram,
    /// A socket without a wrapper around it, to listen or to talk with; `net.Native` in Node.
    Native,
}

/// A socket that goes with a message. The receiver has a descriptor of its own, for the same socket.
///
/// One that is not taken is closed: a receiver that does not look at attachments leaks none.
pub struct Attachment {
    pub(super) kind: AttachmentKind,
    pub(super) fd: OwnedFd,
}

impl Attachment {
    /// A descriptor, of any socket. It is closed here once the peer has it.
    pub fn new(kind: AttachmentKind, fd: impl Into<OwnedFd>) -> Self {
        Self { kind, fd: fd.into() }
    }

    /// A duplicate of a listener, which stays open here: both processes accept from one backlog.
    ///
    /// # Errors
    /// `NotConnected` for one that is closed; what the system says if no descriptor is left.
    pub fn listener<K: StreamFamily>(listener: &Listener<K>) -> io::Result<Self> {
        Ok(Self::new(AttachmentKind::Listener, listener.try_clone_fd()?))
    }

    /// A duplicate of a connection. Drop the stream here once the message is sent, or the peer's end will not end it.
    ///
    /// # Errors
    /// As [`listener`](Self::listener).
    pub fn stream<K: StreamFamily>(stream: &crate::net::ByteStream<K>) -> io::Result<Self> {
        Ok(Self::new(AttachmentKind::Stream, stream.try_clone_fd()?))
    }

    /// What it is, as its sender says.
    pub fn kind(&self) -> AttachmentKind {
        self.kind
    }

    /// The descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// A listener of the loop.
    ///
    /// # Errors
    /// `InvalidInput` if it is something else, whatever its sender said; it is then closed.
    #[track_caller]
    pub fn into_tcp_listener(self, lp: &LoopHandle) -> io::Result<TcpListener> {
        TcpListener::from_fd(lp, self.fd)
    }

    /// A connection of the loop.
    ///
    /// # Errors
    /// As [`into_tcp_listener`](Self::into_tcp_listener).
    #[track_caller]
    pub fn into_tcp_stream(self, lp: &LoopHandle) -> io::Result<TcpStream> {
        TcpStream::from_fd(lp, self.fd)
    }

    /// A listener of the loop.
    ///
    /// # Errors
    /// As [`into_tcp_listener`](Self::into_tcp_listener).
    #[track_caller]
    pub fn into_unix_listener(self, lp: &LoopHandle) -> io::Result<UnixListener> {
        UnixListener::from_fd(lp, self.fd)
    }

    /// A connection of the loop.
    ///
    /// # Errors
    /// As [`into_tcp_listener`](Self::into_tcp_listener).
    #[track_caller]
    pub fn into_unix_stream(self, lp: &LoopHandle) -> io::Result<UnixStream> {
        UnixStream::from_fd(lp, self.fd)
    }
}

impl AsFd for Attachment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("kind", &self.kind).field("fd", &self.fd).finish()
    }
}
