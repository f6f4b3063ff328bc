//! Gathering small writes: one system call for all that a task writes in one go.
//!
//! HTTP writes in small pieces: a head, a chunk, a frame, and with pipelining whole responses. A corked stream keeps
//! them until the task that serves the connection has run; then whoever drives the task drains it.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use futures_io::{AsyncRead, AsyncWrite};
use phaseloop::net::TcpStream;

/// Bytes that wait in a corked stream at most. A larger write goes to the system directly, behind what waits.
const CORK_LEN_MAX: usize = 32 * 1024;

/// Buffers that are kept for the next connection that has something to write.
const SPARES_MAX: usize = 16;

/// A connection whose small writes wait for [`poll_drain`](Self::poll_drain). Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Cork(Rc<Inner>);

struct Inner {
    stream: TcpStream,
    /// What was read before this was made, and is read first.
    first: RefCell<Bytes>,
    waiting: RefCell<Waiting>,
    spares: Spares,
    corked: Cell<bool>,
    /// Since when the peer takes nothing of what is there for it.
    stalled: Cell<Option<Instant>>,
}

#[derive(Default)]
struct Waiting {
    /// Borrowed from the spares while there is something in it: a silent connection owns none.
    bytes: Vec<u8>,
    written: usize,
}

impl Waiting {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.written
    }
}

/// Buffers that nobody uses at the moment, shared by the connections of a server.
#[derive(Clone, Default)]
pub(crate) struct Spares(Rc<RefCell<Vec<Vec<u8>>>>);

impl Spares {
    fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    fn put_back(&self, mut bytes: Vec<u8>) {
        let mut spares = self.0.borrow_mut();
        if spares.len() < SPARES_MAX && bytes.capacity() > 0 {
            bytes.clear();
            spares.push(bytes);
        }
    }
}

impl Cork {
    pub(crate) fn new(stream: TcpStream, spares: &Spares) -> Self {
        Self(Rc::new(Inner {
            stream,
            first: RefCell::default(),
            waiting: RefCell::default(),
            spares: spares.clone(),
            corked: Cell::new(true),
            stalled: Cell::new(None),
        }))
    }

    /// Has `bytes` be read before what the stream holds.
    pub(crate) fn put_first(&self, bytes: Bytes) {
        self.0.first.replace(bytes);
    }

    /// From now on a flush writes: for whoever takes the stream over and drains nothing.
    pub(crate) fn uncork(&self) {
        self.0.corked.set(false);
    }

    /// Since when the peer takes nothing of what is there for it.
    pub(crate) fn stalled(&self) -> Option<Instant> {
        self.0.stalled.get()
    }

    /// Writes what waits.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &*self.0;
        let mut waiting = inner.waiting.borrow_mut();
        while waiting.len() > 0 {
            let wrote = inner.poll_counted(|| inner.stream.poll_write(cx, waiting.rest()));
            match ready!(wrote)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => waiting.written += len,
            }
        }
        if waiting.written > 0 {
            waiting.written = 0;
            inner.spares.put_back(std::mem::take(&mut waiting.bytes));
        }
        Poll::Ready(Ok(()))
    }

    /// Keeps `bufs` if there is room for all of them.
    fn keep(&self, bufs: &[IoSlice<'_>], len: usize) -> bool {
        let inner = &*self.0;
        let mut waiting = inner.waiting.borrow_mut();
        if waiting.len() + len > CORK_LEN_MAX {
            return false;
        }
        if waiting.bytes.capacity() == 0 {
            waiting.bytes = inner.spares.take();
        }
        bufs.iter().for_each(|buf| waiting.bytes.extend_from_slice(buf));
        true
    }

    fn poll_write_all(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if self.0.corked.get() && self.keep(bufs, len) {
            return Poll::Ready(Ok(len));
        }
        ready!(self.poll_drain(cx))?;
        self.0.poll_counted(|| match bufs {
            [buf] => self.0.stream.poll_write(cx, buf),
            _ => self.0.stream.poll_write_vectored(cx, bufs),
        })
    }
}

impl Inner {
    /// Notes whether the peer takes something.
    fn poll_counted(&self, write: impl FnOnce() -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let wrote = write();
        match &wrote {
            Poll::Ready(_) => self.stalled.set(None),
            Poll::Pending if self.stalled.get().is_none() => self.stalled.set(Some(self.stream.lp().now())),
            Poll::Pending => {}
        }
        wrote
    }
}

impl AsyncRead for Cork {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let first = &mut *self.0.first.borrow_mut();
        if !first.is_empty() {
            let len = first.len().min(buf.len());
            first.copy_to_slice(&mut buf[..len]);
            return Poll::Ready(Ok(len));
        }
        self.0.stream.poll_read(cx, buf)
    }
}

impl AsyncWrite for Cork {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_all(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_all(cx, bufs)
    }

    /// While corked this does nothing: the bytes leave when the task has run.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.corked.get() { Poll::Ready(Ok(())) } else { self.poll_drain(cx) }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut &self.0.stream).poll_close(cx)
    }
}
