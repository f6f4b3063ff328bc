//! inotify(7): the descriptor, what it is asked for, and what it tells.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// The number by which the kernel knows one watched file or folder.
pub(super) type WatchId = i32;

/// An inotify descriptor. Watches may be added from any thread.
pub(super) struct Inotify(OwnedFd);

/// One event, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) id: WatchId,
    pub(super) kind: RawKind,
    pub(super) is_dir: bool,
    /// What the two halves of a rename have in common.
    pub(super) cookie: u32,
    /// The name inside the watched folder; empty if the event is about what is watched itself.
    pub(super) name: OsString,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawKind {
    Created,
    Removed,
    Modified,
    Attributes,
    MovedFrom,
    MovedTo,
    SelfRemoved,
    SelfMoved,
    /// The kernel has dropped the watch: what it was for is gone.
    Ended,
    Overflow,
}

impl Inotify {
    pub(super) fn new() -> io::Result<Self> {
        let made = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        made.map(Self).map_err(|errno| match errno {
            // The kernel says the same of two limits; where another file can be opened it is the user's.
            Errno::MFILE if std::fs::File::open("/").is_ok() => {
                limit("no inotify instance is left: raise fs.inotify.max_user_instances", errno)
            }
            Errno::MFILE => limit("too many files are open: raise RLIMIT_NOFILE", errno),
            errno => errno.into(),
        })
    }

    /// Watches what the caller named: links are followed.
    pub(super) fn add_root(&self, path: &Path) -> io::Result<WatchId> {
        self.add(path, EVENTS)
    }

    /// Watches a folder below it, and nothing else that may have taken its place.
    pub(super) fn add_folder(&self, path: &Path) -> io::Result<WatchId> {
        self.add(path, EVENTS | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW)
    }

    fn add(&self, path: &Path, flags: WatchFlags) -> io::Result<WatchId> {
        inotify::add_watch(&self.0, path, flags).map_err(explain)
    }

    pub(super) fn remove(&self, id: WatchId) {
        // It fails for a watch that the kernel has dropped, which is what is wanted.
        let _ = inotify::remove_watch(&self.0, id);
    }

    /// Reads up to a buffer of events. False if there was none.
    pub(super) fn read(&self, into: &mut impl Extend<Raw>) -> io::Result<bool> {
        let mut buf = [MaybeUninit::uninit(); READ_LEN];
        let mut reader = Reader::new(&self.0, &mut buf);
        let mut found = false;
        loop {
            match reader.next() {
                Ok(event) => into.extend(raw(&event)),
                Err(Errno::WOULDBLOCK) => return Ok(found),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            found = true;
            if reader.is_buffer_empty() {
                return Ok(true);
            }
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What is asked for. Source: libuv, `uv_fs_event_start`.
const EVENTS: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

/// Bytes read in one go: some 500 events with short names.
const READ_LEN: usize = 16 * 1024;

/// The kernel's event, by its first bit that means something here.
fn raw(event: &inotify::Event<'_>) -> Option<Raw> {
    let kinds = [
        (ReadFlags::QUEUE_OVERFLOW, RawKind::Overflow),
        (ReadFlags::IGNORED, RawKind::Ended),
        (ReadFlags::CREATE, RawKind::Created),
        (ReadFlags::DELETE, RawKind::Removed),
        (ReadFlags::MODIFY, RawKind::Modified),
        (ReadFlags::ATTRIB, RawKind::Attributes),
        (ReadFlags::MOVED_FROM, RawKind::MovedFrom),
        (ReadFlags::MOVED_TO, RawKind::MovedTo),
        (ReadFlags::DELETE_SELF | ReadFlags::UNMOUNT, RawKind::SelfRemoved),
        (ReadFlags::MOVE_SELF, RawKind::SelfMoved),
    ];
    let flags = event.events();
    let (_, kind) = kinds.into_iter().find(|(bits, _)| flags.intersects(*bits))?;
    let name = event.file_name().map_or(&b""[..], |name| name.to_bytes());
    Some(Raw {
        id: event.wd(),
        kind,
        is_dir: flags.contains(ReadFlags::ISDIR),
        cookie: event.cookie(),
        name: OsStr::from_bytes(name).to_owned(),
    })
}

/// The kernel's answer when no watch is left reads as if the disk were full.
fn explain(errno: Errno) -> io::Error {
    match errno {
        Errno::NOSPC => limit("no inotify watch is left: raise fs.inotify.max_user_watches", errno),
        errno => errno.into(),
    }
}

fn limit(text: &str, errno: Errno) -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, format!("{text} ({errno})"))
}

/// True if a whole system's limit was met: trying the next folder is in vain.
pub(super) fn is_limit(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::QuotaExceeded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_the_kernel_names_what_to_raise() {
        let error = explain(Errno::NOSPC);
        assert!(is_limit(&error) && error.to_string().contains("fs.inotify.max_user_watches"), "{error}");
        assert_eq!(explain(Errno::ACCESS).kind(), io::ErrorKind::PermissionDenied);
    }
}
