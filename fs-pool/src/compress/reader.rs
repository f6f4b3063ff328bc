//! A reader through a coder.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncRead;

use super::Flush;
use super::engine::Engine;

/// Gives what another reader gives, compressed or decompressed. Made by [`Compress`](super::Compress).
///
/// It reads a piece, has the pool work on it, and gives what came of it, with two buffers of a piece each. A reader that is
/// not `Unpin` is given as `Box::pin(reader)`.
///
/// # Errors
/// Those of the reader; and of [`CompressError`](super::CompressError), as `io::Error`s: `InvalidData` for bad input,
/// `UnexpectedEof` where it ends too early, `FileTooLarge` above the limit. After an error it only gives errors.
///
/// # Cancel safety
/// A read that is dropped loses nothing. Dropping this gives up what runs on the pool.
pub struct CompressReader<R> {
    inner: R,
    engine: Engine,
}

impl<R> CompressReader<R> {
    pub(super) fn new(inner: R, engine: Engine) -> Self {
        Self { inner, engine }
    }

    /// The reader inside.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The reader inside; what was read of it and not given is lost.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for CompressReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let piece_len = this.engine.piece_len();
            let unit = ready!(this.engine.poll_unit(cx)).map_err(io::Error::from)?;
            let (is_done, is_finished) = (unit.is_done, unit.is_finished());
            let output = this.engine.output();
            if !output.is_empty() {
                let len = output.len().min(buf.len());
                buf[..len].copy_from_slice(&output[..len]);
                this.engine.consume(len);
                return Poll::Ready(Ok(len));
            }
            if is_finished {
                return Poll::Ready(Ok(0));
            }
            debug_assert!(is_done, "ready means output or nothing to do");
            let unit = ready!(this.engine.poll_unit(cx)).map_err(io::Error::from)?;
            // INVARIANT free: the unit is done, so its input is only room, also if the read below is pending.
            unit.input.resize(piece_len, 0);
            let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut unit.input))?;
            let mut input = std::mem::take(&mut unit.input);
            input.truncate(read);
            unit.feed(input, if read == 0 { Flush::Finish } else { Flush::None });
        }
    }
}

impl<R> fmt::Debug for CompressReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressReader").finish_non_exhaustive()
    }
}
