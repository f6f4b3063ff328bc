//! Files: what blocks is done by the pool, and its result comes to the loop.
//!
//! An [`Fs`] is the front, a [`File`] an open file. Each operation starts when it is called and gives an [`Operation`],
//! which is awaited or told what to call: one set of functions for both ways.
//!
//! README.md in this folder says which operations there are, and which not yet.
//!
//! # Ordering
//! A call is one job, and so one hop: its end is seen in the first poll phase after it is done. Whole files and
//! `mkdir_recursive` take as many jobs as the documentation of the function says. Operations under way at the same time
//! end in any order, but with a pool of one worker in the order of their calls. Source: SEMANTICS W1 to W3.
//!
//! # Examples
//! ```
//! use fs_pool::{fs::Fs, pool::Pool, request::LoopPool};
//! use phaseloop::{EventLoop, RunMode};
//!
//! let (lp, pool) = (EventLoop::new()?, Pool::builder().build()?);
//! let fs = Fs::new(&LoopPool::new(&lp, &pool));
//! let folder = lp.block_on(fs.mkdtemp(std::env::temp_dir().join("phaseloop-")))??;
//!
//! // Awaited:
//! let file = folder.join("greeting");
//! let text = lp.block_on(async {
//!     fs.write_file(&file, "hello").await?;
//!     fs.read_file(&file).await
//! })??;
//! assert_eq!(text, b"hello");
//!
//! // With a callback:
//! fs.unlink(&file).on_done(move |_lp, result| {
//!     result.expect("the file was there");
//!     fs.rmdir(&folder).on_done(|_lp, result| result.expect("the folder is empty"));
//! });
//! lp.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod attributes;
mod batch;
mod builder;
mod copy;
mod dir;
mod entry;
mod error;
mod file;
mod file_attributes;
mod front;
mod limits;
mod metadata;
mod mkdir;
mod open_options;
mod operation;
mod pipeline;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
mod ring;
#[cfg(not(all(feature = "io-uring", target_os = "linux")))]
#[path = "no_ring.rs"]
mod ring;
mod stream;
mod sys;
mod target;
mod temp;
mod tree;
mod vectored;
mod whole;

pub use access::Access;
pub use attributes::{FileSystemStat, SetTime};
pub use batch::Batched;
pub use builder::FsBuilder;
pub use copy::{CopyOptions, Reflink};
pub use dir::Dir;
pub use entry::DirEntry;
pub use error::FsError;
pub use file::File;
pub use front::Fs;
pub use limits::FsLimits;
pub use metadata::{FileType, Metadata};
pub use open_options::OpenOptions;
pub use operation::Operation;
pub use pipeline::{Map, Pipeline, PipelineEnd, PipelineError, pipeline};
#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub use ring::{IoUring, IoUringLimits, IoUringStats};
pub use stream::{ReadControl, ReadOptions, ReadStream, StreamError, WriteControl, WriteStream};
pub use target::WriteOptions;
pub use temp::{TempFile, TempFolder};
pub use tree::{Copied, CpOptions, RmOptions, TreeEntry};
