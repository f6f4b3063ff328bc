//! Copying one file.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::error::cancelled;
use super::temp::make_sibling;
use super::{Fs, Operation, sys};
use crate::pool::JobContext;
use crate::request::Progress;

/// How a file is copied: see [`Fs::copy_file_with`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    pub(super) exclusive: bool,
    pub(super) atomic: bool,
    pub(super) reflink: Reflink,
}

/// Whether the copy shares what the file holds until one of them is changed: where the file system can, that takes no
/// time and no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reflink {
    /// Shared if the file system can. Source: libuv, `UV_FS_COPYFILE_FICLONE`.
    #[default]
    Try,
    /// Shared, or an error. Source: libuv, `UV_FS_COPYFILE_FICLONE_FORCE`.
    Always,
    /// Not asked for. The system may do it all the same.
    Never,
}

impl CopyOptions {
    /// A copy that replaces what is there, and shares contents where that can be done.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses to replace a file that is there. Source: libuv, `UV_FS_COPYFILE_EXCL`.
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }

    /// Copies to a new name in the same folder and renames at the end: whoever looks sees the old file or the whole new
    /// one, also if the process is killed meanwhile.
    pub fn atomic(mut self, atomic: bool) -> Self {
        self.atomic = atomic;
        self
    }

    /// Whether contents are to be shared.
    pub fn reflink(mut self, reflink: Reflink) -> Self {
        self.reflink = reflink;
        self
    }
}

impl Fs {
    /// Copies a file with its permissions, in the system where it can. A file that is there is replaced. Gives the length.
    ///
    /// One job. A file that can not be copied to its end is removed: no half file is left under the name. What was there
    /// before is then gone, too: see [`CopyOptions::atomic`]. Copying a file to itself does nothing.
    ///
    /// # Cancel safety
    /// If the operation is dropped while its job runs, the job ends after the piece of 8 MiB that is under way, as if it
    /// had failed.
    #[track_caller]
    pub fn copy_file(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Operation<u64> {
        self.copy_file_with(from, to, CopyOptions::new())
    }

    /// As [`copy_file`](Self::copy_file), in another way.
    ///
    /// # Errors
    /// `AlreadyExists` for an exclusive copy to what is there. With [`Reflink::Always`] what the system says, most often
    /// `Unsupported` or `CrossesDevices`.
    #[track_caller]
    pub fn copy_file_with(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        options: CopyOptions,
    ) -> Operation<u64> {
        self.call_two("copy_file", from, to, move |from, to, cx| {
            copy(from, to, options, &Progress::default(), cx)
        })
    }
}

/// Blocks.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    options: CopyOptions,
    progress: &Progress,
    cx: &JobContext<'_>,
) -> io::Result<u64> {
    let source = File::open(from)?;
    let known = source.metadata()?;
    if known.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mode = known.mode() & 0o7777;
    if options.atomic {
        let (name, target) = make_sibling(to, mode)?;
        let len = fill((&source, &target), mode, options.reflink, progress, cx)?;
        drop(target);
        if options.exclusive {
            name.keep_new(to)?
        } else {
            name.keep(to)?
        }
        return Ok(len);
    }
    let mut open = OpenOptions::new();
    open.write(true).create(true).create_new(options.exclusive).mode(mode);
    let target = open.open(to)?;
    let there = target.metadata()?;
    if is_same(&known, &there) {
        return Ok(known.len());
    }
    let copied = fill((&source, &target), mode, options.reflink, progress, cx);
    if copied.is_err() && there.is_file() {
        // That the copy failed is what is told; a device is not ours to remove.
        let _ = std::fs::remove_file(to);
    }
    copied
}

fn fill(
    (source, target): (&File, &File),
    mode: u32,
    reflink: Reflink,
    progress: &Progress,
    cx: &JobContext<'_>,
) -> io::Result<u64> {
    if target.metadata()?.is_file() {
        target.set_len(0)?;
        target.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    if reflink != Reflink::Never {
        match sys::clone_contents(source, target) {
            Ok(()) => {
                let len = target.metadata()?.len();
                progress.add(len);
                return Ok(len);
            }
            Err(error) if reflink == Reflink::Always => return Err(error),
            Err(_) => {} // most file systems can not
        }
    }
    let mut copied = 0;
    loop {
        cancelled(cx)?;
        // The standard library has the system copy, where the system can.
        let piece = io::copy(&mut source.take(PIECE_LEN), &mut &*target)?;
        copied += piece;
        progress.add(piece);
        if piece < PIECE_LEN {
            return Ok(copied);
        }
    }
}

pub(super) fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Bytes that are copied between two looks at whether somebody still wants it: 8 MiB, some milliseconds from memory.
const PIECE_LEN: u64 = 8 << 20;
