//! Bodies of requests and answers: one type for both.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use phaseloop::channel::Receiver;

use super::channel::{BodyReceiver, BodySender, channel};
use super::connection::{Connection, ConnectionInfo, Served};
use super::error::BodyError;
use super::rate::Rate;
use super::upgrade::Upgraded;
use super::watch::{ToCome, UnderWay};

/// The body of a request or an answer: bytes, or bytes to come.
///
/// It is an [`http_body::Body`], so what adapts bodies adapts this one. Taking pieces slowly slows the peer down; giving them
/// fast waits for the peer.
///
/// # Examples
/// ```
/// use phaseloop_server::http::Body;
///
/// let fixed = Body::from("all of it");
/// let (mut sender, streamed) = Body::channel(64 * 1024);
/// sender.try_send("piece by piece").expect("the body is there");
/// sender.finish();
/// # drop((fixed, streamed));
/// ```
#[derive(Default)]
pub struct Body {
    kind: Kind,
    /// Where the request came from; `None` in answers. It rides in the body, since `http::Extensions` takes `Send` values only and
    /// costs three allocations.
    connection: Option<Rc<ConnectionInfo>>,
    /// By what the connection can be taken over, if the request may ask for it.
    takes_over: Option<Box<TakesOver>>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Box<Received>),
    Channel(BodyReceiver),
    /// As a channel; over HTTP/1.1 the connection serves nothing but this.
    Lasting(BodyReceiver),
    Other(Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError>>>),
}

/// How a request takes its connection over.
pub(crate) enum TakesOver {
    /// It comes by this way.
    Http1(Receiver<Upgraded>),
    /// The stream is the request's, which goes on while the stream lives.
    Http2(UnderWay),
}

/// A body that a peer sends.
struct Received {
    incoming: Incoming,
    len: u64,
    len_max: u64,
    rate: Option<Rate>,
    /// The request is under way while this is there.
    _under_way: Option<UnderWay>,
    /// Until its end has come, for all that is known.
    to_come: Option<ToCome>,
}

impl Body {
    /// A body without bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body that is written while it is sent. Beyond `high_water` bytes that wait, the writer does.
    pub fn channel(high_water: usize) -> (BodySender, Self) {
        let (sender, receiver) = channel(high_water);
        (sender, Self::of(Kind::Channel(receiver)))
    }

    /// As [`channel`](Self::channel), for an answer that goes on for minutes and is silent mostly.
    ///
    /// Over HTTP/1.1 it is the last answer of its connection, which says `Connection: close`, and needs a fifteenth of the memory
    /// meanwhile: what reads requests is gone. A HTTP/2 connection has it beside others.
    pub fn lasting(high_water: usize) -> (BodySender, Self) {
        let (sender, receiver) = channel(high_water);
        (sender, Self::of(Kind::Lasting(receiver)))
    }

    /// A body of the pieces that a stream gives.
    pub fn from_stream<S, T, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + 'static,
        T: Into<Bytes>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::of(Kind::Other(Box::pin(Pieces(Box::pin(stream)))))
    }

    /// A body that another library made.
    pub fn wrap<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::of(Kind::Other(Box::pin(Wrapped(Box::pin(body)))))
    }

    /// The body of a request, with the server's limits. The request is under way while it is there, unless it is empty.
    pub(crate) fn received<H>(
        incoming: Incoming,
        connection: &Connection<H>,
        under_way: &mut UnderWay,
    ) -> Self {
        let mut body = Self::empty();
        body.connection = Some(Rc::clone(&connection.info));
        if !incoming.is_end_stream() {
            let Served { limits, lp, .. } = &*connection.served;
            let (len_max, rate) = (limits.body_len_max, Rate::new(lp, limits));
            let (to_come, _under_way) = (Some(under_way.body_begins()), Some(under_way.share()));
            let received = Received { incoming, len: 0, len_max, rate, _under_way, to_come };
            body.kind = Kind::Incoming(Box::new(received));
        }
        body
    }

    /// The body of an answer that a client got: its size is the client's business, its pace too.
    #[cfg(feature = "client")]
    pub(crate) fn answered(incoming: Incoming) -> Self {
        let len_max = u64::MAX;
        Self::of(Kind::Incoming(Box::new(Received {
            incoming,
            len: 0,
            len_max,
            rate: None,
            _under_way: None,
            to_come: None,
        })))
    }

    /// A copy, if the bytes are there already.
    #[cfg(feature = "client")]
    pub(crate) fn copy(&self) -> Option<Self> {
        match &self.kind {
            Kind::Empty => Some(Self::empty()),
            Kind::Full(bytes) => Some(Self::from(bytes.clone())),
            Kind::Incoming(_) | Kind::Channel(_) | Kind::Lasting(_) | Kind::Other(_) => None,
        }
    }

    /// The bytes, if they are there already.
    #[cfg(feature = "web")]
    pub(crate) fn as_full(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Full(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// What a lasting body is fed by; nothing is left of it then.
    pub(crate) fn take_lasting(&mut self) -> Option<BodyReceiver> {
        if !matches!(self.kind, Kind::Lasting(_)) {
            return None;
        }
        match std::mem::take(&mut self.kind) {
            Kind::Lasting(receiver) => Some(receiver),
            _ => None,
        }
    }

    /// The bytes, if there are any, and leaves nothing.
    fn take_full(&mut self) -> Option<Bytes> {
        match std::mem::take(&mut self.kind) {
            Kind::Full(bytes) => Some(bytes).filter(|bytes| !bytes.is_empty()),
            _ => None,
        }
    }

    fn of(kind: Kind) -> Self {
        Self { kind, connection: None, takes_over: None }
    }

    pub(crate) fn connection(&self) -> Option<&Rc<ConnectionInfo>> {
        self.connection.as_ref()
    }

    pub(crate) fn set_takes_over(&mut self, by: TakesOver) {
        self.takes_over = Some(Box::new(by));
    }

    /// By what the connection is taken over, once.
    pub(crate) fn take_over(&mut self) -> Option<TakesOver> {
        self.takes_over.take().map(|by| *by)
    }

    /// Bounds what is read of a request's body to `len_max` bytes, in place of
    /// [`Limits::body_len_max`](super::Limits::body_len_max). Other bodies stay as they are.
    pub fn set_len_max(&mut self, len_max: u64) {
        if let Kind::Incoming(received) = &mut self.kind {
            received.len_max = len_max;
        }
    }

    /// The next piece, never empty, or `None` at the end. Trailers are passed over.
    ///
    /// # Errors
    /// Why there is no next piece. The end comes after it.
    ///
    /// # Cancel safety
    /// No piece is lost.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            match self.frame().await? {
                Ok(frame) => {
                    // HTTP/2 may end a body with a piece that is empty: no news to anybody.
                    if let Some(bytes) = frame.into_data().ok().filter(|bytes| !bytes.is_empty()) {
                        return Some(Ok(bytes));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next piece or the trailers, or `None` at the end.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    ///
    /// # Cancel safety
    /// No frame is lost.
    pub async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await
    }

    /// All bytes, in one piece, and the trailers.
    ///
    /// # Errors
    /// Why not all came, the limit of [`set_len_max`](Self::set_len_max) among it.
    ///
    /// # Cancel safety
    /// What was read so far is lost.
    pub async fn collect(mut self) -> Result<(Bytes, Option<HeaderMap>), BodyError> {
        let (mut first, mut rest, mut trailers) = (Bytes::new(), BytesMut::new(), None);
        while let Some(frame) = self.frame().await {
            match frame?.into_data() {
                Ok(bytes) if first.is_empty() => first = bytes, // most bodies have one piece: it is not copied
                Ok(bytes) => {
                    if rest.is_empty() {
                        rest.extend_from_slice(&first);
                    }
                    rest.extend_from_slice(&bytes);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok((if rest.is_empty() { first } else { rest.freeze() }, trailers))
    }

    /// All bytes, in one piece.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    ///
    /// # Cancel safety
    /// As [`collect`](Self::collect).
    pub async fn bytes(self) -> Result<Bytes, BodyError> {
        self.collect().await.map(|(bytes, _)| bytes)
    }

    /// All bytes, as text.
    ///
    /// # Errors
    /// As [`collect`](Self::collect); `Other` if the bytes are not UTF-8.
    ///
    /// # Cancel safety
    /// As [`collect`](Self::collect).
    pub async fn text(self) -> Result<String, BodyError> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| BodyError::Other(error.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match &mut self.kind {
            Kind::Empty => return Poll::Ready(None),
            Kind::Full(_) => return Poll::Ready(self.take_full().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Incoming(received) => received.poll_frame(cx),
            Kind::Channel(receiver) | Kind::Lasting(receiver) => receiver.poll_frame(cx),
            Kind::Other(body) => body.as_mut().poll_frame(cx),
        };
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.kind = Kind::Empty;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Incoming(received) => received.incoming.is_end_stream(),
            Kind::Channel(receiver) | Kind::Lasting(receiver) => receiver.is_end(),
            Kind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(received) => received.incoming.size_hint(),
            Kind::Channel(receiver) | Kind::Lasting(receiver) if receiver.is_end() => SizeHint::with_exact(0),
            Kind::Channel(_) | Kind::Lasting(_) => SizeHint::default(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}

impl Received {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // What says that it is too large is refused before its first byte, so `100 Continue` is never sent for it.
        if self.len.saturating_add(self.incoming.size_hint().lower()) > self.len_max {
            return Poll::Ready(Some(Err(BodyError::TooLarge(self.len_max))));
        }
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if let Some(rate) = &mut self.rate {
            match &polled {
                Poll::Pending => {
                    ready!(rate.poll_too_slow(cx));
                    return Poll::Ready(Some(Err(BodyError::TooSlow)));
                }
                Poll::Ready(Some(Ok(frame))) => rate.count(frame.data_ref().map_or(0, Bytes::len)),
                Poll::Ready(_) => {}
            }
        }
        let Some(frame) = ready!(polled) else { return Poll::Ready(None) };
        let frame = frame.map_err(BodyError::Broken);
        if self.incoming.is_end_stream() {
            self.to_come = None;
        }
        if let Ok(frame) = &frame {
            self.len = self.len.saturating_add(frame.data_ref().map_or(0, Bytes::len) as u64);
            if self.len > self.len_max {
                return Poll::Ready(Some(Err(BodyError::TooLarge(self.len_max))));
            }
        }
        Poll::Ready(Some(frame))
    }
}

/// A stream of pieces as a body.
struct Pieces<S>(Pin<Box<S>>);

impl<S, T, E> HttpBody for Pieces<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Bytes>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = ready!(self.0.as_mut().poll_next(cx));
        Poll::Ready(piece.map(|piece| match piece {
            Ok(bytes) => Ok(Frame::data(bytes.into())),
            Err(error) => Err(BodyError::Other(error.into())),
        }))
    }
}

/// A body of another library.
struct Wrapped<B>(Pin<Box<B>>);

impl<B> HttpBody for Wrapped<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.0.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Other(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::of(Kind::Full(bytes))
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

macro_rules! from_bytes {
    ($($type:ty: $make:path),*) => {
        $(impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Self::from($make(bytes))
            }
        })*
    };
}

from_bytes!(
    &'static str: Bytes::from,
    &'static [u8]: Bytes::from_static,
    String: Bytes::from,
    Vec<u8>: Bytes::from,
    Box<[u8]>: Bytes::from
);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Empty => "empty",
            Kind::Full(_) => "full",
            Kind::Incoming(_) => "received",
            Kind::Channel(_) => "channel",
            Kind::Lasting(_) => "lasting",
            Kind::Other(_) => "other",
        };
        let size = self.size_hint();
        f.debug_struct("Body").field("kind", &kind).field("len", &size.exact()).finish_non_exhaustive()
    }
}
