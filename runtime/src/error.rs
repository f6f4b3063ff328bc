//! The loop's own failures. What the system says stays an `io::Error`.

use std::any::Any;
use std::error::Error;
use std::fmt;

/// The handle was closed, so it can not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing;

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handle is closing or closed")
    }
}

impl Error for Closing {}

/// The loop keeps real time, which nobody can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealTime;

impl fmt::Display for RealTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only the clock of a loop in virtual time can be moved")
    }
}

impl Error for RealTime {}

/// Why [`Timer::again`](crate::Timer::again) did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgainError {
    /// The timer was closed.
    Closing,
    /// The timer was never started, so it has nothing to run again.
    NeverStarted,
}

impl fmt::Display for AgainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closing => "the timer is closing or closed",
            Self::NeverStarted => "the timer was never started",
        })
    }
}

impl Error for AgainError {}

/// Why a loop did not take what another thread sent. It is given back.
#[non_exhaustive]
pub enum RemoteError<T> {
    /// The loop is gone.
    Closed(T),
    /// As many closures wait as [`Limits::remote_queue_len_max`](crate::Limits::remote_queue_len_max) allows.
    Full(T),
}

impl<T> RemoteError<T> {
    /// What was sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Closed(sent) | Self::Full(sent) => sent,
        }
    }

    /// True if the loop is gone, so that trying again is of no use.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl<T> fmt::Debug for RemoteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_closed() { "Closed(..)" } else { "Full(..)" })
    }
}

impl<T> fmt::Display for RemoteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "the loop is gone",
            Self::Full(_) => "the loop's remote queue is full",
        })
    }
}

impl<T> Error for RemoteError<T> {}

/// Why a task has no output.
#[non_exhaustive]
pub enum JoinError {
    /// It was aborted, or its loop was closed.
    Cancelled,
    /// It panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
}

impl JoinError {
    /// True if the task was aborted or its loop closed.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// True if the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }

    /// The panic's payload, to be looked at or raised again.
    pub fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        match self {
            Self::Panicked(payload) => Some(payload),
            Self::Cancelled => None,
        }
    }

    fn message(&self) -> Option<&str> {
        let Self::Panicked(payload) = self else { return None };
        let text = payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Panicked(_) => f.debug_tuple("Panicked").field(&self.message().unwrap_or("..")).finish(),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.message()) {
            (Self::Cancelled, _) => f.write_str("the task was cancelled"),
            (_, Some(message)) => write!(f, "the task panicked: {message}"),
            (_, None) => f.write_str("the task panicked"),
        }
    }
}

impl Error for JoinError {}

/// The time was up before the future was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up before the future was done")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}
