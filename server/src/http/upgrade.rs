//! Taking a connection over: WebSocket, CONNECT, and what else speaks something other than HTTP from some point on.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_io::{AsyncRead, AsyncWrite};
use http::Request;
use hyper::rt::{Read, ReadBuf, Write};
use phaseloop::channel::{Receiver, Sender, Unsent};

use super::body::{Body, TakesOver};
use super::connection::{SecureStream, Transport};
use super::registry::Member;
use super::watch::UnderWay;
use crate::joint::cork::Cork;

/// Asks for the connection that `request` came on. It comes once the answer is sent: 101 for HTTP/1.1, or any success
/// for CONNECT and for the extended CONNECT of HTTP/2 (RFC 8441), there as one stream of the connection.
///
/// # Errors
/// [`CannotUpgrade`] if the request asked for nothing of the kind, was asked before, or came from no server of ours.
///
/// # Examples
/// ```
/// use futures::{AsyncReadExt, AsyncWriteExt};
/// use phaseloop_server::http::{self, Body, BoxError, Request, Response, StatusCode};
///
/// async fn shout(mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
///     let upgrading = http::upgrade(&mut request)?;
///     phaseloop::spawn(async move {
///         let Ok(mut stream) = upgrading.await else { return };
///         let mut buf = [0; 1024];
///         while let Ok(len @ 1..) = stream.read(&mut buf).await {
///             buf[..len].make_ascii_uppercase();
///             if stream.write_all(&buf[..len]).await.is_err() || stream.flush().await.is_err() {
///                 break;
///             }
///         }
///     });
///     let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
///     Ok(switching.header("connection", "upgrade").header("upgrade", "shout").body(Body::empty())?)
/// }
/// ```
pub fn upgrade(request: &mut Request<Body>) -> Result<Upgrading, CannotUpgrade> {
    match request.body_mut().take_over().ok_or(CannotUpgrade(()))? {
        TakesOver::Http1(upgraded) => Ok(Upgrading(State::Http1(upgraded))),
        TakesOver::Http2(under_way) => {
            Ok(Upgrading(State::Http2(hyper::upgrade::on(request), Some(under_way))))
        }
    }
}

/// There is no connection to take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotUpgrade(());

impl fmt::Display for CannotUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request asks for no upgrade, or its connection was asked for before")
    }
}

impl std::error::Error for CannotUpgrade {}

/// Hands a connection of HTTP/1.1 to whom its request was given. Dropping it tells that nothing will come.
pub(crate) type Upgrader = Sender<Upgraded>;

/// Waits for a connection. Made by [`upgrade`].
///
/// # Cancel safety
/// Dropping it closes the connection once it is handed over.
#[must_use = "the connection is closed if nobody takes it"]
pub struct Upgrading(State);

enum State {
    Http1(Receiver<Upgraded>),
    Http2(hyper::upgrade::OnUpgrade, Option<UnderWay>),
}

impl Future for Upgrading {
    type Output = io::Result<Upgraded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Upgraded>> {
        match &mut self.0 {
            State::Http1(upgraded) => {
                Pin::new(upgraded).poll(cx).map_err(|Unsent| io::ErrorKind::NotConnected.into())
            }
            State::Http2(stream, under_way) => {
                let stream = ready!(Pin::new(stream).poll(cx)).map_err(io::Error::other)?;
                let _under_way = under_way.take();
                Poll::Ready(Ok(Upgraded(Kind::Http2(Box::new(TakenStream { stream, _under_way })))))
            }
        }
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrading")
    }
}

/// A connection that no longer speaks HTTP: a [futures-io](futures_io) stream.
///
/// Small writes may wait for a flush. A connection of HTTP/1.1 still counts among its server's; a shutdown waits for it
/// and, when the time is up, closes it.
pub struct Upgraded(Kind);

enum Kind {
    Plain(Taken<Cork>),
    Secure(Taken<SecureStream>),
    Http2(Box<TakenStream>),
}

/// A stream of which something was read already.
struct Taken<S> {
    stream: S,
    first: Bytes,
    member: Member,
}

/// A stream of a connection of HTTP/2, which is not idle while it lives.
struct TakenStream {
    stream: hyper::upgrade::Upgraded,
    _under_way: Option<UnderWay>,
}

impl Upgraded {
    pub(crate) fn plain(stream: Cork, first: Bytes, member: Member) -> Self {
        stream.uncork();
        Self(Kind::Plain(Taken { stream, first, member }))
    }

    pub(crate) fn secure(stream: SecureStream, first: Bytes, member: Member) -> Self {
        stream.cork().uncork();
        Self(Kind::Secure(Taken { stream, first, member }))
    }

    /// True once the server is shutting down: say goodbye in the protocol that is spoken, and close.
    ///
    /// Whoever polls this stream is woken when that begins. A stream of HTTP/2 is not told:
    /// it counts as a request under way, for which the shutdown waits until its time is up.
    pub fn is_draining(&self) -> bool {
        match &self.0 {
            Kind::Plain(taken) => taken.member.entry().is_draining(),
            Kind::Secure(taken) => taken.member.entry().is_draining(),
            Kind::Http2(_) => false,
        }
    }
}

impl<S: AsyncRead + Unpin> Taken<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.first.has_remaining() {
            let len = self.first.len().min(buf.len());
            self.first.copy_to_slice(&mut buf[..len]);
            if self.first.is_empty() {
                self.first = Bytes::new();
            }
            return Poll::Ready(Ok(len));
        }
        self.member.entry().listen(cx);
        if self.member.entry().is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(taken) => taken.poll_read(cx, buf),
            Kind::Secure(taken) => taken.poll_read(cx, buf),
            Kind::Http2(taken) => {
                let mut buf = ReadBuf::new(buf);
                ready!(Pin::new(&mut taken.stream).poll_read(cx, buf.unfilled()))?;
                Poll::Ready(Ok(buf.filled().len()))
            }
        }
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(taken) => Pin::new(&mut taken.stream).poll_write(cx, buf),
            Kind::Secure(taken) => Pin::new(&mut taken.stream).poll_write(cx, buf),
            Kind::Http2(taken) => Pin::new(&mut taken.stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(taken) => Pin::new(&mut taken.stream).poll_write_vectored(cx, bufs),
            Kind::Secure(taken) => Pin::new(&mut taken.stream).poll_write_vectored(cx, bufs),
            Kind::Http2(taken) => Pin::new(&mut taken.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Plain(taken) => Pin::new(&mut taken.stream).poll_flush(cx),
            Kind::Secure(taken) => Pin::new(&mut taken.stream).poll_flush(cx),
            Kind::Http2(taken) => Pin::new(&mut taken.stream).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Plain(taken) => Pin::new(&mut taken.stream).poll_close(cx),
            Kind::Secure(taken) => Pin::new(&mut taken.stream).poll_close(cx),
            Kind::Http2(taken) => Pin::new(&mut taken.stream).poll_shutdown(cx),
        }
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Plain(_) => "Upgraded(plain)",
            Kind::Secure(_) => "Upgraded(TLS)",
            Kind::Http2(_) => "Upgraded(stream of HTTP/2)",
        })
    }
}
