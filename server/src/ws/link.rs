//! The stream below a WebSocket: taken over from our server, or opened by our client.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::http::Upgraded;

/// A byte stream that carries frames.
pub(crate) enum Link {
    /// From our server.
    Upgraded(Upgraded),
    /// From anywhere else.
    Other(Pin<Box<dyn Stream>>),
    /// The connection is over. Who still holds its users' ends holds no stream.
    Gone,
}

/// Both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite {}

impl<S: AsyncRead + AsyncWrite> Stream for S {}

impl Link {
    /// True once the server is shutting down.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self, Self::Upgraded(upgraded) if upgraded.is_draining())
    }
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Upgraded(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Other(stream) => stream.as_mut().poll_read(cx, buf),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Upgraded(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Other(stream) => stream.as_mut().poll_write(cx, buf),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Upgraded(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Other(stream) => stream.as_mut().poll_write_vectored(cx, bufs),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Upgraded(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(stream) => stream.as_mut().poll_flush(cx),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Upgraded(stream) => Pin::new(stream).poll_close(cx),
            Self::Other(stream) => stream.as_mut().poll_close(cx),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}
