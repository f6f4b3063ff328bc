//! Listing a tree.

use std::io;
use std::path::{Path, PathBuf};

use super::{Work, work_on};
use crate::fs::error::{At, cancelled};
use crate::fs::front::subject;
use crate::fs::{FileType, Fs, Operation, entry};
use crate::pool::JobContext;

/// One entry of a tree, as [`Fs::readdir_recursive`] lists it.
#[derive(Clone, Debug)]
pub struct TreeEntry {
    path: PathBuf,
    file_type: FileType,
}

impl TreeEntry {
    /// The path below the folder that was listed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is; links are not followed.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }
}

impl Fs {
    /// Lists a folder with all that is below it: each folder before what is in it, and its entries sorted by name. Links
    /// are listed and not followed.
    ///
    /// # Ordering
    /// One job for about [`FsLimits::entries_per_job`](crate::fs::FsLimits::entries_per_job) entries.
    ///
    /// # Errors
    /// `QuotaExceeded` above [`FsLimits::tree_len_max`](crate::fs::FsLimits::tree_len_max) entries. The error of a folder
    /// below names that folder. Folders that vanish meanwhile are as if they were empty.
    #[track_caller]
    pub fn readdir_recursive(&self, path: impl AsRef<Path>) -> Operation<Vec<TreeEntry>> {
        let root = path.as_ref().to_path_buf();
        let walk = Walk {
            folders: vec![PathBuf::new()],
            root,
            found: Vec::new(),
            len_max: self.limits.tree_len_max,
        };
        Operation::start(&self.trips, subject("readdir_recursive", path), |chain| {
            work_on(chain, walk, self.limits.entries_per_job);
        })
    }
}

struct Walk {
    root: PathBuf,
    /// Folders that are still to be listed, as paths below the root; the next one last.
    folders: Vec<PathBuf>,
    found: Vec<TreeEntry>,
    len_max: usize,
}

impl Walk {
    fn list(&mut self, folder: &Path) -> io::Result<usize> {
        let path = self.root.join(folder);
        let entries = match entry::list(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder != Path::new("") => return Ok(0),
            Err(error) => return Err(At::wrap(error, &path, None)),
        };
        if self.found.len() + entries.len() > self.len_max {
            let text = format!("there are more than {} entries", self.len_max);
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        self.found.extend(
            entries
                .iter()
                .map(|entry| TreeEntry { path: folder.join(entry.name()), file_type: entry.file_type() }),
        );
        let folders = entries.iter().rev().filter(|entry| entry.file_type().is_dir());
        self.folders.extend(folders.map(|entry| folder.join(entry.name())));
        Ok(entries.len())
    }
}

impl Work for Walk {
    type Output = Vec<TreeEntry>;

    fn run(&mut self, entries: usize, cx: &JobContext<'_>) -> io::Result<Option<Self::Output>> {
        let mut left = entries;
        while let Some(folder) = self.folders.pop() {
            cancelled(cx)?;
            left = left.saturating_sub(1 + self.list(&folder)?);
            if left == 0 && !self.folders.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(std::mem::take(&mut self.found)))
    }
}
