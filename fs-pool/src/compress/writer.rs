//! A writer through a coder.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

use super::engine::Engine;
use super::{CompressError, Flush};

/// Writes what it gets to another writer, compressed or decompressed. Made by [`Compress`](super::Compress).
///
/// It gathers a piece, has the pool work on it, and writes what came of it while the next piece is gathered: three buffers of a
/// piece each. Order is kept. Only closing writes the end of the stream. A writer that is not `Unpin` is given as
/// `Box::pin(writer)`.
///
/// # Errors
/// Those of the writer; and of [`CompressError`], as `io::Error`s, as with [`CompressReader`](super::CompressReader).
/// An error may come with a later write than the one that caused it, or with the flush. After one it only gives errors.
///
/// # Cancel safety
/// A write that is dropped has taken nothing. Flush and close go on where they were. Dropping this gives up what runs on
/// the pool, and loses what was not flushed.
pub struct CompressWriter<W> {
    inner: W,
    engine: Engine,
    gathered: Vec<u8>,
    flush: Flush,
    is_flushed: bool,
    is_closing: bool,
}

impl<W> CompressWriter<W> {
    pub(super) fn new(inner: W, engine: Engine) -> Self {
        let (gathered, flush) = (Vec::new(), Flush::Sync);
        Self { inner, engine, gathered, flush, is_flushed: true, is_closing: false }
    }

    /// What flushing does to an encoder; `Sync` by default. With `None` flushing waits for the pool and leaves it to the
    /// encoder how much is written. `Finish` is for closing: it means `Sync` here.
    pub fn flush_mode(mut self, flush: Flush) -> Self {
        self.flush = if flush == Flush::Finish { Flush::Sync } else { flush };
        self
    }

    /// The writer inside.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The writer inside; what was not flushed is lost.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: AsyncWrite + Unpin> CompressWriter<W> {
    /// Ready when what was given to the unit is done and written.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let is_done = ready!(self.engine.poll_unit(cx)).map_err(io::Error::from)?.is_done;
            let output = self.engine.output();
            if !output.is_empty() {
                let written = ready!(Pin::new(&mut self.inner).poll_write(cx, output))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.engine.consume(written);
            } else if is_done {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Gives the unit what was gathered, and has it begin. Only after draining.
    fn poll_feed(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<io::Result<()>> {
        let unit = ready!(self.engine.poll_unit(cx)).map_err(io::Error::from)?;
        let room = std::mem::take(&mut unit.input); // taken before: its memory is used again
        unit.feed(std::mem::replace(&mut self.gathered, room), flush);
        self.gathered.clear();
        // Begins the work; that it is not ready is what is hoped for.
        match self.engine.poll_unit(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for CompressWriter<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.is_closing {
            return Poll::Ready(Err(CompressError::Finished.into()));
        }
        let piece_len = this.engine.piece_len();
        if this.gathered.len() >= piece_len {
            ready!(this.poll_drain(cx))?;
            ready!(this.poll_feed(cx, Flush::None))?;
        }
        let len = buf.len().min(piece_len - this.gathered.len());
        this.gathered.extend_from_slice(&buf[..len]);
        this.is_flushed &= len == 0;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_drain(cx))?;
        if !this.is_flushed {
            let flush = this.flush;
            ready!(this.poll_feed(cx, flush))?;
            this.is_flushed = true;
            ready!(this.poll_drain(cx))?;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_drain(cx))?;
        if !this.is_closing {
            ready!(this.poll_feed(cx, Flush::Finish))?;
            this.is_closing = true;
            ready!(this.poll_drain(cx))?;
        }
        Pin::new(&mut this.inner).poll_close(cx)
    }
}

impl<W> fmt::Debug for CompressWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressWriter").finish_non_exhaustive()
    }
}
