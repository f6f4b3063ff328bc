//! What is known of a file, whoever asked the system.

use std::fmt;
use std::fs::Permissions;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the system knows of a file: [`Fs::stat`](super::Fs::stat) and its kin. Source: statx(2).
///
/// Plain data, with the names of std's `Metadata` and `MetadataExt`; std's own can not be made by anybody else, so not
/// from what io_uring brings. One of std's becomes one of these by `From`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    pub(super) mode: u32,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) nlink: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) rdev: u64,
    pub(super) len: u64,
    pub(super) blksize: u64,
    pub(super) blocks: u64,
    pub(super) accessed: Stamp,
    pub(super) modified: Stamp,
    pub(super) changed: Stamp,
    pub(super) created: Option<Stamp>,
}

/// Seconds since 1970, which may be negative, and nanoseconds that count forward from them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) seconds: i64,
    pub(super) nanos: u32,
}

impl Metadata {
    /// What kind of file it is.
    pub fn file_type(&self) -> FileType {
        FileType::of_mode(self.mode)
    }

    /// True for a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type() == FileType::File
    }

    /// True for a folder.
    pub fn is_dir(&self) -> bool {
        self.file_type() == FileType::Dir
    }

    /// True for a link, which only `lstat` shows.
    pub fn is_symlink(&self) -> bool {
        self.file_type() == FileType::Symlink
    }

    /// The length in bytes; 0 for what has none, as most files in `/proc`.
    #[expect(clippy::len_without_is_empty, reason = "it is the file's; a folder is not empty at 0")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The length in bytes. As [`len`](Self::len).
    pub fn size(&self) -> u64 {
        self.len
    }

    /// The permission bits.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode)
    }

    /// Kind and permissions in one number. Source: inode(7).
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// The device that holds the file. With [`ino`](Self::ino) it names the file.
    pub fn dev(&self) -> u64 {
        self.dev
    }

    /// The file's number on its device.
    pub fn ino(&self) -> u64 {
        self.ino
    }

    /// How many names the file has.
    pub fn nlink(&self) -> u64 {
        self.nlink
    }

    /// The owner.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The device that the file is, if it is one.
    pub fn rdev(&self) -> u64 {
        self.rdev
    }

    /// Bytes that are best read or written at a time.
    pub fn blksize(&self) -> u64 {
        self.blksize
    }

    /// Blocks of 512 bytes that it takes on the device.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// When it was last read, as far as the file system notes that.
    pub fn accessed(&self) -> SystemTime {
        self.accessed.time()
    }

    /// When its contents were last changed.
    pub fn modified(&self) -> SystemTime {
        self.modified.time()
    }

    /// When its contents, owner, permissions or names were last changed.
    pub fn changed(&self) -> SystemTime {
        self.changed.time()
    }

    /// When it was made; `None` if the file system does not note that.
    pub fn created(&self) -> Option<SystemTime> {
        self.created.map(Stamp::time)
    }

    /// Seconds of [`accessed`](Self::accessed) since 1970.
    pub fn atime(&self) -> i64 {
        self.accessed.seconds
    }

    /// Nanoseconds of [`accessed`](Self::accessed) beyond its seconds.
    pub fn atime_nsec(&self) -> i64 {
        self.accessed.nanos.into()
    }

    /// Seconds of [`modified`](Self::modified) since 1970.
    pub fn mtime(&self) -> i64 {
        self.modified.seconds
    }

    /// Nanoseconds of [`modified`](Self::modified) beyond its seconds.
    pub fn mtime_nsec(&self) -> i64 {
        self.modified.nanos.into()
    }

    /// Seconds of [`changed`](Self::changed) since 1970.
    pub fn ctime(&self) -> i64 {
        self.changed.seconds
    }

    /// Nanoseconds of [`changed`](Self::changed) beyond its seconds.
    pub fn ctime_nsec(&self) -> i64 {
        self.changed.nanos.into()
    }
}

impl From<std::fs::Metadata> for Metadata {
    fn from(it: std::fs::Metadata) -> Self {
        Self {
            mode: it.mode(),
            dev: it.dev(),
            ino: it.ino(),
            nlink: it.nlink(),
            uid: it.uid(),
            gid: it.gid(),
            rdev: it.rdev(),
            len: it.size(),
            blksize: it.blksize(),
            blocks: it.blocks(),
            accessed: Stamp::new(it.atime(), it.atime_nsec()),
            modified: Stamp::new(it.mtime(), it.mtime_nsec()),
            changed: Stamp::new(it.ctime(), it.ctime_nsec()),
            created: it.created().ok().map(Stamp::of),
        }
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("mode", &format_args!("{:#o}", self.mode))
            .field("len", &self.len)
            .field("dev", &self.dev)
            .field("ino", &self.ino)
            .field("nlink", &self.nlink)
            .field("uid", &self.uid)
            .field("gid", &self.gid)
            .field("modified", &self.modified())
            .finish_non_exhaustive()
    }
}

impl Stamp {
    /// The system keeps nanoseconds below a second.
    fn new(seconds: i64, nanos: i64) -> Self {
        Self { seconds, nanos: u32::try_from(nanos).unwrap_or(0) }
    }

    fn of(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self { seconds: seconds(since), nanos: since.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                match before.subsec_nanos() {
                    0 => Self { seconds: -seconds(before), nanos: 0 },
                    nanos => Self { seconds: -seconds(before) - 1, nanos: 1_000_000_000 - nanos },
                }
            }
        }
    }

    fn time(self) -> SystemTime {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second =
            if self.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        // std keeps seconds in the same 64 bits, so it can not overflow where the system is std's.
        second.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(self.nanos.into())
    }
}

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

/// What kind of file something is. Source: inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileType {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A device of characters, such as a terminal.
    CharDevice,
    /// A device of blocks, such as a disk.
    BlockDevice,
    /// Something that this library does not know.
    Unknown,
}

impl FileType {
    fn of_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Dir,
            0o120_000 => Self::Symlink,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            _ => Self::Unknown,
        }
    }

    /// True for a regular file.
    pub fn is_file(self) -> bool {
        self == Self::File
    }

    /// True for a folder.
    pub fn is_dir(self) -> bool {
        self == Self::Dir
    }

    /// True for a symbolic link.
    pub fn is_symlink(self) -> bool {
        self == Self::Symlink
    }
}

impl From<std::fs::FileType> for FileType {
    fn from(it: std::fs::FileType) -> Self {
        match it {
            _ if it.is_file() => Self::File,
            _ if it.is_dir() => Self::Dir,
            _ if it.is_symlink() => Self::Symlink,
            _ if it.is_fifo() => Self::Fifo,
            _ if it.is_socket() => Self::Socket,
            _ if it.is_char_device() => Self::CharDevice,
            _ if it.is_block_device() => Self::BlockDevice,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_go_both_ways() {
        for nanos in [0, 1, 999_999_999, 1_000_000_000, 1_250_000_000, 3_000_000_000] {
            let length = Duration::from_nanos(nanos);
            for time in [UNIX_EPOCH + length, UNIX_EPOCH - length] {
                assert_eq!(Stamp::of(time).time(), time);
            }
        }
        let before = Stamp::of(UNIX_EPOCH - Duration::from_millis(1250));
        assert_eq!((before.seconds, before.nanos), (-2, 750_000_000));
    }

    #[test]
    fn it_says_what_std_says() {
        for path in [".", "Cargo.toml", "/dev/null", "/proc/self/exe"] {
            let theirs = std::fs::symlink_metadata(path).unwrap();
            let ours = Metadata::from(theirs.clone());
            assert_eq!(ours.file_type(), FileType::from(theirs.file_type()), "{path}");
            assert_eq!((ours.len(), ours.permissions()), (theirs.len(), theirs.permissions()));
            assert_eq!(
                (ours.modified(), ours.accessed()),
                (theirs.modified().unwrap(), theirs.accessed().unwrap())
            );
            assert_eq!(ours.created(), theirs.created().ok());
            assert_eq!((ours.is_dir(), ours.is_file(), ours.is_symlink()), {
                (theirs.is_dir(), theirs.is_file(), theirs.is_symlink())
            });
        }
    }
}
