//! The front: compression for one loop, done by a pool.

use std::fmt;
use std::path::Path;

use futures_io::{AsyncRead, AsyncWrite};

use super::engine::Engine;
use super::file::{FileTotals, transform_file};
use super::unit::{Coder, Unit};
use super::{CompressError, CompressLimits, CompressReader, CompressWriter, Flush, Format};
use crate::pool::{Class, JobContext};
use crate::request::{LoopPool, PreparedJob, Progress, Start};

/// What is compressed and decompressed by a pool for one loop, in class `cpu`. Cheap to clone; clones are the same.
///
/// Whole buffers and files are [`PreparedJob`]s: await them, or `run` them with a callback. See the [module](super).
#[derive(Clone)]
pub struct Compress {
    pool: LoopPool,
    limits: CompressLimits,
}

/// Work of this module.
pub type CompressJob<T> = PreparedJob<T, CompressError>;

impl Compress {
    /// Makes a front.
    pub fn new(pool: &LoopPool) -> Self {
        Self::with_limits(pool, CompressLimits::default())
    }

    /// As `new`, with bounds other than the default ones.
    pub fn with_limits(pool: &LoopPool, limits: CompressLimits) -> Self {
        let limits = CompressLimits { piece_len: limits.piece_len.max(256), ..limits };
        Self { pool: pool.clone(), limits }
    }

    // --- whole buffers ---

    /// Compresses a buffer: a `Vec`, a `&'static str`, an `Arc<[u8]>`.
    ///
    /// # Errors
    /// `Parameter`, if a setting of the format is bad.
    #[track_caller]
    pub fn encode(
        &self,
        format: &impl Format,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> CompressJob<Vec<u8>> {
        let (is_quick, format) = (format.is_quick(), format.clone());
        self.whole(is_quick, bytes, move || format.encoder().map(Coder::Encode))
    }

    /// Decompresses a buffer. Bytes after the end of the stream are ignored, but for gzip members and zstd frames.
    ///
    /// # Errors
    /// `Corrupt`, `Truncated`, `Dictionary`; `TooLong` above [`CompressLimits::output_len_max`].
    #[track_caller]
    pub fn decode(
        &self,
        format: &impl Format,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> CompressJob<Vec<u8>> {
        let (is_quick, format, limit) = (format.is_quick(), format.clone(), self.limits.output_len_max);
        self.whole(is_quick, bytes, move || Ok(Coder::Decode(format.decoder()?.output_len_max(limit))))
    }

    #[track_caller]
    fn whole<I: AsRef<[u8]> + Send + 'static>(
        &self,
        is_quick: bool,
        bytes: I,
        coder: impl FnOnce() -> Result<Coder, CompressError> + Send + 'static,
    ) -> CompressJob<Vec<u8>> {
        let CompressLimits { piece_len, inline_below, .. } = self.limits;
        PreparedJob::starting(&self.pool, Class::CPU, move || {
            if is_quick && bytes.as_ref().len() < inline_below {
                return start_inline(coder, bytes, piece_len, inline_below);
            }
            Start::Submit(Box::new(move |cx| rest(Unit::new(coder()?, bytes, Flush::Finish), piece_len, cx)))
        })
    }

    // --- files ---

    /// Compresses a file into another in one job, with two buffers however long it is. `progress` counts bytes read.
    ///
    /// `to` is written under another name beside it and renamed at the end: it is there whole or as it was before. Its
    /// permissions are those of a new file.
    ///
    /// # Errors
    /// As `encode`, and `File` with the path.
    #[track_caller]
    pub fn encode_file(
        &self,
        format: &impl Format,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        progress: &Progress,
    ) -> CompressJob<FileTotals> {
        let format = format.clone();
        self.file(from.as_ref(), to.as_ref(), progress, move || format.encoder().map(Coder::Encode))
    }

    /// Decompresses a file into another. As [`encode_file`](Self::encode_file); `output_len_max` bounds the output.
    ///
    /// # Errors
    /// As `decode`, and `File` with the path.
    #[track_caller]
    pub fn decode_file(
        &self,
        format: &impl Format,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        output_len_max: u64,
        progress: &Progress,
    ) -> CompressJob<FileTotals> {
        let format = format.clone();
        let coder = move || Ok(Coder::Decode(format.decoder()?.output_len_max(output_len_max)));
        self.file(from.as_ref(), to.as_ref(), progress, coder)
    }

    #[track_caller]
    fn file(
        &self,
        from: &Path,
        to: &Path,
        progress: &Progress,
        coder: impl FnOnce() -> Result<Coder, CompressError> + Send + 'static,
    ) -> CompressJob<FileTotals> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        let (piece_len, progress) = (self.limits.piece_len, progress.clone());
        PreparedJob::new(&self.pool, Class::CPU, move |cx| {
            transform_file(coder()?, &from, &to, piece_len, &progress, &|| cx.check())
        })
    }

    // --- streams ---

    /// A reader that gives what another one gives, compressed.
    ///
    /// # Errors
    /// `Parameter`, if a setting of the format is bad.
    pub fn encode_reader<R: AsyncRead>(
        &self,
        format: &impl Format,
        reader: R,
    ) -> Result<CompressReader<R>, CompressError> {
        Ok(CompressReader::new(reader, self.engine(Coder::Encode(format.encoder()?), format.is_quick())))
    }

    /// A reader that gives what another one gives, decompressed, and at most so many bytes.
    ///
    /// # Errors
    /// `Parameter`, if a setting of the format is bad. Bad input is an error of reading.
    pub fn decode_reader<R: AsyncRead>(
        &self,
        format: &impl Format,
        reader: R,
        output_len_max: u64,
    ) -> Result<CompressReader<R>, CompressError> {
        let decoder = format.decoder()?.output_len_max(output_len_max);
        Ok(CompressReader::new(reader, self.engine(Coder::Decode(decoder), format.is_quick())))
    }

    /// A writer that compresses what it gets and writes it to another one.
    ///
    /// # Errors
    /// `Parameter`, if a setting of the format is bad.
    pub fn encode_writer<W: AsyncWrite>(
        &self,
        format: &impl Format,
        writer: W,
    ) -> Result<CompressWriter<W>, CompressError> {
        Ok(CompressWriter::new(writer, self.engine(Coder::Encode(format.encoder()?), format.is_quick())))
    }

    /// A writer that decompresses what it gets and writes it, at most so many bytes, to another one.
    ///
    /// # Errors
    /// `Parameter`, if a setting of the format is bad. Bad input is an error of writing, flushing or closing.
    pub fn decode_writer<W: AsyncWrite>(
        &self,
        format: &impl Format,
        writer: W,
        output_len_max: u64,
    ) -> Result<CompressWriter<W>, CompressError> {
        let decoder = format.decoder()?.output_len_max(output_len_max);
        Ok(CompressWriter::new(writer, self.engine(Coder::Decode(decoder), format.is_quick())))
    }

    fn engine(&self, coder: Coder, is_quick: bool) -> Engine {
        let inline_below = if is_quick { self.limits.inline_below } else { 0 };
        Engine::new(&self.pool, coder, self.limits.piece_len, inline_below)
    }
}

/// Does a small piece of work where it is called. What turns out to make a lot is handed to the pool half-way.
fn start_inline<I: AsRef<[u8]> + Send + 'static>(
    coder: impl FnOnce() -> Result<Coder, CompressError>,
    bytes: I,
    piece_len: usize,
    inline_below: usize,
) -> Start<Vec<u8>, CompressError> {
    let begun = coder().and_then(|coder| {
        let mut unit = Unit::new(coder, bytes, Flush::Finish);
        unit.advance(piece_len.min(inline_below.max(256)), INLINE_GROWTH_MAX * inline_below, &|| Ok(()))?;
        Ok(unit)
    });
    match begun {
        Ok(unit) if unit.is_done => Start::Done(Ok(unit.output)),
        Ok(unit) => Start::Submit(Box::new(move |cx| rest(unit, piece_len, cx))),
        Err(error) => Start::Done(Err(error)),
    }
}

/// How much may come of a small input on the loop's thread, as a multiple of what is small: to decode takes a fifth of the
/// time that encoding takes.
const INLINE_GROWTH_MAX: usize = 4;

fn rest<I: AsRef<[u8]>>(
    mut unit: Unit<I>,
    piece_len: usize,
    cx: &JobContext<'_>,
) -> Result<Vec<u8>, CompressError> {
    unit.advance(piece_len, usize::MAX, &|| cx.check())?;
    Ok(unit.output)
}

impl fmt::Debug for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compress").field("limits", &self.limits).finish_non_exhaustive()
    }
}
