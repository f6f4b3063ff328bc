//! Reading and writing descriptors whose flags may be shared with other processes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionbio};
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use rustix::termios::isatty;

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pipe,
    Socket,
    Terminal,
    Device,
    /// A file or a folder: always ready.
    File,
}

/// How a descriptor is read and written without blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It is non-blocking, and nobody else minds.
    NonBlocking,
    /// Its flags are not ours: each call says that it must not block.
    DontWait,
    /// Its flags are not ours, and only asking first keeps a call from blocking.
    AskFirst,
    /// A call may take as long as the disk does.
    AlwaysReady,
}

/// A write of this length does not block a pipe that is writable. POSIX asks for 512 bytes at least, Linux gives 4096.
const PIPE_BUF: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 4096 } else { 512 };

pub(super) fn kind(fd: impl AsFd) -> io::Result<Kind> {
    let kind = match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
        FileType::Fifo => Kind::Pipe,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice if isatty(&fd) => Kind::Terminal,
        FileType::RegularFile | FileType::Directory | FileType::BlockDevice | FileType::Symlink => Kind::File,
        _ => Kind::Device, // also what has no type, such as an eventfd, and may block for ever
    };
    Ok(kind)
}

pub(super) fn set_nonblocking(fd: impl AsFd, nonblocking: bool) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    let wanted = if nonblocking { flags | OFlags::NONBLOCK } else { flags - OFlags::NONBLOCK };
    if wanted != flags {
        fcntl_setfl(fd, wanted)?
    };
    Ok(())
}

/// A duplicate that children do not inherit.
pub(super) fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(fd, 3)?)
}

/// Opens the terminal that a descriptor stands for once more, with flags of its own.
///
/// # Errors
/// `ENXIO` for the side of a pseudoterminal where a person would sit: opening that anew makes another terminal.
pub(super) fn open_anew(fd: impl AsFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if is_pty_master(&fd)? {
        return Err(Errno::NXIO.into());
    }
    let access = fcntl_getfl(&fd)? & (OFlags::RDONLY | OFlags::WRONLY | OFlags::RDWR);
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

/// True for the side of a pseudoterminal that is no terminal itself. Source: Linux, `Documentation/admin-guide/devices.txt`:
/// one that was opened by `/dev/ptmx`, wherever that is mounted, shows as that device, major 5, minor 2; those of BSD have major 2.
fn is_pty_master(fd: impl AsFd) -> io::Result<bool> {
    let device = fstat(fd)?.st_rdev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok((major, minor) == (5, 2) || major == 2)
}

/// Opens one end of a FIFO without waiting for the other.
pub(super) fn open_fifo(path: &Path, writes: bool) -> io::Result<OwnedFd> {
    let access = if writes { OFlags::WRONLY } else { OFlags::RDONLY };
    let fd = open(path, access | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    if kind(&fd)? != Kind::Pipe {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no FIFO", path.display())));
    }
    Ok(fd)
}

/// Two connected sockets, non-blocking.
pub(super) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (a, b) = UnixStream::pair()?;
    for end in [&a, &b] {
        ioctl_fionbio(end, true)?;
    }
    Ok((a.into(), b.into()))
}

pub(super) fn read(fd: impl AsFd, kind: Kind, access: Access, buf: &mut [u8]) -> io::Result<usize> {
    let read = match access {
        Access::DontWait => rustix::net::recv(fd, buf, RecvFlags::DONTWAIT).map(|(len, _)| len),
        Access::AskFirst => {
            ask(&fd, PollFlags::IN)?;
            rustix::io::read(fd, buf)
        }
        Access::NonBlocking | Access::AlwaysReady => rustix::io::read(fd, buf),
    };
    match read {
        // The end of a terminal whose other side is gone. Of a disk the same error tells of data that is lost.
        Err(Errno::IO) if kind == Kind::Terminal => Ok(0),
        read => Ok(read?),
    }
}

pub(super) fn write(fd: impl AsFd, access: Access, bytes: &[u8]) -> io::Result<usize> {
    match access {
        Access::DontWait => Ok(rustix::net::send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
        Access::AskFirst => {
            ask(&fd, PollFlags::OUT)?;
            Ok(rustix::io::write(fd, &bytes[..bytes.len().min(PIPE_BUF)])?)
        }
        Access::NonBlocking | Access::AlwaysReady => Ok(rustix::io::write(fd, bytes)?),
    }
}

/// Sends the end of a socket's stream.
pub(super) fn shut_down_socket(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::shutdown(fd, Shutdown::Write)?)
}

/// `WouldBlock` unless a call would not block now.
fn ask(fd: impl AsFd, flags: PollFlags) -> io::Result<()> {
    let mut fds = [PollFd::new(&fd, flags)];
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut fds, Some(&none))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// True if the system can not wait for such a descriptor, because it is always ready.
pub(super) fn is_always_ready(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::PERM.raw_os_error())
}

/// What the system says to a write after the end.
pub(super) fn broken_pipe() -> io::Error {
    Errno::PIPE.into()
}

/// What an operation reports that ended because its stream was closed.
pub(super) fn cancelled() -> io::Error {
    Errno::CANCELED.into()
}
