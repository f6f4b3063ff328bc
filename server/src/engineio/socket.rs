//! A WebSocket over a connection that was taken over: tungstenite's protocol object, polled.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::http::Upgraded;

/// A WebSocket of the server's side. One task reads and writes it.
pub(crate) struct Socket(WebSocket<Bridge>);

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client closed it, or its connection ended.
    ByPeer,
    /// The connection broke, or what came over it was no WebSocket.
    ByError,
}

impl Socket {
    /// `unsent_len_max` bounds the answers to pings of a client that takes none: above it only the last one is kept. What is
    /// pushed must fit in.
    pub(crate) fn new(stream: Upgraded, message_len_max: usize, unsent_len_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_LEN)
            .write_buffer_size(BUFFER_LEN)
            .max_write_buffer_size(unsent_len_max.max(2 * BUFFER_LEN))
            .max_message_size(Some(message_len_max))
            .max_frame_size(Some(message_len_max));
        let bridge = Bridge { stream, waker: Waker::noop().clone() };
        Self(WebSocket::from_raw_socket(bridge, Role::Server, Some(config)))
    }

    /// Waits for a message of text or bytes.
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Result<Message, Ended>> {
        self.0.get_mut().attend(cx);
        loop {
            match self.0.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Poll::Ready(Ok(message)),
                Ok(_) => {} // tungstenite answers a ping, and a close, with the next flush
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Poll::Ready(Err(Ended::ByPeer));
                }
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Poll::Ready(Err(Ended::ByPeer));
                }
                Err(error) => {
                    self.blame(&error);
                    return Poll::Ready(Err(Ended::ByError));
                }
            }
        }
    }

    /// Queues a message; a flush sends it.
    pub(crate) fn push(&mut self, message: Message, cx: &Context<'_>) -> Result<(), Ended> {
        self.0.get_mut().attend(cx);
        match self.0.write(message) {
            Ok(()) => Ok(()),
            // It was taken into the buffer all the same.
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Ended::ByError),
        }
    }

    /// Sends what is queued.
    pub(crate) fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<Result<(), Ended>> {
        self.0.get_mut().attend(cx);
        match self.0.flush() {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Err(Ended::ByPeer)),
            Err(_) => Poll::Ready(Err(Ended::ByError)),
        }
    }

    /// Says goodbye, and waits until the client has said so too or is gone.
    pub(crate) async fn close(&mut self) {
        // If the peer closed first, or the connection is broken, there is nobody to say it to.
        let _ = self.0.close(None);
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
                    return Poll::Ready(());
                }
                match self.poll_next(cx) {
                    Poll::Ready(Ok(_)) => {} // under way before the client knew
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    /// Tells the client what it did wrong. RFC 6455, section 7.4.1.
    fn blame(&mut self, error: &Error) {
        let code = match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::Size,
            Error::Utf8(_) => CloseCode::Invalid,
            Error::Protocol(_) => CloseCode::Protocol,
            _ => return,
        };
        // As in `close`.
        let _ = self.0.close(Some(CloseFrame { code, reason: "".into() }));
        let _ = self.0.flush();
    }
}

/// A stream that tungstenite may use as if it were blocking: what would block says so, and wakes the task later.
struct Bridge {
    stream: Upgraded,
    waker: Waker,
}

impl Bridge {
    fn attend(&mut self, cx: &Context<'_>) {
        self.waker.clone_from(cx.waker());
    }
}

fn settled<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Bridge {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        settled(Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(&self.waker), buf))
    }
}

impl Write for Bridge {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        settled(Pin::new(&mut self.stream).poll_write(&mut Context::from_waker(&self.waker), buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        settled(Pin::new(&mut self.stream).poll_flush(&mut Context::from_waker(&self.waker)))
    }
}

/// tungstenite allocates this for each socket; its own default of 128 KiB is for few and busy ones.
const BUFFER_LEN: usize = 2 * 1024;
