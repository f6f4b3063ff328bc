//! Copying a tree.

use std::fs::{DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use super::{Work, work_on};
use crate::fs::copy::{CopyOptions, Reflink, copy, is_same};
use crate::fs::error::{At, cancelled};
use crate::fs::front::subject;
use crate::fs::operation::Subject;
use crate::fs::sys::{self, Links};
use crate::fs::{Fs, Operation, SetTime, entry};
use crate::pool::JobContext;
use crate::request::Progress;

/// How a tree is copied: see [`Fs::cp_with`].
#[derive(Clone)]
pub struct CpOptions {
    recursive: bool,
    overwrite: bool,
    error_on_exist: bool,
    preserve_timestamps: bool,
    dereference: bool,
    verbatim_symlinks: bool,
    reflink: Reflink,
    filter: Option<Filter>,
    progress: Progress,
}

type Filter = Arc<dyn Fn(&Path, &Path) -> bool + Send + Sync>;

impl Default for CpOptions {
    fn default() -> Self {
        Self {
            recursive: false,
            overwrite: true,
            error_on_exist: false,
            preserve_timestamps: false,
            dereference: false,
            verbatim_symlinks: false,
            reflink: Reflink::Try,
            filter: None,
            progress: Progress::default(),
        }
    }
}

impl CpOptions {
    /// Copies one file or link, and replaces what is there.
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies a folder, too, with all that is in it.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }

    /// Whether files that are there are replaced. Default: yes. Source: Node, `cp`, `force`.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Where nothing is to be replaced: whether a file that is there is an error, or is left out. Default: left out.
    pub fn error_on_exist(mut self, is_error: bool) -> Self {
        self.error_on_exist = is_error;
        self
    }

    /// Gives the copies the times of access and change of what they were copied from.
    pub fn preserve_timestamps(mut self, preserve: bool) -> Self {
        self.preserve_timestamps = preserve;
        self
    }

    /// Copies what links lead to, instead of the links. A circle of links ends where the system finds a path too long.
    pub fn dereference(mut self, dereference: bool) -> Self {
        self.dereference = dereference;
        self
    }

    /// Copies links as they are. Otherwise one that is relative is made to lead where it led from its old place.
    pub fn verbatim_symlinks(mut self, verbatim: bool) -> Self {
        self.verbatim_symlinks = verbatim;
        self
    }

    /// Whether contents are to be shared.
    pub fn reflink(mut self, reflink: Reflink) -> Self {
        self.reflink = reflink;
        self
    }

    /// Copies only that for which `filter` gives true, asked with both paths, on a worker. A folder that is left out is left
    /// out with all that is in it.
    pub fn filter(mut self, filter: impl Fn(&Path, &Path) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// Counts the bytes that were copied, for who wants to see how far it is: after each file, and in long ones every 8 MiB.
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.progress = progress.clone();
        self
    }
}

impl fmt::Debug for CpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("CpOptions");
        out.field("recursive", &self.recursive).field("overwrite", &self.overwrite).finish_non_exhaustive()
    }
}

/// What [`Fs::cp`] has copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Files.
    pub files: u64,
    /// Folders, those that were there already included.
    pub folders: u64,
    /// Links.
    pub links: u64,
    /// Files and links that were left out because something was there.
    pub kept: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl Fs {
    /// Copies a file, a link, or a folder with all that is in it; see [`cp_with`](Self::cp_with).
    #[track_caller]
    pub fn cp(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Operation<Copied> {
        self.cp_with(from, to, CpOptions::new().recursive(true))
    }

    /// Copies a tree. Folders that are missing on the way to `to` are made.
    ///
    /// No half file is left under a name of the copy: a new file that can not be copied to its end is removed, and one that is
    /// replaced is replaced by the whole new one. What was copied before an error stays.
    ///
    /// # Ordering
    /// One job for about [`FsLimits::entries_per_job`](crate::fs::FsLimits::entries_per_job) entries, but a single file is
    /// always one.
    ///
    /// # Errors
    /// The error of an entry names both its paths. `IsADirectory` for a folder that is not to be copied recursively, or where
    /// a file would replace a folder; `NotADirectory` where a folder would replace a file; `AlreadyExists` as the options say;
    /// `InvalidInput` for a tree that would be copied into itself or onto itself, and for what is neither file, folder nor
    /// link.
    ///
    /// # Cancel safety
    /// If the operation is dropped, copying ends between two entries or two pieces of 8 MiB; the file under way is removed.
    #[track_caller]
    pub fn cp_with(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        options: CpOptions,
    ) -> Operation<Copied> {
        let (from, to) = (from.as_ref().to_path_buf(), to.as_ref().to_path_buf());
        let subject = Subject { to: Some(to.clone()), ..subject("cp", &from) };
        let first = Step::Copy { from, to, is_root: true };
        let copying = Copying { steps: vec![first], options, copied: Copied::default() };
        Operation::start(&self.trips, subject, |chain| work_on(chain, copying, self.limits.entries_per_job))
    }
}

struct Copying {
    /// What is still to be done; the next one last.
    steps: Vec<Step>,
    options: CpOptions,
    copied: Copied,
}

enum Step {
    Copy {
        from: PathBuf,
        to: PathBuf,
        is_root: bool,
    },
    /// All that is in a folder was copied: now it gets its permissions and times.
    Leave {
        folder: PathBuf,
        source: Metadata,
    },
}

impl Copying {
    fn copy(&mut self, from: &Path, to: &Path, is_root: bool, cx: &JobContext<'_>) -> io::Result<()> {
        if self.options.filter.as_ref().is_some_and(|filter| !filter(from, to)) {
            return Ok(());
        }
        let source = match self.options.dereference {
            true => std::fs::metadata(from)?,
            false => std::fs::symlink_metadata(from)?,
        };
        let target = match std::fs::symlink_metadata(to) {
            Ok(target) => Some(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if is_root {
            self.check_root(&source, from, to)?;
        }
        if target.as_ref().is_some_and(|target| is_same(&source, target)) {
            return Err(invalid("it would be copied onto itself"));
        }
        let kind = source.file_type();
        let target_is_folder = target.as_ref().is_some_and(|_| to.is_dir());
        match kind {
            _ if kind.is_dir() => self.copy_folder(from, to, source, target_is_folder, target.is_some()),
            _ if target.as_ref().is_some_and(Metadata::is_dir) => Err(io::ErrorKind::IsADirectory.into()),
            _ if target.is_some() && !self.options.overwrite => match self.options.error_on_exist {
                true => Err(io::ErrorKind::AlreadyExists.into()),
                false => {
                    self.copied.kept += 1;
                    Ok(())
                }
            },
            _ if kind.is_symlink() => self.copy_link(from, to, target.is_some()),
            _ if kind.is_file() => self.copy_file(from, to, &source, target.is_some(), cx),
            _ => Err(invalid("it is neither a file, a folder nor a link")),
        }
    }

    /// Before anything is copied: refuses a tree that would never end, and makes the way.
    fn check_root(&self, source: &Metadata, from: &Path, to: &Path) -> io::Result<()> {
        if source.is_dir() && !self.options.recursive {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let to = std::path::absolute(to)?;
        if source.is_dir() {
            // By what the folders are, not by their names: links may lead from one into the other.
            let above = to.ancestors().skip(1).filter_map(|folder| std::fs::metadata(folder).ok());
            if above.into_iter().any(|folder| is_same(source, &folder)) {
                return Err(invalid(&format!("{from:?} would be copied into itself")));
            }
        }
        match to.parent() {
            Some(parent) => std::fs::create_dir_all(parent),
            None => Ok(()),
        }
    }

    fn copy_folder(
        &mut self,
        from: &Path,
        to: &Path,
        source: Metadata,
        target_is_folder: bool,
        is_there: bool,
    ) -> io::Result<()> {
        if is_there && !target_is_folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let entries = entry::list(from)?;
        if !is_there {
            // Ours alone until all is in it: the source may be one that nobody may write to, and has its reasons.
            DirBuilder::new().mode(0o700).create(to)?;
        }
        self.copied.folders += 1;
        if !is_there || self.options.preserve_timestamps {
            self.steps.push(Step::Leave { folder: to.to_path_buf(), source });
        }
        self.steps.extend(entries.iter().rev().map(|entry| {
            let (from, to) = (from.join(entry.name()), to.join(entry.name()));
            Step::Copy { from, to, is_root: false }
        }));
        Ok(())
    }

    fn leave(&self, folder: &Path, source: &Metadata) -> io::Result<()> {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(source.mode() & 0o7777))?;
        if self.options.preserve_timestamps {
            copy_times(source, folder)?;
        }
        Ok(())
    }

    fn copy_file(
        &mut self,
        from: &Path,
        to: &Path,
        source: &Metadata,
        is_there: bool,
        cx: &JobContext<'_>,
    ) -> io::Result<()> {
        let options = CopyOptions::new().reflink(self.options.reflink).atomic(is_there).exclusive(!is_there);
        self.copied.bytes += copy(from, to, options, &self.options.progress, cx)?;
        self.copied.files += 1;
        if self.options.preserve_timestamps {
            copy_times(source, to)?;
        }
        Ok(())
    }

    fn copy_link(&mut self, from: &Path, to: &Path, is_there: bool) -> io::Result<()> {
        let mut target = std::fs::read_link(from)?;
        if !self.options.verbatim_symlinks && target.is_relative() {
            let folder = std::path::absolute(from.parent().unwrap_or(Path::new("")))?;
            target = without_dots(&folder.join(target));
        }
        if is_there {
            std::fs::remove_file(to)?;
        }
        symlink(target, to)?;
        self.copied.links += 1;
        Ok(())
    }
}

impl Work for Copying {
    type Output = Copied;

    fn run(&mut self, entries: usize, cx: &JobContext<'_>) -> io::Result<Option<Copied>> {
        for _ in 0..entries {
            cancelled(cx)?;
            match self.steps.pop() {
                Some(Step::Copy { from, to, is_root }) => {
                    self.copy(&from, &to, is_root, cx).map_err(|error| At::wrap(error, &from, Some(&to)))?;
                }
                Some(Step::Leave { folder, source }) => {
                    self.leave(&folder, &source).map_err(|error| At::wrap(error, &folder, None))?;
                }
                None => return Ok(Some(self.copied)),
            }
        }
        Ok(None)
    }
}

fn copy_times(source: &Metadata, to: &Path) -> io::Result<()> {
    let (accessed, modified) = (SetTime::At(source.accessed()?), SetTime::At(source.modified()?));
    sys::utimes(to, accessed, modified, Links::Follow)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Takes `.` and `..` out of a path by its letters alone. Source: Node, `path.resolve`, with which `cp` rewrites links.
fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = clean.pop(),
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_taken_out_by_the_letters() {
        assert_eq!(without_dots(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(without_dots(Path::new("/../x")), Path::new("/x"));
    }
}
