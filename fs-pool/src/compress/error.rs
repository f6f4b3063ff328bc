//! Why something could not be compressed or decompressed.

use std::path::PathBuf;
use std::{fmt, io};

use crate::pool::Cancelled;
use crate::request::RequestError;

/// Why there is no result, or no more of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum CompressError {
    /// A setting is outside what the format takes.
    Parameter {
        /// The format and the setting: `gzip level`.
        name: &'static str,
        /// The value that was given.
        value: i64,
        /// What holds for it: `must be from 0 to 9`.
        rule: &'static str,
    },
    /// The input is not of the format, or was changed on its way.
    Corrupt {
        /// The format.
        format: &'static str,
        /// How many bytes of input were read when it was noticed; of zstd, how many pieces of it before that one held.
        at: u64,
        /// What is wrong, in the words of the format's library.
        said: String,
    },
    /// The input ended before its end.
    Truncated {
        /// The format.
        format: &'static str,
        /// How many bytes of input there were.
        read: u64,
    },
    /// There is more output than is allowed. What was made of it is dropped.
    TooLong {
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The input needs a dictionary, and none was given or another.
    Dictionary {
        /// The checksum (Adler-32) of the dictionary that it needs.
        needed: u32,
        /// Whether one was given.
        given: bool,
    },
    /// The encoder was told to finish, and did: it takes no more.
    Finished,
    /// An earlier error ended it.
    Broken,
    /// A file could not be read or written.
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The job was cancelled while it ran, and noticed.
    Cancelled,
    /// The job did not run, or not to its end.
    Request(RequestError),
}

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter { name, value, rule } => write!(f, "{name} is {value}: it {rule}"),
            Self::Corrupt { format, at, said } => write!(f, "bad {format} after {at} bytes: {said}"),
            Self::Truncated { format, read } => {
                write!(f, "the {format} input ends too early, after {read} bytes")
            }
            Self::TooLong { limit } => write!(f, "there is more output than the {limit} bytes allowed"),
            Self::Dictionary { needed, given: false } => {
                write!(f, "a dictionary with checksum {needed:#010x} is needed")
            }
            Self::Dictionary { needed, given: true } => {
                write!(f, "a dictionary with checksum {needed:#010x} is needed, and another was given")
            }
            Self::Finished => f.write_str("the encoder has finished and takes no more"),
            Self::Broken => f.write_str("an earlier error ended it"),
            Self::File { path, source } => write!(f, "{path:?}: {source}"),
            Self::Cancelled => fmt::Display::fmt(&Cancelled, f),
            Self::Request(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for CompressError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RequestError> for CompressError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<Cancelled> for CompressError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// For readers and writers: the kind tells whose fault it is.
impl From<CompressError> for io::Error {
    fn from(error: CompressError) -> Self {
        let kind = match &error {
            CompressError::Corrupt { .. } | CompressError::Dictionary { .. } => io::ErrorKind::InvalidData,
            CompressError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            CompressError::TooLong { .. } => io::ErrorKind::FileTooLarge,
            CompressError::Parameter { .. } => io::ErrorKind::InvalidInput,
            CompressError::Finished | CompressError::Broken | CompressError::Cancelled => {
                io::ErrorKind::Other
            }
            CompressError::File { source, .. } => source.kind(),
            // Its own conversion knows the kind; a panic's payload can not be shared, as an `io::Error` can.
            CompressError::Request(_) => {
                let CompressError::Request(error) = error else { unreachable!("it was matched above") };
                return error.into();
            }
        };
        Self::new(kind, error.to_string())
    }
}
