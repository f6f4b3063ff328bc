//! Why there is no hash.

use std::path::PathBuf;
use std::{fmt, io};

use crate::pool::Cancelled;
use crate::request::RequestError;

/// Why something could not be hashed, derived or drawn.
#[derive(Debug)]
#[non_exhaustive]
pub enum HashError {
    /// A parameter is outside what its function takes.
    Parameter {
        /// What was asked for and its parameter: `scrypt n`.
        name: &'static str,
        /// The value that was given.
        value: u64,
        /// What holds for it: `must be a power of two above 1`.
        rule: &'static str,
    },
    /// The parameters ask for more memory than they allow, or than there is.
    Memory {
        /// Bytes that would be needed.
        needed: u64,
        /// Bytes that are allowed; none if there was not so much.
        allowed: Option<u64>,
    },
    /// The algorithm cannot do this.
    Unsupported {
        /// The algorithm's name.
        algorithm: &'static str,
        /// What it cannot do.
        what: &'static str,
    },
    /// Reading failed.
    Read {
        /// The file; none for a reader.
        path: Option<PathBuf>,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes.
    Random(io::Error),
    /// The job was cancelled while it ran, and noticed.
    Cancelled,
    /// The job did not run, or not to its end.
    Request(RequestError),
}

impl HashError {
    pub(super) fn parameter(name: &'static str, value: impl TryInto<u64>, rule: &'static str) -> Self {
        Self::Parameter { name, value: value.try_into().unwrap_or(u64::MAX), rule }
    }
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter { name, value, rule } => write!(f, "{name} is {value}: it {rule}"),
            Self::Memory { needed, allowed: Some(allowed) } => {
                write!(f, "{needed} bytes of memory are needed, and {allowed} are allowed")
            }
            Self::Memory { needed, allowed: None } => write!(f, "{needed} bytes of memory could not be had"),
            Self::Unsupported { algorithm, what } => write!(f, "{algorithm} has no {what}"),
            Self::Read { path: Some(path), source } => write!(f, "reading {path:?}: {source}"),
            Self::Read { path: None, source } => write!(f, "reading: {source}"),
            Self::Random(source) => write!(f, "the system gave no random bytes: {source}"),
            Self::Cancelled => fmt::Display::fmt(&Cancelled, f),
            Self::Request(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for HashError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Random(source) => Some(source),
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RequestError> for HashError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<Cancelled> for HashError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Keeps the kind and the text; the system's code is then only in the text.
impl From<HashError> for io::Error {
    fn from(error: HashError) -> Self {
        let kind = match &error {
            HashError::Parameter { .. } => io::ErrorKind::InvalidInput,
            HashError::Memory { .. } => io::ErrorKind::OutOfMemory,
            HashError::Unsupported { .. } => io::ErrorKind::Unsupported,
            HashError::Read { source, .. } | HashError::Random(source) => source.kind(),
            HashError::Cancelled => io::ErrorKind::Other,
            // Its own conversion knows the kind; a panic's payload can not be shared, as an `io::Error` can.
            HashError::Request(_) => {
                let HashError::Request(error) = error else { unreachable!("it matched a line above") };
                return error.into();
            }
        };
        Self::new(kind, error.to_string())
    }
}
