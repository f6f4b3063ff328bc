//! What the standard library does not have.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat,
};
use rustix::io::Errno;

use super::{Access, FileSystemStat, SetTime};

/// Asks whether the real user may do this. Source: access(2).
pub(super) fn access(path: &Path, access: Access) -> io::Result<()> {
    let mut wanted = rustix::fs::Access::EXISTS;
    wanted.set(rustix::fs::Access::EXEC_OK, access.has(Access::EXECUTE));
    wanted.set(rustix::fs::Access::WRITE_OK, access.has(Access::WRITE));
    wanted.set(rustix::fs::Access::READ_OK, access.has(Access::READ));
    Ok(rustix::fs::access(path, wanted)?)
}

/// What is done with a link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    Change,
}

/// Sets both times, to the nanosecond where the file system has them. Source: utimensat(2).
pub(super) fn utimes(path: &Path, accessed: SetTime, modified: SetTime, links: Links) -> io::Result<()> {
    let flags = if links == Links::Change { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
    Ok(utimensat(CWD, path, &timestamps(accessed, modified)?, flags)?)
}

/// Sets both times of an open file. Source: futimens(3).
pub(super) fn futimes(file: &File, accessed: SetTime, modified: SetTime) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &timestamps(accessed, modified)?)?)
}

/// Source: statfs(2).
pub(super) fn statfs(path: &Path) -> io::Result<FileSystemStat> {
    let stat = rustix::fs::statfs(path)?;
    // The types of the fields differ from system to system; none is negative or longer than 64 bits.
    Ok(FileSystemStat {
        kind: stat.f_type as u64,
        block_len: stat.f_bsize as u64,
        blocks: stat.f_blocks as u64,
        blocks_free: stat.f_bfree as u64,
        blocks_available: stat.f_bavail as u64,
        files: stat.f_files as u64,
        files_free: stat.f_ffree as u64,
    })
}

/// Reads into one buffer after the other. Source: preadv(2).
pub(super) fn read_vectored_at(file: &File, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::preadv(file, bufs, offset)?)
}

/// Writes one buffer after the other. Source: pwritev(2).
pub(super) fn write_vectored_at(file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::pwritev(file, bufs, offset)?)
}

/// Has the system write up to `len` bytes of one file to another. Source: sendfile(2).
pub(super) fn sendfile(from: &File, offset: &mut u64, to: &File, len: usize) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(to, from, Some(offset), len)?)
}

/// Has two files share what the first one holds, until one is changed. Source: ioctl_ficlone(2).
#[cfg(target_os = "linux")]
pub(super) fn clone_contents(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

/// Other systems clone by path, if at all.
#[cfg(not(target_os = "linux"))]
pub(super) fn clone_contents(_from: &File, _to: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A folder that is being emptied: every name is looked up in the open folder, so nobody can lead the removal elsewhere
/// by putting a link in the way.
pub(super) struct OpenFolder(Dir);

impl OpenFolder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(CWD, path.as_os_str())
    }

    pub(super) fn open_below(&self, name: &OsStr) -> io::Result<Self> {
        Self::open_at(self.0.fd()?, name)
    }

    fn open_at(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(Dir::new(rustix::fs::openat(folder, name, flags, Mode::empty())?)?))
    }

    /// The next entry, and whether it is known to be a folder.
    pub(super) fn next(&mut self) -> io::Result<Option<(OsString, bool)>> {
        for entry in self.0.by_ref() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                return Ok(Some((
                    OsStr::from_bytes(name).to_owned(),
                    entry.file_type() == FileType::Directory,
                )));
            }
        }
        Ok(None)
    }

    /// Begins again: a folder that is changed while it is listed may leave names out.
    pub(super) fn rewind(&mut self) {
        self.0.rewind();
    }

    /// Removes a file or a link.
    pub(super) fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.0.fd()?, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub(super) fn rmdir(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.0.fd()?, name, AtFlags::REMOVEDIR)?)
    }
}

/// Whether what went wrong may be over in a moment: something is busy, or others are about to let go.
pub(super) fn may_pass(error: &io::Error) -> bool {
    let codes = [Errno::BUSY, Errno::MFILE, Errno::NFILE, Errno::NOTEMPTY, Errno::PERM];
    Errno::from_io_error(error).is_some_and(|code| codes.contains(&code))
}

fn timestamps(accessed: SetTime, modified: SetTime) -> io::Result<Timestamps> {
    Ok(Timestamps { last_access: set_time(accessed)?, last_modification: set_time(modified)? })
}

fn set_time(time: SetTime) -> io::Result<Timespec> {
    match time {
        SetTime::At(time) => timespec(time),
        SetTime::Now => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }),
        SetTime::Keep => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }),
    }
}

/// A time before 1970 has negative seconds, and nanoseconds that count forward from them.
fn timespec(time: SystemTime) -> io::Result<Timespec> {
    let too_far = |_| io::Error::new(io::ErrorKind::InvalidInput, "the time is out of the system's range");
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => {
            let tv_sec = i64::try_from(since.as_secs()).map_err(too_far)?;
            Ok(Timespec { tv_sec, tv_nsec: since.subsec_nanos().into() })
        }
        Err(before) => {
            let before = before.duration();
            let up = before.subsec_nanos() > 0;
            let whole = before.as_secs() + u64::from(up);
            let rest = Duration::from_secs(whole) - before;
            let tv_sec = -i64::try_from(whole).map_err(too_far)?;
            Ok(Timespec { tv_sec, tv_nsec: rest.subsec_nanos().into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_counts_forward_from_the_second_below() {
        let spec = timespec(UNIX_EPOCH - Duration::from_millis(1_250)).expect("it is in range");
        assert_eq!((spec.tv_sec, spec.tv_nsec), (-2, 750_000_000));
        let spec = timespec(UNIX_EPOCH - Duration::from_secs(3)).expect("it is in range");
        assert_eq!((spec.tv_sec, spec.tv_nsec), (-3, 0));
    }
}
