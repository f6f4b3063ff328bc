//! Compressing piece by piece.

use std::fmt;

use super::format::Encode;
use super::{CompressError, Flush, Step};

/// Compresses what it is given, piece by piece, into buffers that it is given. Made by [`Format::encoder`](super::Format).
///
/// It may be sent to other threads. It holds as much as its format's window: 0.3 MiB for deflate, up to some 20 MiB for
/// brotli and zstd at high levels.
///
/// # Examples
/// ```
/// use fs_pool::compress::{Deflate, Flush, Format};
///
/// let (mut encoder, mut out) = (Deflate::gzip().encoder()?, [0; 100]);
/// let step = encoder.step(b"hello hello hello hello", &mut out, Flush::Finish)?;
/// assert!(step.is_done && step.read == 23 && step.written > 20);
/// # Ok::<(), fs_pool::compress::CompressError>(())
/// ```
pub struct Encoder {
    inner: Box<dyn Encode>,
    state: State,
    read: u64,
    written: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Finished,
    Broken,
}

impl Encoder {
    pub(super) fn new(inner: impl Encode + 'static) -> Self {
        Self { inner: Box::new(inner), state: State::Open, read: 0, written: 0 }
    }

    /// Takes some of `input`, and fills some of `output`.
    ///
    /// Call it again with the rest of the input and the same `flush` until `is_done`. A step that is not done has filled
    /// the output or taken some of the input.
    ///
    /// # Errors
    /// `Finished`, if it is given input after its end; a finished encoder that is given none is done.
    pub fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Result<Step, CompressError> {
        match self.state {
            State::Broken => return Err(CompressError::Broken),
            State::Finished if input.is_empty() => return Ok(Step { read: 0, written: 0, is_done: true }),
            State::Finished => return Err(CompressError::Finished),
            State::Open => {}
        }
        let step = self.inner.step(input, output, flush).inspect_err(|_| self.state = State::Broken)?;
        self.read += step.read as u64;
        self.written += step.written as u64;
        if step.is_done && flush == Flush::Finish {
            self.state = State::Finished;
        }
        Ok(step)
    }

    /// How many bytes it has taken and written.
    pub fn totals(&self) -> (u64, u64) {
        (self.read, self.written)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("read", &self.read)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
