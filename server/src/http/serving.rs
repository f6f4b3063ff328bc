//! A server that runs: accepting, counting, shutting down.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop::{JoinHandle, LoopHandle, yield_now};

use super::answers;
use super::connection::{Protocol, Served, refuse, serve};
use super::error::Trouble;
use super::handler::Handler;
use super::registry::{Entry, Registry};
use super::watch::Watch;
use crate::joint::cork::Cork;

/// Connections that are told at the same time that the server is full. The rest is closed without a word.
const REFUSING_MAX: usize = 64;

/// Connections of the backlog that a shutdown still serves, of each listener.
const LAST_ACCEPTS_MAX: usize = 4096;

/// A server that runs. Clones are the same server; dropping them all lets it run on.
#[derive(Clone)]
pub struct Serving {
    inner: Rc<Inner>,
}

struct Inner {
    lp: LoopHandle,
    registry: Rc<Registry>,
    /// Serves a connection; the handler's type ends here.
    take: Box<dyn Fn(TcpStream, SocketAddr, Bytes)>,
    tell: Box<dyn Fn(&Trouble)>,
    listeners: RefCell<Vec<(TcpListener, JoinHandle<()>)>>,
}

impl Serving {
    pub(crate) fn new<H: Handler>(served: Rc<Served<H>>) -> Self {
        let (lp, registry) = (served.lp.clone(), Rc::clone(&served.registry));
        let refusing = Rc::new(Cell::new(0));
        let telling = Rc::clone(&served);
        let take = move |stream: TcpStream, peer: SocketAddr, first: Bytes| {
            if served.registry.has_room(&served.limits, peer.ip()) {
                let watch = Watch::new(&served.lp, &served.limits);
                let member = served.registry.join(&stream, peer, &watch);
                served.lp.spawn(serve(Rc::clone(&served), stream, first, member)).detach();
            } else {
                turn_away(&served, stream, &refusing);
            }
        };
        let tell = move |trouble: &Trouble| telling.tell(trouble);
        let (take, tell) = (Box::new(take), Box::new(tell));
        Self { inner: Rc::new(Inner { lp, registry, take, tell, listeners: RefCell::default() }) }
    }

    /// Serves whoever comes to `listener` too.
    pub fn add_listener(&self, listener: TcpListener) {
        let (accepting, serving) = (listener.clone(), self.clone());
        let task = self.inner.lp.spawn(async move {
            loop {
                match accepting.accept().await {
                    Ok((stream, peer)) => (serving.inner.take)(stream, peer, Bytes::new()),
                    // It concerns one connection, or descriptors are used up: the next accept waits by itself.
                    Err(error) => serving.tell(error),
                }
            }
        });
        self.inner.listeners.borrow_mut().push((listener, task));
    }

    /// Serves a connection that was accepted elsewhere. One that is gone already is told to
    /// [`on_trouble`](super::Server::on_trouble).
    pub fn serve_stream(&self, stream: TcpStream) {
        self.serve_read_stream(stream, Bytes::new());
    }

    /// As [`serve_stream`](Self::serve_stream), for a connection of which `first` was read already, encrypted or not.
    pub fn serve_read_stream(&self, stream: TcpStream, first: impl Into<Bytes>) {
        match stream.peer_addr() {
            Ok(peer) => (self.inner.take)(stream, peer, first.into()),
            Err(error) => self.tell(error),
        }
    }

    /// The address of the first listener, with the port that was chosen.
    ///
    /// # Errors
    /// `NotConnected` if there is no listener, or it was closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let listeners = self.inner.listeners.borrow();
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        listeners.first().ok_or_else(gone)?.0.local_addr()
    }

    /// What it has done so far.
    pub fn stats(&self) -> ServerStats {
        let (accepted, refused, requests) = self.inner.registry.counts();
        ServerStats { connections: self.inner.registry.len(), accepted, refused, requests }
    }

    /// True once it is shutting down.
    pub fn is_draining(&self) -> bool {
        self.inner.registry.is_draining()
    }

    /// Lets the loop end while the server waits for connections. Those that are open keep the loop alive.
    pub fn unref(&self) {
        self.inner.listeners.borrow().iter().for_each(|(_, task)| task.unref());
    }

    /// Undoes [`unref`](Self::unref).
    pub fn ref_(&self) {
        self.inner.listeners.borrow().iter().for_each(|(_, task)| task.ref_());
    }

    /// Shuts the server down: accepts nothing new, lets each connection finish what it was asked, and cuts what is left
    /// after `grace`. What this gives is told when no connection is left; it need not be awaited.
    ///
    /// Connections that the system had already accepted are served. HTTP/1.1 is told by `Connection: close`, HTTP/2 by
    /// GOAWAY, and who took a connection over by [`Upgraded::is_draining`](super::Upgraded::is_draining). A second shutdown with
    /// a shorter time cuts sooner.
    ///
    /// # Cancel safety
    /// Dropping what this gives changes nothing; to abort it leaves the connections to themselves.
    pub fn shutdown(&self, grace: Duration) -> JoinHandle<ShutdownReport> {
        let serving = self.clone();
        self.inner.lp.spawn(async move { serving.wind_down(grace).await })
    }

    async fn wind_down(&self, grace: Duration) -> ShutdownReport {
        let Inner { lp, registry, .. } = &*self.inner;
        let deadline = lp.sleep(grace);
        yield_now().await; // through poll, so that what waits in the backlog is known
        let listeners = self.inner.listeners.take();
        for (listener, task) in &listeners {
            task.abort();
            self.take_backlog(listener);
            listener.close();
        }
        drop(listeners);
        // And once more: who asked before we stopped is heard before it is told to end.
        yield_now().await;
        yield_now().await;
        let ended = registry.ended();
        registry.drain();
        let mut empty = std::pin::pin!(std::future::poll_fn(|cx| registry.poll_empty(cx)));
        let mut deadline = std::pin::pin!(deadline);
        let finished = std::future::poll_fn(|cx| {
            if empty.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            deadline.as_mut().poll(cx).map(|()| false)
        });
        let are_all = finished.await;
        let finished = registry.ended() - ended;
        if are_all {
            return ShutdownReport { finished, cut: Vec::new() };
        }
        let cut: Vec<_> = registry.cut().iter().map(|entry| CutConnection::of(entry, lp)).collect();
        empty.await;
        ShutdownReport { finished, cut }
    }

    fn take_backlog(&self, listener: &TcpListener) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..LAST_ACCEPTS_MAX {
            match listener.poll_accept(&mut cx) {
                Poll::Ready(Ok((stream, peer))) => (self.inner.take)(stream, peer, Bytes::new()),
                Poll::Ready(Err(error)) => return self.tell(error),
                Poll::Pending => return,
            }
        }
    }

    fn tell(&self, error: io::Error) {
        (self.inner.tell)(&Trouble::Accept(error));
    }
}

/// Tells a connection for which there is no room to come again.
fn turn_away<H: Handler>(served: &Rc<Served<H>>, stream: TcpStream, refusing: &Rc<Cell<usize>>) {
    // Before a handshake there is nobody to tell.
    if served.secure.is_some() || refusing.get() >= REFUSING_MAX {
        return;
    }
    refusing.set(refusing.get() + 1);
    let (served, refusing) = (Rc::clone(served), Rc::clone(refusing));
    let task = served.lp.clone().spawn(async move {
        let cork = Cork::new(stream, &served.spares);
        // What goes wrong here goes wrong with a peer that is not served anyway.
        let _ = refuse(&served, cork, answers::UNAVAILABLE).await;
        refusing.set(refusing.get() - 1);
    });
    task.unref();
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("address", &self.local_addr().ok()).finish_non_exhaustive()
    }
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections that are open.
    pub connections: usize,
    /// Connections that were served or still are.
    pub accepted: u64,
    /// Connections for which there was no room.
    pub refused: u64,
    /// Requests that came.
    pub requests: u64,
}

/// How a shutdown went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that were open when it began and came to an end by themselves.
    pub finished: usize,
    /// Those that did not.
    pub cut: Vec<CutConnection>,
}

/// A connection that was cut because the time was up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutConnection {
    /// The other end.
    pub peer: SocketAddr,
    /// What it spoke; `None` if it had not said so.
    pub protocol: Option<Protocol>,
    /// Its age.
    pub age: Duration,
    /// Requests it had made.
    pub requests: u64,
    /// Of these, how many were under way.
    pub under_way: u32,
}

impl CutConnection {
    fn of(entry: &Rc<Entry>, lp: &LoopHandle) -> Self {
        Self {
            peer: entry.peer,
            protocol: entry.protocol.get(),
            age: lp.now().saturating_duration_since(entry.since),
            requests: entry.watch.requests(),
            under_way: entry.watch.under_way(),
        }
    }
}

impl fmt::Display for CutConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.map_or_else(|| "nothing yet".to_owned(), |spoken| spoken.to_string());
        let Self { peer, age, requests, under_way, .. } = self;
        write!(f, "{peer}, {protocol}, {age:?} old, {under_way} of {requests} requests under way")
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections finished, {} were cut", self.finished, self.cut.len())?;
        self.cut.iter().try_for_each(|cut| write!(f, "; {cut}"))
    }
}
