//! What a client is told when it does not get what it asked for.

use std::error::Error;
use std::fmt;

use phaseloop_server::http::{StatusCode, StatusError};

/// An error that knows its status, its code and its words. The status stands in the chain of causes, where the server looks.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub(crate) code: &'static str,
    answer: StatusError,
    /// For the log alone.
    cause: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, answer: StatusError::new(status, message), cause: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// A 409 of one kind.
    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn key_reused(key: &str, what: &str) -> Self {
        let message = format!("{key} was used with another {what}; take a new one");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// The program is wrong: the client learns nothing of how.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong").because(cause)
    }

    /// Says why, for the log.
    pub(crate) fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    pub(crate) fn message(&self) -> &str {
        self.answer.message()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.answer, f)?;
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.answer)
    }
}

/// The code of an error that is no refusal of ours.
pub(crate) fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        408 => "timeout",
        409 => "conflict",
        413 => "too_large",
        415 => "unsupported_type",
        429 => "rate_limited",
        501 => "not_implemented",
        503 => "unavailable",
        _ => "internal",
    }
}
