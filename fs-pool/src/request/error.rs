//! Why a request has no result.

use std::any::Any;
use std::{fmt, io};

use crate::pool::{JobError, SubmitError};

/// Why there is no result of a job.
#[non_exhaustive]
pub enum RequestError {
    /// It was cancelled before it started.
    Cancelled,
    /// Its time was over. If it had started, it ends alone, and its result is dropped.
    TimedOut,
    /// It panicked with this payload. The worker lives on.
    Panicked(Box<dyn Any + Send>),
    /// The queue of its class is full.
    Full,
    /// The pool was shut down, or the loop is gone.
    Closed,
    /// The pool has no thread yet, and the system refused to start one.
    NoThread(io::Error),
}

impl RequestError {
    /// The text of a panic, as far as it has one.
    pub fn panic_message(&self) -> Option<&str> {
        let Self::Panicked(payload) = self else { return None };
        match payload.downcast_ref::<&'static str>() {
            Some(text) => Some(text),
            None => payload.downcast_ref::<String>().map(String::as_str),
        }
    }
}

impl From<JobError> for RequestError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Cancelled => Self::Cancelled,
            JobError::Panicked(payload) => Self::Panicked(payload),
        }
    }
}

impl From<SubmitError> for RequestError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Full(_) => Self::Full,
            SubmitError::Closed(_) => Self::Closed,
            SubmitError::NoThread(_, error) => Self::NoThread(error),
        }
    }
}

/// For operations whose errors are the system's: the kind tells a timeout and a full queue from the rest.
impl From<RequestError> for io::Error {
    fn from(error: RequestError) -> Self {
        let kind = match error {
            RequestError::NoThread(error) => return error,
            RequestError::TimedOut => io::ErrorKind::TimedOut,
            RequestError::Full => io::ErrorKind::ResourceBusy,
            RequestError::Cancelled | RequestError::Closed | RequestError::Panicked(_) => {
                io::ErrorKind::Other
            }
        };
        // The text only: the payload of a panic can not be shared between threads, as an `io::Error` can.
        Self::new(kind, error.to_string())
    }
}

impl fmt::Debug for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the job was cancelled before it started"),
            Self::TimedOut => f.write_str("the job took longer than it was given"),
            Self::Panicked(_) => {
                write!(f, "the job panicked: {}", self.panic_message().unwrap_or("(no message)"))
            }
            Self::Full => f.write_str("the queue of the job's class is full"),
            Self::Closed => f.write_str("the pool has been shut down, or the loop is gone"),
            Self::NoThread(error) => write!(f, "no worker could be started: {error}"),
        }
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoThread(error) => Some(error),
            _ => None,
        }
    }
}
