//! From a source, through what changes it, into a sink.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use futures_io::{AsyncRead, AsyncWrite};
use phaseloop::LoopHandle;

/// Begins a pipeline at a source: a [`ReadStream`](super::ReadStream), a TCP stream, or any other reader of futures-io.
///
/// Pieces of 64 KiB go from end to end, and none is read before the one before was taken: a slow sink slows the source.
///
/// # Examples
/// ```
/// # use fs_pool::{fs::{Fs, ReadOptions, WriteOptions, pipeline}, pool::Pool, request::LoopPool};
/// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
/// # let fs = Fs::new(&LoopPool::new(&lp, &pool));
/// # let folder = lp.block_on(fs.temp_folder(std::env::temp_dir().join("phaseloop-")))??;
/// # let copy = folder.path().join("copy");
/// let source = fs.read_stream("Cargo.toml", ReadOptions::new());
/// let sink = fs.write_stream(&copy, WriteOptions::new().atomic(true));
/// let louder = |mut chunk: Vec<u8>| {
///     chunk.make_ascii_uppercase();
///     Ok(chunk)
/// };
/// lp.block_on(pipeline(source).map(louder).run(sink))??;
/// assert!(std::fs::read(&copy)?.starts_with(b"[PACKAGE]"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pipeline<R: AsyncRead>(source: R) -> Pipeline<R> {
    Pipeline { source }
}

/// A source and what its bytes go through. Made by [`pipeline`].
#[derive(Debug)]
#[must_use = "nothing flows before `run` or `start`"]
pub struct Pipeline<R> {
    source: R,
}

impl<R: AsyncRead> Pipeline<R> {
    /// Goes through an adapter: whatever makes a reader of a reader, for one that changes how many bytes there are.
    pub fn through<T: AsyncRead>(self, adapt: impl FnOnce(R) -> T) -> Pipeline<T> {
        Pipeline { source: adapt(self.source) }
    }

    /// Goes through a function, piece by piece. What it gives is its own matter: nothing, or more than it got. An error ends the
    /// pipeline.
    pub fn map<F>(self, change: F) -> Pipeline<Map<R, F>>
    where
        F: FnMut(Vec<u8>) -> io::Result<Vec<u8>> + Unpin,
        R: Unpin,
    {
        self.through(|source| Map { source, change, changed: Vec::new(), given: 0 })
    }

    /// Lets all flow, closes the sink, and gives how many bytes it got.
    ///
    /// # Errors
    /// The first error of either end. Both ends are dropped before it is told, which destroys them: files are closed, and a file
    /// that is written atomically is not seen.
    ///
    /// # Cancel safety
    /// Dropping the future drops both ends, as an error does.
    pub async fn run<W: AsyncWrite>(self, sink: W) -> Result<u64, PipelineError> {
        let mut source = pin!(self.source);
        let mut sink = pin!(sink);
        let mut buf = vec![0; PIECE_LEN];
        let mut all = 0;
        for piece in 1_u64.. {
            let read = poll_fn(|cx| source.as_mut().poll_read(cx, &mut buf)).await;
            let len = read.map_err(|error| PipelineError::new(PipelineEnd::Source, error))?;
            if len == 0 {
                break;
            }
            let written = write_all(sink.as_mut(), &buf[..len]).await;
            written.map_err(|error| PipelineError::new(PipelineEnd::Sink, error))?;
            all += len as u64;
            if piece % PIECES_PER_TURN == 0 {
                phaseloop::yield_now().await; // ends that are always ready would starve the loop
            }
        }
        let closed = poll_fn(|cx| sink.as_mut().poll_close(cx)).await;
        closed.map_err(|error| PipelineError::new(PipelineEnd::Sink, error))?;
        Ok(all)
    }

    /// As [`run`](Self::run), as a task of the loop, with a callback. It runs in the task, and so is a microtask.
    pub fn start<W: AsyncWrite + 'static>(
        self,
        lp: &LoopHandle,
        sink: W,
        on_done: impl FnOnce(&LoopHandle, Result<u64, PipelineError>) + 'static,
    ) where
        R: 'static,
    {
        let handle = lp.clone();
        let task = async move {
            let result = self.run(sink).await;
            on_done(&handle, result);
        };
        lp.spawn(task).detach();
    }
}

async fn write_all<W: AsyncWrite>(mut sink: Pin<&mut W>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let len = poll_fn(|cx| sink.as_mut().poll_write(cx, bytes)).await?;
        if len == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[len..];
    }
    Ok(())
}

/// Bytes that are read at a time: those of a file stream's chunk.
const PIECE_LEN: usize = 64 * 1024;

/// Pieces after which others get their turn: 1 MiB, about 100 us from memory to memory.
const PIECES_PER_TURN: u64 = 16;

/// A reader whose pieces go through a function. Made by [`Pipeline::map`].
pub struct Map<R, F> {
    source: R,
    change: F,
    changed: Vec<u8>,
    given: usize,
}

impl<R, F> AsyncRead for Map<R, F>
where
    R: AsyncRead + Unpin,
    F: FnMut(Vec<u8>) -> io::Result<Vec<u8>> + Unpin,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.given == this.changed.len() {
            let mut piece = vec![0; PIECE_LEN];
            let len = ready!(Pin::new(&mut this.source).poll_read(cx, &mut piece))?;
            if len == 0 {
                return Poll::Ready(Ok(0));
            }
            piece.truncate(len);
            this.changed = (this.change)(piece)?;
            this.given = 0;
        }
        let rest = &this.changed[this.given..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        this.given += len;
        Poll::Ready(Ok(len))
    }
}

impl<R: fmt::Debug, F> fmt::Debug for Map<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Why a pipeline has ended early.
#[derive(Debug)]
#[non_exhaustive]
pub struct PipelineError {
    /// Which end it came from.
    pub end: PipelineEnd,
    /// What went wrong. For a file it holds the [`FsError`](super::FsError).
    pub source: io::Error,
}

/// An end of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineEnd {
    /// Where it reads, with all that the bytes go through.
    Source,
    /// Where it writes.
    Sink,
}

impl PipelineError {
    fn new(end: PipelineEnd, source: io::Error) -> Self {
        Self { end, source }
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            PipelineEnd::Source => "source",
            PipelineEnd::Sink => "sink",
        };
        write!(f, "the {end} of the pipeline: {}", self.source)
    }
}

impl std::error::Error for PipelineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
