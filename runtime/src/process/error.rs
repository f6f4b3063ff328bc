//! Why a process could not be run, or not to its end.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::exec::Output;

/// A process could not be spawned: no child is left behind.
#[derive(Debug)]
pub struct SpawnError {
    pub(super) program: PathBuf,
    /// The folder it was to run in, if that is what is wrong.
    pub(super) folder: Option<PathBuf>,
    pub(super) source: io::Error,
}

impl SpawnError {
    pub(crate) fn of(program: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { program: program.into(), folder: None, source }
    }

    /// The program that was to run, as it was given.
    pub fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// What the system says.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }

    /// The kind of what the system says: `NotFound` for a missing program, `PermissionDenied` for one that is not
    /// executable, `ExecutableFileBusy` for one that is being written.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can not run {:?}", self.program)?;
        if let Some(folder) = &self.folder {
            write!(f, " in the folder {folder:?}")?;
        }
        write!(f, ": {}", self.source)
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// Why [`Command::output`](super::Command::output) has no output, or not all of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExecError {
    /// The process was not spawned.
    Spawn(SpawnError),
    /// The time was up: the process and its descendants were ended. What it wrote before is here.
    Timeout(Output),
    /// It wrote more than was allowed, and was ended with its descendants. What was allowed is here.
    TooLong(Output),
    /// Talking to it failed, and it was ended.
    Io(io::Error),
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = |output: &Output| (output.stdout.len(), output.stderr.len());
        match self {
            Self::Spawn(error) => fmt::Display::fmt(error, f),
            Self::Timeout(output) => {
                let (out, err) = lengths(output);
                write!(f, "the time was up after {out} bytes of output and {err} of errors")
            }
            Self::TooLong(output) => {
                let (out, err) = lengths(output);
                write!(
                    f,
                    "the process wrote more than it may: {out} bytes of output and {err} of errors are kept"
                )
            }
            Self::Io(error) => write!(f, "talking to the process failed: {error}"),
        }
    }
}

impl Error for ExecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Spawn(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Timeout(_) | Self::TooLong(_) => None,
        }
    }
}

impl From<SpawnError> for ExecError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}
