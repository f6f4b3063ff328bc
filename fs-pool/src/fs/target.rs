//! A file that is to be written as a whole or as a stream: how it is opened, and what its end is.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::OpenOptions;
use super::temp::{Vanishing, make_sibling};

/// How a file is written: see [`Fs::write_file_with`](super::Fs::write_file_with) and
/// [`Fs::write_stream`](super::Fs::write_stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    kind: Kind,
    mode: u32,
    atomic: bool,
    sync: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Replace,
    New,
    Append,
    Keep,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { kind: Kind::Replace, mode: 0o666, atomic: false, sync: false }
    }
}

impl WriteOptions {
    /// Makes a file, or empties the one that is there. Source: Node, flag `w`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses to write to a file that is there. Source: Node, flag `wx`.
    pub fn exclusive(mut self) -> Self {
        self.kind = Kind::New;
        self
    }

    /// Writes to the end of a file that is there. Source: Node, flag `a`.
    pub fn append(mut self) -> Self {
        self.kind = Kind::Append;
        self
    }

    /// Leaves what is in a file that is there, and writes over it. Source: Node, flag `r+`, but that a file is made.
    pub fn keep(mut self) -> Self {
        self.kind = Kind::Keep;
        self
    }

    /// The permissions of a new file, before the process's mask is taken off. Default: 0o666.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Writes to a new name in the same folder, which becomes the file's at the end: whoever looks sees the old file or
    /// the whole new one, and if something fails the old one stays. Other names of the old file keep the old contents. Not
    /// for files that are appended to or kept.
    pub fn atomic(mut self, atomic: bool) -> Self {
        self.atomic = atomic;
        self
    }

    /// Has the system bring the file to the device before it is closed. Source: Node, `flush`.
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    pub(super) fn is_atomic(&self) -> bool {
        self.atomic
    }

    pub(super) fn syncs(&self) -> bool {
        self.sync
    }

    pub(super) fn open_options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.mode(self.mode);
        match self.kind {
            Kind::Replace => options.write(true).create(true).truncate(true),
            Kind::New => options.write(true).create_new(true),
            Kind::Append => options.append(true).create(true),
            Kind::Keep => options.write(true).create(true).truncate(false),
        };
        options
    }
}

/// A file that is being written, under its own name or one that vanishes if it is not finished.
#[derive(Debug)]
pub(super) struct Target {
    /// Shared with what else is under way with a file that was open before.
    pub(super) file: Arc<File>,
    name: Option<Vanishing>,
}

impl Target {
    /// A file that is open already, and has its name.
    pub(super) fn opened(file: Arc<File>) -> Self {
        Self { file, name: None }
    }

    /// Blocks.
    pub(super) fn open(path: &Path, options: &WriteOptions) -> io::Result<Self> {
        if !options.atomic {
            return Ok(Self::opened(Arc::new(options.open_options().open(path)?)));
        }
        match options.kind {
            Kind::Append | Kind::Keep => {
                let text = "a file that is appended to or kept can not be written atomically";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            Kind::New if path.symlink_metadata().is_ok() => return Err(io::ErrorKind::AlreadyExists.into()),
            Kind::New | Kind::Replace => {}
        }
        let (name, file) = make_sibling(path, options.mode)?;
        if let Ok(there) = std::fs::metadata(path) {
            if there.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            file.set_permissions(there.permissions())?;
        }
        Ok(Self { file: Arc::new(file), name: Some(name) })
    }

    /// Brings it to the device if that is wanted, closes it, and gives it its name. Blocks.
    pub(super) fn finish(self, path: &Path, options: &WriteOptions) -> io::Result<()> {
        if options.sync {
            self.file.sync_all()?;
        }
        drop(self.file);
        match self.name {
            None => Ok(()),
            Some(name) if options.kind == Kind::New => name.keep_new(path),
            Some(name) => name.keep(path),
        }
    }
}
