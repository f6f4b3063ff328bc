//! From a URI to a connection that speaks HTTP.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fs_pool::pool::Class;
use fs_pool::request::LoopPool;
use hyper::client::conn::http1;
use phaseloop::LoopHandle;
use phaseloop::net::TcpStream;

use super::http2;
use super::kept::Sender;
use super::options::HttpVersion;
use crate::http::Body;
use crate::joint::cork::{Cork, Spares};
use crate::joint::wire::{LastWords, Scratch, Watcher, Wire};
use crate::reach::{self, literal};

/// Finds the addresses of a host and port.
pub type Resolve = Rc<dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>>;

/// Knows addresses that are written as such, and `localhost`. What a client does unless it is told otherwise.
pub fn resolve_literals() -> Resolve {
    Rc::new(|host, port| {
        let addresses = match literal(&host, port) {
            Some(addresses) => Ok(addresses),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{host:?} is no address, and this client was not told how to look names up"),
            )),
        };
        Box::pin(std::future::ready(addresses))
    })
}

/// Asks the system, on a pool, for names that are no addresses.
pub fn resolve_on(pool: &LoopPool) -> Resolve {
    let pool = pool.clone();
    Rc::new(move |host, port| {
        if let Some(addresses) = literal(&host, port) {
            return Box::pin(std::future::ready(Ok(addresses)));
        }
        let job = pool.spawn(Class::DNS, move |_| Ok((host, port).to_socket_addrs()?.collect()));
        Box::pin(async move { job.await.map_err(|error| io::Error::other(error.to_string()))? })
    })
}

/// What encrypts a connection. The module `tls` has the one that there is.
pub(crate) trait Encrypt {
    fn handshake(&self, cork: Cork, host: &str, version: HttpVersion) -> Encrypting;
}

pub(crate) type Encrypting = Pin<Box<dyn Future<Output = io::Result<Established>>>>;

/// An encrypted connection.
pub(crate) struct Established {
    pub(crate) stream: crate::http::SecureStream,
    pub(crate) speaks_http2: bool,
}

/// A connection on which nothing was said yet.
#[cfg(feature = "ws")]
pub(crate) type Opened = Pin<Box<dyn crate::ws::Stream>>;

/// What connections of a client share.
pub(super) struct Connector {
    pub(super) lp: LoopHandle,
    pub(super) resolve: Resolve,
    pub(super) encrypt: Option<Rc<dyn Encrypt>>,
    pub(super) version: HttpVersion,
    pub(super) connect_time: Duration,
    pub(super) scratch: Scratch,
    pub(super) spares: Spares,
}

impl Connector {
    pub(super) async fn connect(&self, host: &str, port: u16, encrypted: bool) -> io::Result<Sender> {
        let stream = self.reach(host, port).await?;
        stream.set_nodelay(true)?;
        let cork = Cork::new(stream, &self.spares);
        if !encrypted {
            return self.speak(cork.clone(), cork, self.version == HttpVersion::Http2).await;
        }
        let Established { stream, speaks_http2 } = self.encrypt(&cork, host, self.version).await?;
        if self.version == HttpVersion::Http2 && !speaks_http2 {
            let refused = format!("{host:?} did not agree to HTTP/2, and this client speaks nothing else");
            return Err(io::Error::new(io::ErrorKind::Unsupported, refused));
        }
        self.speak(stream, cork, speaks_http2).await
    }

    /// A connection that speaks HTTP/1.1 and then something else. Nothing is held back in it.
    #[cfg(feature = "ws")]
    pub(super) async fn open(&self, host: &str, port: u16, encrypted: bool) -> io::Result<Opened> {
        let stream = self.reach(host, port).await?;
        stream.set_nodelay(true)?;
        let cork = Cork::new(stream, &self.spares);
        if !encrypted {
            cork.uncork();
            return Ok(Box::pin(cork));
        }
        let Established { stream, .. } = self.encrypt(&cork, host, HttpVersion::Http1).await?;
        cork.uncork();
        Ok(Box::pin(stream))
    }

    async fn encrypt(&self, cork: &Cork, host: &str, version: HttpVersion) -> io::Result<Established> {
        let encrypt = self.encrypt.as_ref().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "this client was not told whom to trust: see Client::tls",
            )
        })?;
        let mut handshake = encrypt.handshake(cork.clone(), host, version);
        poll_fn(|cx| {
            let shaken = handshake.as_mut().poll(cx);
            match cork.poll_drain(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => shaken,
            }
        })
        .await
    }

    async fn reach(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let until = self.lp.now().checked_add(self.connect_time);
        let addresses = (self.resolve)(host.to_owned(), port).await?;
        reach::connect(&self.lp, host, &addresses, until).await
    }

    async fn speak<S>(&self, stream: S, cork: Cork, speaks_http2: bool) -> io::Result<Sender>
    where
        S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin + 'static,
    {
        let wire = Wire::new(stream, &self.scratch, Unwatched);
        if speaks_http2 {
            return http2::speak(&self.lp, wire, cork).await;
        }
        let (sender, connection) = http1::handshake::<_, Body>(wire).await.map_err(io::Error::other)?;
        drive(&self.lp, connection, cork);
        Ok(Sender::Http1(sender))
    }
}

/// Polls a connection until it ends, and drains its cork. A connection that nobody uses does not keep the loop alive: the
/// tasks that wait for answers do.
pub(super) fn drive<C>(lp: &LoopHandle, connection: C, cork: Cork)
where
    C: Future<Output = hyper::Result<()>> + 'static,
{
    let mut connection = Box::pin(connection);
    let task = lp.spawn(poll_fn(move |cx: &mut Context<'_>| {
        let served = connection.as_mut().poll(cx);
        let drained = cork.poll_drain(cx);
        match (served, drained) {
            // Whoever waits for an answer is told by hyper.
            (Poll::Ready(_), drained) => {
                let _ = ready!(drained);
                Poll::Ready(())
            }
            (Poll::Pending, Poll::Ready(Err(_))) => Poll::Ready(()),
            (Poll::Pending, _) => Poll::Pending,
        }
    }));
    task.unref();
}

/// Nobody watches what a server sends: its answers are asked for.
pub(super) struct Unwatched;

impl Watcher for Unwatched {
    fn received(&self, _: &[u8]) -> Result<(), LastWords> {
        Ok(())
    }

    fn sent(&self, _: &[IoSlice<'_>], _: usize) {}
}
