//! Decompressing piece by piece.

use std::fmt;

use super::format::{Decode, Fault};
use super::{CompressError, Step};

/// Decompresses what it is given, piece by piece, into buffers that it is given. Made by [`Format::decoder`](super::Format).
///
/// # Examples
/// ```
/// use fs_pool::compress::{CompressError, Deflate, Format};
///
/// let mut decoder = Deflate::gzip().decoder()?.output_len_max(1000);
/// let step = decoder.step(&[0x1f, 0x8b, 8, 0], &mut [0; 100])?; // the beginning of a header
/// assert_eq!((step.read, step.is_done), (4, false));
/// assert!(matches!(decoder.end(), Err(CompressError::Truncated { read: 4, .. })));
/// # Ok::<(), CompressError>(())
/// ```
pub struct Decoder {
    inner: Box<dyn Decode>,
    /// Whether the input may end here.
    is_end: bool,
    is_broken: bool,
    limit: u64,
    read: u64,
    written: u64,
}

impl Decoder {
    pub(super) fn new(inner: impl Decode + 'static) -> Self {
        Self { inner: Box::new(inner), is_end: false, is_broken: false, limit: u64::MAX, read: 0, written: 0 }
    }

    /// Sets how many bytes it may write in all; by default as many as it can.
    pub fn output_len_max(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Takes some of `input`, and fills some of `output`.
    ///
    /// A step that leaves room in the output has written all that can be made of the input so far. `is_done` says that
    /// the stream is at an end: the input may end there, and what it takes no more of does not belong to it. Another gzip
    /// member or zstd frame is part of the stream, and so it goes on where one follows.
    ///
    /// # Errors
    /// `Corrupt`, `Dictionary` and `TooLong`: it is of no use afterwards.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CompressError> {
        if self.is_broken {
            return Err(CompressError::Broken);
        }
        // One byte more than is allowed shows that there is more.
        let room =
            usize::try_from(self.limit.saturating_sub(self.written).saturating_add(1)).unwrap_or(usize::MAX);
        let room = room.min(output.len());
        let step = self.inner.step(input, &mut output[..room]).map_err(|fault| self.fail(fault))?;
        self.read += step.read as u64;
        self.written += step.written as u64;
        self.is_end = step.is_done;
        if self.written > self.limit {
            self.is_broken = true;
            return Err(CompressError::TooLong { limit: self.limit });
        }
        Ok(step)
    }

    /// To be asked when there is no more input.
    ///
    /// # Errors
    /// `Truncated`, unless the last step was done.
    pub fn end(&self) -> Result<(), CompressError> {
        if self.is_end {
            return Ok(());
        }
        Err(CompressError::Truncated { format: self.inner.format(), read: self.read })
    }

    /// How many bytes it has taken and written.
    pub fn totals(&self) -> (u64, u64) {
        (self.read, self.written)
    }

    fn fail(&mut self, fault: Fault) -> CompressError {
        self.is_broken = true;
        match fault {
            Fault::Corrupt { said, read } => {
                CompressError::Corrupt { format: self.inner.format(), at: self.read + read as u64, said }
            }
            Fault::Dictionary { needed, given } => CompressError::Dictionary { needed, given },
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("read", &self.read)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
