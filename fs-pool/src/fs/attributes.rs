//! Owners, permissions, times and lengths, by path; and what is known of a file system.

use std::os::unix::fs::{PermissionsExt, chown, lchown};
use std::path::Path;
use std::time::SystemTime;

use super::{Fs, Operation, sys};

/// A time to set: see [`Fs::utimes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetTime {
    /// This time. File systems that keep no nanoseconds round it down.
    At(SystemTime),
    /// The system's present time, by its own clock.
    Now,
    /// As it is.
    Keep,
}

impl From<SystemTime> for SetTime {
    fn from(time: SystemTime) -> Self {
        Self::At(time)
    }
}

/// What is known of the file system that holds a path. Source: statfs(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSystemStat {
    /// The system's number for the kind of file system.
    pub kind: u64,
    /// Bytes of a block.
    pub block_len: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Blocks that are free for users without privilege.
    pub blocks_available: u64,
    /// Files that it has room for; 0 where there is no such bound.
    pub files: u64,
    /// Files that it has still room for.
    pub files_free: u64,
}

impl Fs {
    /// Sets a file's permission bits; links are followed.
    #[track_caller]
    pub fn chmod(&self, path: impl AsRef<Path>, mode: u32) -> Operation<()> {
        self.call("chmod", path, move |path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        })
    }

    /// Sets a file's owner and group; `None` leaves one as it is. Links are followed.
    #[track_caller]
    pub fn chown(&self, path: impl AsRef<Path>, user: Option<u32>, group: Option<u32>) -> Operation<()> {
        self.call("chown", path, move |path| chown(path, user, group))
    }

    /// Sets the owner and group of a file, or of the link itself.
    #[track_caller]
    pub fn lchown(&self, path: impl AsRef<Path>, user: Option<u32>, group: Option<u32>) -> Operation<()> {
        self.call("lchown", path, move |path| lchown(path, user, group))
    }

    /// Sets the times of the last access and of the last change; links are followed.
    #[track_caller]
    pub fn utimes(
        &self,
        path: impl AsRef<Path>,
        accessed: impl Into<SetTime>,
        modified: impl Into<SetTime>,
    ) -> Operation<()> {
        let (accessed, modified) = (accessed.into(), modified.into());
        self.call("utimes", path, move |path| sys::utimes(path, accessed, modified, sys::Links::Follow))
    }

    /// Sets the times of a file, or of the link itself.
    #[track_caller]
    pub fn lutimes(
        &self,
        path: impl AsRef<Path>,
        accessed: impl Into<SetTime>,
        modified: impl Into<SetTime>,
    ) -> Operation<()> {
        let (accessed, modified) = (accessed.into(), modified.into());
        self.call("lutimes", path, move |path| sys::utimes(path, accessed, modified, sys::Links::Change))
    }

    /// Cuts a file to `len` bytes, or fills it up with zeros.
    #[track_caller]
    pub fn truncate(&self, path: impl AsRef<Path>, len: u64) -> Operation<()> {
        self.call("truncate", path, move |path| {
            std::fs::OpenOptions::new().write(true).open(path)?.set_len(len)
        })
    }

    /// What is known of the file system that holds the path.
    #[track_caller]
    pub fn statfs(&self, path: impl AsRef<Path>) -> Operation<FileSystemStat> {
        self.call("statfs", path, sys::statfs)
    }
}
