//! Why a file operation failed: what the system said, and to whom.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::pool::JobContext;

/// A file operation that failed.
///
/// `source` is what the system said, with its code; or, of the kinds `TimedOut`, `ResourceBusy` and `Other`, why the job
/// did not run or end (see [`RequestError`](crate::request::RequestError)).
#[derive(Debug)]
#[non_exhaustive]
pub struct FsError {
    /// The operation, by the name of its function.
    pub operation: &'static str,
    /// The path it was called with; for an open file, the path with which it was opened.
    pub path: PathBuf,
    /// The second path, where the operation has one: what `rename` and `copy_file` lead to.
    pub to: Option<PathBuf>,
    /// What went wrong.
    pub source: io::Error,
}

impl FsError {
    /// The kind of what went wrong.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.operation, self.path)?;
        if let Some(to) = &self.to {
            write!(f, " to {to:?}")?;
        }
        write!(f, ": {}", self.source)
    }
}

impl std::error::Error for FsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Where in a tree something went wrong, on its way from the job to the operation's error.
#[derive(Debug)]
pub(super) struct At {
    pub(super) path: PathBuf,
    pub(super) to: Option<PathBuf>,
    pub(super) source: io::Error,
}

impl At {
    /// Has an error name another path than the operation's.
    pub(super) fn wrap(source: io::Error, path: &Path, to: Option<&Path>) -> io::Error {
        let (path, to) = (path.to_path_buf(), to.map(Path::to_path_buf));
        io::Error::new(source.kind(), Self { path, to, source })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.path, self.source)
    }
}

impl std::error::Error for At {}

/// What a job that was given up ends with. Nobody hears of it, but where the pool is shut down.
pub(super) fn cancelled(cx: &JobContext<'_>) -> io::Result<()> {
    cx.check().map_err(io::Error::other)
}

/// Keeps the kind and the text; the system's code is then only in the text.
impl From<FsError> for io::Error {
    fn from(error: FsError) -> Self {
        Self::new(error.kind(), error)
    }
}
