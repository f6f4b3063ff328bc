//! A byte stream of the loop, as hyper asks for it, with somebody who watches.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

/// How much is read at once. One buffer of this size serves all connections of a server.
const SCRATCH_LEN: usize = 64 * 1024;

/// How much is kept of what a peer says while it waits for an answer: as long as such requests are in most cases. A connection holds it for
/// as long as its handler takes.
const LOOK_AHEAD_MAX: usize = 8 * 1024;

/// Sees what passes through a [`Wire`].
pub(crate) trait Watcher {
    /// Bytes came in.
    ///
    /// # Errors
    /// Ends the connection, after the last words that are inside.
    fn received(&self, bytes: &[u8]) -> Result<(), LastWords>;

    /// Bytes went out: the first `len` of these.
    fn sent(&self, bufs: &[IoSlice<'_>], len: usize);

    /// True while the peer waits for an answer to all that it has said, and nobody reads from it: that it goes is news then. Else `cx` is
    /// woken when that begins.
    fn peer_waits(&self, _cx: &Context<'_>) -> bool {
        false
    }

    /// The peer went while it was waited for.
    fn peer_left(&self) {}
}

/// Why a connection ends, and what its peer is told before.
pub(crate) struct LastWords {
    pub(crate) error: io::Error,
    pub(crate) words: Option<[u8; 17]>,
}

/// The buffer that reads borrow: safe code can not read into hyper's, which is not initialized, so bytes take one more
/// step. They are in the cache then, and a silent connection owns no buffer.
#[derive(Clone, Default)]
pub(crate) struct Scratch(Rc<Cell<Option<Box<[u8]>>>>);

impl Scratch {
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut buf = self.0.take().unwrap_or_else(|| vec![0; SCRATCH_LEN].into_boxed_slice());
        let result = f(&mut buf);
        self.0.set(Some(buf));
        result
    }
}

/// A stream for hyper. What was read from it before comes first.
pub(crate) struct Wire<S, W> {
    stream: S,
    first: Bytes,
    scratch: Scratch,
    watcher: W,
    /// hyper writes several buffers in one call.
    vectored: bool,
}

impl<S, W: Watcher> Wire<S, W> {
    pub(crate) fn new(stream: S, scratch: &Scratch, watcher: W) -> Self {
        Self { stream, first: Bytes::new(), scratch: scratch.clone(), watcher, vectored: true }
    }

    /// Has hyper write one buffer a call: for what is copied into the cork either way.
    #[cfg(feature = "http2")]
    pub(crate) fn one_by_one(mut self) -> Self {
        self.vectored = false;
        self
    }

    /// Has `bytes` be read before what the stream holds. The watcher has seen them.
    pub(crate) fn with_first(mut self, bytes: Bytes) -> Self {
        self.first = bytes;
        self
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream, and what was read of it and not taken.
    pub(crate) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.first)
    }
}

impl<S: AsyncRead + Unpin, W: Watcher> Wire<S, W> {
    /// Looks whether the peer is still there. What it says meanwhile is kept, and after that nothing more is read.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Self { stream, scratch, watcher, .. } = self;
        self.first = scratch.with(|scratch| {
            let ahead = &mut scratch[..LOOK_AHEAD_MAX];
            match Pin::new(stream).poll_read(cx, ahead) {
                Poll::Pending => Ok(Bytes::new()),
                Poll::Ready(Ok(0)) => {
                    watcher.peer_left();
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
                Poll::Ready(read) => read.map(|len| Bytes::copy_from_slice(&ahead[..len])),
            }
        })?;
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, W: Watcher + Unpin> Read for Wire<S, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.first.has_remaining() {
            let len = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first.split_to(len));
            return Poll::Ready(Ok(()));
        }
        let (stream, watcher) = (&mut this.stream, &this.watcher);
        this.scratch.with(|scratch| {
            let len = scratch.len().min(buf.remaining());
            let len = ready!(Pin::new(&mut *stream).poll_read(cx, &mut scratch[..len]))?;
            if len > 0
                && let Err(LastWords { error, words }) = watcher.received(&scratch[..len])
            {
                if let Some(words) = words {
                    // If they can not be written now the peer is not listening.
                    let _ = Pin::new(stream).poll_write(cx, &words);
                }
                return Poll::Ready(Err(error));
            }
            buf.put_slice(&scratch[..len]);
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, W: Watcher + Unpin> Write for Wire<S, W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.watcher.sent(&[IoSlice::new(buf)], len);
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.watcher.sent(bufs, len);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // hyper flushes each time it is polled, also while it waits for a handler.
        if self.first.is_empty() && self.watcher.peer_waits(cx) {
            self.look_ahead(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
