//! What a folder holds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::FileType;

/// One entry of a folder, as [`Fs::readdir`](super::Fs::readdir) lists it.
#[derive(Clone, Debug)]
pub struct DirEntry {
    name: OsString,
    file_type: FileType,
}

impl DirEntry {
    /// Blocks where the file system does not say what an entry is.
    pub(super) fn of(entry: &std::fs::DirEntry) -> io::Result<Self> {
        Ok(Self { name: entry.file_name(), file_type: entry.file_type()?.into() })
    }

    /// The name inside the folder: any bytes but zero and the slash.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// What it is; links are not followed.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }
}

/// Lists a folder by name. Blocks.
pub(super) fn list(folder: &Path) -> io::Result<Vec<DirEntry>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| DirEntry::of(&entry?));
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
