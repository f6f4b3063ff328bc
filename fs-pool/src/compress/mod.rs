//! gzip, zlib, raw deflate, brotli and zstd: computed by the pool, in class `cpu`. Feature `compress`; brotli and zstd are
//! features of their own.
//!
//! A [`Compress`] is the front of one loop: whole buffers, files, and readers and writers that do their work on the pool,
//! piece by piece. A [`Format`] makes the [`Encoder`]s and [`Decoder`]s, which can be used without a pool. What they make
//! can be read by Node's `zlib`, and the other way round.
//!
//! # Ordering
//! A whole buffer or file is one job, and so one hop. What is below [`CompressLimits::inline_below`] is done on the loop's
//! thread when it is started; its callback is deferred, never called inside the call. Readers and writers take one job a piece,
//! one at a time, so bytes keep their order.
//!
//! # Errors
//! Input that is corrupt, cut short, or makes more than is allowed ends in a [`CompressError`] that says so and where.
//!
//! # Cancel safety
//! Dropping a future, a timeout and the end of the loop give a job up, and it notices between two pieces.
//!
//! # Examples
//! ```
//! use fs_pool::compress::{Compress, Deflate};
//! use fs_pool::{pool::Pool, request::LoopPool};
//! use phaseloop::{EventLoop, RunMode};
//!
//! let (lp, pool) = (EventLoop::new()?, Pool::builder().build()?);
//! let compress = Compress::new(&LoopPool::new(&lp, &pool));
//!
//! // Awaited:
//! let text = lp.block_on(async {
//!     let small = compress.encode(&Deflate::gzip().level(9), "to be or not to be").await?;
//!     compress.decode(&Deflate::gzip(), small).await
//! })??;
//! assert_eq!(text, b"to be or not to be");
//!
//! // With a callback:
//! compress.decode(&Deflate::zlib(), "no zlib at all").run(|_lp, result| {
//!     assert_eq!(result.unwrap_err().to_string(), "bad zlib after 2 bytes: incorrect header check");
//! })?;
//! lp.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "brotli")]
mod brotli;
mod decoder;
mod deflate;
mod encoder;
mod engine;
mod error;
mod file;
mod format;
mod front;
mod limits;
mod reader;
mod step;
mod unit;
mod writer;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "brotli")]
pub use self::brotli::Brotli;
#[cfg(feature = "zstd")]
pub use self::zstd::Zstd;
pub use decoder::Decoder;
pub use deflate::Deflate;
pub use encoder::Encoder;
pub use error::CompressError;
pub use file::FileTotals;
pub use format::Format;
pub use front::{Compress, CompressJob};
pub use limits::CompressLimits;
pub use reader::CompressReader;
pub use step::{Flush, Step};
pub use writer::CompressWriter;
