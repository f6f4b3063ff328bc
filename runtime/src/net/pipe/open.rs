//! Making streams of pipes, FIFOs, socket pairs, and what the process was started with.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::stream::PipeStream;
use super::sys::{self, Access, Kind};
use crate::state::LoopHandle;

/// Makes a pipe: its reading end and its writing end.
///
/// # Errors
/// The system's, when no descriptor is left.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, net::pipe};
/// let lp = EventLoop::new()?;
/// let (reader, writer) = pipe::pair(&lp)?;
/// let echo = lp.block_on(async {
///     writer.write_all(b"hello").await?;
///     drop(writer);
///     reader.read_to_end(1024).await
/// })??;
/// assert_eq!(echo, b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn pair(lp: &LoopHandle) -> io::Result<(PipeStream, PipeStream)> {
    let (reader, writer) = io::pipe()?;
    Ok((PipeStream::from_fd(lp, reader.into())?, PipeStream::from_fd(lp, writer.into())?))
}

/// Makes two connected Unix sockets, both of which read and write.
///
/// # Errors
/// The system's, when no descriptor is left.
#[track_caller]
pub fn socketpair(lp: &LoopHandle) -> io::Result<(PipeStream, PipeStream)> {
    let (a, b) = sys::socket_pair()?;
    Ok((PipeStream::from_fd(lp, a)?, PipeStream::from_fd(lp, b)?))
}

/// Opens the reading end of a FIFO, whether or not anybody writes yet. Its end comes when the last writer has gone.
///
/// # Errors
/// The system's, and `InvalidInput` for what is no FIFO.
#[track_caller]
pub fn open_fifo_reader(lp: &LoopHandle, path: impl AsRef<Path>) -> io::Result<PipeStream> {
    PipeStream::from_fd(lp, sys::open_fifo(path.as_ref(), false)?)
}

/// Opens the writing end of a FIFO.
///
/// # Errors
/// `ENXIO` if nobody has it open for reading, since to wait for that would block; what else the system says, and
/// `InvalidInput` for what is no FIFO.
#[track_caller]
pub fn open_fifo_writer(lp: &LoopHandle, path: impl AsRef<Path>) -> io::Result<PipeStream> {
    PipeStream::from_fd(lp, sys::open_fifo(path.as_ref(), true)?)
}

/// The process's standard input, as a stream by its [kind](super). It is a duplicate: closing it leaves descriptor 0 open.
///
/// # Errors
/// The system's; `EBADF` if the process was started without.
#[track_caller]
pub fn stdin(lp: &LoopHandle) -> io::Result<PipeStream> {
    inherited(lp, io::stdin())
}

/// The process's standard output. As [`stdin`].
///
/// # Errors
/// As [`stdin`].
#[track_caller]
pub fn stdout(lp: &LoopHandle) -> io::Result<PipeStream> {
    inherited(lp, io::stdout())
}

/// The process's standard error. As [`stdin`].
///
/// # Errors
/// As [`stdin`].
#[track_caller]
pub fn stderr(lp: &LoopHandle) -> io::Result<PipeStream> {
    inherited(lp, io::stderr())
}

#[track_caller]
fn inherited(lp: &LoopHandle, fd: impl AsFd) -> io::Result<PipeStream> {
    PipeStream::from_shared(lp, &fd)
}

impl PipeStream {
    /// Takes over a pipe, a FIFO, a socket, a terminal or a file. It is made non-blocking, which whoever shares the open
    /// file notices: for what was inherited use [`from_shared`](Self::from_shared).
    ///
    /// # Errors
    /// The system's, when the descriptor can not be registered.
    #[track_caller]
    pub fn from_fd(lp: &LoopHandle, fd: OwnedFd) -> io::Result<Self> {
        let kind = sys::kind(&fd)?;
        if kind == Kind::File {
            return Self::open(lp, fd, kind, Access::AlwaysReady);
        }
        sys::set_nonblocking(&fd, true)?;
        Self::open(lp, fd, kind, Access::NonBlocking)
    }

    /// A stream on a descriptor whose open file others share, such as one that was inherited. Its flags are left as they
    /// are; the [table](super) says how it is read all the same. The stream owns a duplicate.
    ///
    /// # Errors
    /// The system's, when the descriptor can not be registered.
    #[track_caller]
    pub fn from_shared(lp: &LoopHandle, fd: &impl AsFd) -> io::Result<Self> {
        let kind = sys::kind(fd)?;
        if kind == Kind::Terminal
            && let Ok(fd) = sys::open_anew(fd)
        {
            return Self::open(lp, fd, kind, Access::NonBlocking);
        }
        let access = match kind {
            Kind::Socket => Access::DontWait,
            Kind::File => Access::AlwaysReady,
            Kind::Pipe | Kind::Terminal | Kind::Device => Access::AskFirst,
        };
        Self::open(lp, sys::duplicate(fd)?, kind, access)
    }
}
