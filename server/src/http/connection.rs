//! One connection, from its first byte to its last.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use phaseloop::LoopHandle;
use phaseloop::net::TcpStream;

use super::answers;
use super::error::{BoxError, Fault, Trouble};
use super::handler::Handler;
use super::lasting::Lasting;
use super::limits::Limits;
use super::registry::{Entry, Member, Registry};
use super::upgrade::{Upgraded, Upgrader};
use super::watch::{Due, Watch};
use super::{http1, http2};
use crate::joint::cork::{Cork, Spares};
use crate::joint::wire::{Scratch, Watcher, Wire};
use crate::proto::preface::{Guess, PREFACE, guess};

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1, and 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

/// What is known of the connection a request came on. [`RequestExt::connection`](super::RequestExt::connection) gives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The other end.
    pub peer: SocketAddr,
    /// This end.
    pub local: SocketAddr,
    /// The version of HTTP.
    pub protocol: Protocol,
    /// What TLS settled, if the connection is encrypted.
    pub tls: Option<TlsInfo>,
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// The protocol that both chose, as ALPN has it: `h2`, `http/1.1`.
    pub alpn: Option<Vec<u8>>,
}

/// A byte stream on top of a corked TCP connection: that itself, or TLS on it.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// The connection at the bottom.
    fn cork(&self) -> &Cork;

    fn into_upgraded(self, first: Bytes, member: Member) -> Upgraded;
}

impl Transport for Cork {
    fn cork(&self) -> &Cork {
        self
    }

    fn into_upgraded(self, first: Bytes, member: Member) -> Upgraded {
        Upgraded::plain(self, first, member)
    }
}

/// What turns an accepted connection into an encrypted one. The module `tls` has the one that there is.
pub(crate) trait Secure {
    /// The same, offering these versions.
    fn allowing(&self, allows: Allows) -> Rc<dyn Secure>;

    fn handshake(&self, cork: Cork) -> Handshake;
}

pub(crate) type Handshake = Pin<Box<dyn Future<Output = io::Result<Secured>>>>;

/// A connection after its handshake. The stream is boxed: next to encryption, a call through a table is nothing.
pub(crate) struct Secured {
    pub(crate) stream: SecureStream,
    pub(crate) info: TlsInfo,
}

pub(crate) struct SecureStream(pub(crate) Box<dyn Transported>);

/// [`Transport`] without what a trait object can not have.
pub(crate) trait Transported: AsyncRead + AsyncWrite + Unpin {
    fn cork(&self) -> &Cork;
}

/// What the connections of a server share.
pub(crate) struct Served<H> {
    pub(crate) lp: LoopHandle,
    pub(crate) handler: Rc<H>,
    pub(crate) limits: Rc<Limits>,
    pub(crate) registry: Rc<Registry>,
    pub(crate) secure: Option<Rc<dyn Secure>>,
    pub(crate) allows: Allows,
    pub(crate) on_trouble: Option<OnTrouble>,
    pub(crate) scratch: Scratch,
    pub(crate) spares: Spares,
}

/// What is told of errors that no peer learns of.
pub(crate) type OnTrouble = Rc<dyn Fn(&Trouble)>;

/// Which versions a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allows {
    pub(crate) http1: bool,
    pub(crate) http2: bool,
}

impl<H> Served<H> {
    pub(crate) fn tell(&self, trouble: &Trouble) {
        if let Some(on_trouble) = &self.on_trouble {
            on_trouble(trouble);
        }
    }
}

/// One connection, as its requests see it.
pub(crate) struct Connection<H> {
    pub(crate) served: Rc<Served<H>>,
    pub(crate) info: Rc<ConnectionInfo>,
    pub(crate) watch: Rc<Watch>,
    /// HTTP/1.1: to whom the connection is handed, once an answer agreed.
    pub(crate) agreed: Cell<Option<Upgrader>>,
    /// HTTP/1.1: the answer that the connection is left to.
    pub(crate) lasting: Lasting,
}

/// Why a connection ended, other than by consent.
pub(crate) enum End {
    Fault(Fault),
    Broken(BoxError),
}

impl End {
    /// hyper ended the connection: for our limits, or its own reasons.
    fn of(watch: &Watch, error: hyper::Error) -> Self {
        watch.fault().map_or_else(|| Self::Broken(error.into()), Self::Fault)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.into())
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve<H: Handler>(
    served: Rc<Served<H>>,
    stream: TcpStream,
    first: Bytes,
    member: Member,
) {
    let peer = member.entry().peer;
    // Small answers leave at once: the cork gathers what belongs together better than the system can.
    let _ = stream.set_nodelay(true); // a connection that is gone already says so when it is read
    let ended = match &served.secure {
        None => serve_plain(&served, stream, first, member).await,
        Some(secure) => serve_secure(&served, &**secure, stream, first, member).await,
    };
    let error: BoxError = match ended {
        Ok(()) | Err(End::Fault(Fault::Silent | Fault::Cut)) => return,
        Err(End::Fault(fault)) => fault.into(),
        Err(End::Broken(error)) => error,
    };
    served.tell(&Trouble::Connection { peer, error });
}

async fn serve_plain<H: Handler>(
    served: &Rc<Served<H>>,
    stream: TcpStream,
    first: Bytes,
    member: Member,
) -> Result<(), End> {
    let local = stream.local_addr()?;
    let mut cork = Cork::new(stream, &served.spares);
    cork.put_first(first);
    let opening = match served.allows.http2 {
        true => sniff(&mut cork, member.entry()).await?,
        false => Opening::Speaks(Protocol::Http1, Bytes::new()),
    };
    let (protocol, first) = match opening {
        Opening::Speaks(protocol, first) => (protocol, first),
        Opening::Silent => return Ok(()),
        Opening::Strange => {
            // An answer in either version would be as strange to the peer. RFC 9113, section 3.4, asks for no more than the end.
            linger(&served.lp, &served.limits, cork).await;
            return Err(End::Fault(Fault::NotHttp));
        }
    };
    let info = ConnectionInfo { peer: member.entry().peer, local, protocol, tls: None };
    speak(served, cork, first, info, member).await
}

async fn serve_secure<H: Handler>(
    served: &Rc<Served<H>>,
    secure: &dyn Secure,
    stream: TcpStream,
    first: Bytes,
    member: Member,
) -> Result<(), End> {
    let local = stream.local_addr()?;
    let cork = Cork::new(stream, &served.spares);
    cork.put_first(first);
    let mut handshake = secure.handshake(cork.clone());
    let entry = member.entry();
    let secured = poll_fn(|cx| {
        entry.listen(cx);
        if entry.is_cut() {
            return Poll::Ready(Err(io::Error::other(Fault::Cut)));
        }
        let shaken = handshake.as_mut().poll(cx);
        // What it has written leaves, also what says why it failed.
        match cork.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => shaken,
        }
    });
    let secured = served.lp.timeout(served.limits.handshake, secured).await;
    let Secured { stream, info: tls } = secured.map_err(|_| End::Fault(Fault::SlowHandshake))??;
    let protocol = match tls.alpn.as_deref() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let info = ConnectionInfo { peer: entry.peer, local, protocol, tls: Some(tls) };
    speak(served, stream, Bytes::new(), info, member).await
}

/// What a connection begins with.
enum Opening {
    /// A version of HTTP, and what was read of it.
    Speaks(Protocol, Bytes),
    /// It went before it said anything.
    Silent,
    /// Neither version of HTTP.
    Strange,
}

/// Reads as much as tells the versions of HTTP apart.
async fn sniff(cork: &mut Cork, entry: &Entry) -> Result<Opening, End> {
    let (mut buf, mut len) = ([0; PREFACE.len()], 0);
    poll_fn(|cx| {
        entry.listen(cx);
        if entry.is_cut() {
            return Poll::Ready(Err(End::Fault(Fault::Cut)));
        }
        while let Poll::Ready(read) = Pin::new(&mut *cork).poll_read(cx, &mut buf[len..]) {
            let read = read?;
            len += read;
            let protocol = match guess(&buf[..len]) {
                _ if read == 0 && len == 0 => return Poll::Ready(Ok(Opening::Silent)),
                Guess::Neither => return Poll::Ready(Ok(Opening::Strange)),
                Guess::Unclear if read > 0 => continue,
                Guess::Http1 | Guess::Unclear => Protocol::Http1,
                Guess::Http2 => Protocol::Http2,
            };
            return Poll::Ready(Ok(Opening::Speaks(protocol, Bytes::copy_from_slice(&buf[..len]))));
        }
        if entry.is_draining() {
            entry.watch.has_last_chance();
        }
        match ready!(entry.watch.poll_due(cx, cork)) {
            Due::End(fault) => Poll::Ready(Err(End::Fault(fault))),
            Due::Idle => Poll::Ready(Ok(Opening::Silent)),
        }
    })
    .await
}

/// Speaks the version of HTTP that was agreed upon.
async fn speak<H: Handler, S: Transport>(
    served: &Rc<Served<H>>,
    stream: S,
    first: Bytes,
    info: ConnectionInfo,
    member: Member,
) -> Result<(), End> {
    let (protocol, watch) = (info.protocol, Rc::clone(&member.entry().watch));
    member.entry().protocol.set(Some(protocol));
    if protocol == Protocol::Http2 {
        watch.count_frames();
    } else if !served.allows.http1 {
        return refuse(served, stream, answers::VERSION_NOT_SUPPORTED).await;
    }
    if !first.is_empty() && watch.received(&first).is_err() {
        return Err(End::Fault(Fault::LongUri)); // 24 bytes are no flood, and no line that is too long
    }
    let wire = Wire::new(stream, &served.scratch, Rc::clone(&watch)).with_first(first);
    let connection = Rc::new(Connection {
        served: Rc::clone(served),
        info: Rc::new(info),
        watch,
        agreed: Cell::default(),
        lasting: Lasting::default(),
    });
    match protocol {
        Protocol::Http1 => http1::serve(connection, wire, member).await,
        Protocol::Http2 => http2::serve(connection, wire, member).await,
    }
}

/// A connection of hyper's, of either version.
pub(crate) trait Driven {
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>>;

    /// Has it end when it has answered what it was asked.
    fn wind_down(&mut self);
}

/// Polls a connection until it ends, and looks after its deadlines, its cork and what it is told by the server.
pub(crate) async fn drive<H>(
    connection: &Connection<H>,
    cork: &Cork,
    entry: &Entry,
    driven: &mut impl Driven,
) -> Result<(), End> {
    let watch = &*connection.watch;
    // Here HTTP/1.1 says so in the last answer.
    let requests_max = match connection.info.protocol {
        Protocol::Http1 => u64::MAX,
        Protocol::Http2 => connection.served.limits.requests_per_connection_max,
    };
    let mut winding_down = false;
    poll_fn(|cx| {
        entry.listen(cx);
        loop {
            if entry.is_cut() {
                return Poll::Ready(Err(End::Fault(Fault::Cut)));
            }
            let is_done = watch.requests() >= requests_max;
            let waits = !winding_down && !is_done && entry.is_draining() && watch.has_last_chance();
            if !winding_down && (is_done || entry.is_draining()) && !waits {
                winding_down = true;
                driven.wind_down();
                watch.leave();
            }
            let served = driven.poll_serve(cx);
            let took_all = cork.stalled().is_none();
            let drained = cork.poll_drain(cx);
            if let Poll::Ready(served) = served {
                return Poll::Ready(served.map_err(|error| End::of(watch, error)));
            }
            let drained = drained?.is_ready();
            match connection.lasting.is_due() {
                true if took_all => return Poll::Ready(Ok(())),
                true if drained => continue, // hyper has more to write, and there is room now
                _ => {}
            }
            if waits && !watch.asked_nothing() {
                continue; // it has taken its chance
            }
            match ready!(watch.poll_due(cx, cork)) {
                Due::End(fault) => return Poll::Ready(Err(End::Fault(fault))),
                Due::Idle if winding_down => return Poll::Ready(Ok(())),
                Due::Idle => {
                    winding_down = true;
                    driven.wind_down();
                    watch.leave();
                }
            }
        }
    })
    .await
}

/// Answers without a handler, and ends the connection.
pub(crate) async fn refuse<H, S: Transport>(
    served: &Served<H>,
    mut stream: S,
    answer: answers::Answer,
) -> Result<(), End> {
    let bytes = answer.bytes();
    let mut written = 0;
    let writing = poll_fn(|cx| {
        while written < bytes.len() {
            written += ready!(Pin::new(&mut stream).poll_write(cx, &bytes[written..]))?;
        }
        Poll::Ready(Ok::<_, io::Error>(()))
    });
    // The answer is short: whoever takes nothing of it has no use for it.
    let _ = served.lp.timeout(served.limits.linger, writing).await;
    linger(&served.lp, &served.limits, stream).await;
    Ok(())
}

/// Says that this was all, and then reads what still comes, for a while: closing at once would take the answer away from a
/// peer that is still sending. RFC 9112, section 9.6.
pub(crate) async fn linger<S: Transport>(lp: &LoopHandle, limits: &Limits, mut stream: S) {
    let mut buf = [0; 1024];
    let cork = stream.cork().clone();
    let reading = poll_fn(|cx| {
        let closed = Pin::new(&mut stream).poll_close(cx);
        if ready!(cork.poll_drain(cx)).is_err() || ready!(closed).is_err() {
            return Poll::Ready(());
        }
        loop {
            match ready!(Pin::new(&mut stream).poll_read(cx, &mut buf)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    });
    // Either way the connection ends now.
    let _ = lp.timeout(limits.linger, reading).await;
}

impl AsyncRead for SecureStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for SecureStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_close(cx)
    }
}

impl Transport for SecureStream {
    fn cork(&self) -> &Cork {
        self.0.cork()
    }

    fn into_upgraded(self, first: Bytes, member: Member) -> Upgraded {
        Upgraded::secure(self, first, member)
    }
}
