//! What a handler fails with.

use std::fmt;

use crate::http::{BoxError, StatusCode, StatusError, status_of};

/// What a handler or a middleware gives back: nothing, since the answer is written into the response, or an [`Error`].
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Any error, on its way to whoever handles it. Every error of std's kind turns into one with `?`.
///
/// It need not be `Send`. What the client sees of it is decided by the causes: a [`StatusError`] says its status and message, a
/// body that broke a limit is a 413 or a 408, and everything else is a 500 without a word on why.
///
/// # Examples
/// ```
/// use phaseloop_server::http::StatusCode;
/// use phaseloop_server::web::{Error, Result};
///
/// fn number(text: &str) -> Result<i64> {
///     Ok(text.parse::<i64>()?)
/// }
/// assert_eq!(number("seven").unwrap_err().status(), StatusCode::INTERNAL_SERVER_ERROR);
/// let error = Error::new(StatusCode::CONFLICT, "the name is taken");
/// assert_eq!(error.to_string(), "409: the name is taken");
/// ```
pub struct Error {
    cause: BoxError,
    /// Every error handler that stands behind the place it came from has been asked.
    pub(super) is_offered: bool,
}

impl Error {
    /// An error that is answered with `status` and, as text, `message`.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        StatusError::new(status, message).into()
    }

    /// An error of any kind, also one that `?` does not take, such as a text.
    pub fn other(cause: impl Into<BoxError>) -> Self {
        Self { cause: cause.into(), is_offered: false }
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.answer().status()
    }

    /// What the client is told: the message of a [`StatusError`], or the name of the status.
    pub fn message(&self) -> String {
        self.answer().message().to_owned()
    }

    /// The answer to it, as far as the causes decide it.
    pub(super) fn answer(&self) -> StatusError {
        status_of(&*self.cause)
    }

    /// What it was made of.
    pub fn cause(&self) -> &(dyn std::error::Error + 'static) {
        &*self.cause
    }

    /// What it was made of, if that is a `T`.
    pub fn downcast_ref<T: std::error::Error + 'static>(&self) -> Option<&T> {
        self.cause.downcast_ref()
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self::other(Box::new(error) as BoxError)
    }
}

impl From<Error> for BoxError {
    fn from(error: Error) -> Self {
        error.cause
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.cause, f)
    }
}
