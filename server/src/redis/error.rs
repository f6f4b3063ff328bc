//! What can go wrong, and who can do something about it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerError};

/// Why there is no answer from Redis, or not the one that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The caller asks for what can not be: the reason. Nothing was sent.
    Invalid(String),
    /// The limits: so much waits already. Nothing was sent.
    Full {
        /// The limit that is reached, by its name in [`Options`](super::Options).
        limit: &'static str,
        /// What it is.
        max: usize,
    },
    /// The limits: one channel or pattern more than may be subscribed to. Nothing was sent.
    TooManySubscriptions {
        /// The first one that is too many.
        name: String,
        /// [`subscriptions_max`](super::Options::subscriptions_max).
        max: usize,
    },
    /// There is no connection, for this reason. Nothing was sent; the client goes on trying.
    Unavailable(String),
    /// The connection ended, for this reason, while the command was under way. Redis may have run it or not.
    Lost(String),
    /// No answer in this time. Redis may run it yet, or have run it.
    Timeout(Duration),
    /// The server says no.
    Refused {
        /// Its word for the reason, such as `WRONGTYPE`.
        code: String,
        /// The rest of what it says.
        message: String,
    },
    /// What the server sends is no Redis, or too large.
    Protocol(String),
    /// The answer is of another shape than was asked for.
    Unexpected(String),
}

impl Error {
    /// True if the same may succeed later, without anybody changing it: there is no connection, or what the server says will pass, such as
    /// that it loads, runs a script, is full (`OOM`) or takes no writes for now (`READONLY`, `MISCONF`, `NOREPLICAS`).
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Full { .. }
            | Self::TooManySubscriptions { .. }
            | Self::Unavailable(_)
            | Self::Lost(_)
            | Self::Timeout(_) => true,
            Self::Refused { code, .. } => {
                matches!(
                    code.as_str(),
                    "LOADING"
                        | "BUSY"
                        | "TRYAGAIN"
                        | "MASTERDOWN"
                        | "CLUSTERDOWN"
                        | "READONLY"
                        | "OOM"
                        | "MISCONF"
                        | "NOREPLICAS"
                )
            }
            _ => false,
        }
    }

    /// True if nobody knows whether the server has run the command.
    pub fn may_have_run(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Timeout(_) | Self::Protocol(_))
    }

    /// Why a connection ended, to be told as part of another error.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Lost(why) | Self::Unavailable(why) | Self::Protocol(why) => why.clone(),
            other => other.to_string(),
        }
    }

    pub(super) fn refused(error: &ServerError) -> Self {
        Self::Refused {
            code: error.code().to_owned(),
            message: error.details().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::Full { limit, max } => write!(f, "too much waits for redis: {limit} is {max}"),
            Self::TooManySubscriptions { name, max } => {
                write!(f, "{name:?} would be one subscription too many: subscriptions_max is {max}")
            }
            Self::Unavailable(why) => write!(f, "redis is unavailable: {why}"),
            Self::Lost(why) => write!(f, "the connection to redis ended before the answer: {why}"),
            Self::Timeout(limit) => write!(f, "redis did not answer within {limit:?}"),
            Self::Refused { code, message } if message.is_empty() => write!(f, "redis refused: {code}"),
            Self::Refused { code, message } => write!(f, "redis refused: {code} {message}"),
            Self::Protocol(why) => write!(f, "this is no redis, or a broken one: {why}"),
            Self::Unexpected(why) => write!(f, "redis answered something else: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<RedisError> for Error {
    /// What a command of the crate `redis` reports. An error of ours that went through it is itself again.
    fn from(error: RedisError) -> Self {
        if let Some(own) = own(&error) {
            return own.clone();
        }
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused {
                code: error.code().unwrap_or("ERR").to_owned(),
                message: error.detail().map_or_else(|| error.to_string(), str::to_owned),
            },
            ErrorKind::InvalidClientConfig | ErrorKind::Client => Self::Invalid(error.to_string()),
            ErrorKind::Io => Self::Lost(error.to_string()),
            _ => Self::Unexpected(error.to_string()),
        }
    }
}

/// The error of ours inside one of `redis`.
fn own(error: &RedisError) -> Option<&Error> {
    // The crate shares its causes, and what it shows is the share.
    let cause = std::error::Error::source(error)?;
    let io = match cause.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>() {
        Some(shared) => shared.downcast_ref::<io::Error>(),
        None => cause.downcast_ref::<io::Error>(),
    };
    io?.get_ref()?.downcast_ref()
}

impl From<Error> for RedisError {
    /// For what expects errors of the crate `redis`. `Error::from` gives it back.
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Timeout(_) => io::ErrorKind::TimedOut,
            Error::Lost(_) => io::ErrorKind::ConnectionReset,
            Error::Unavailable(_) => io::ErrorKind::NotConnected,
            Error::Invalid(_) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error).into()
    }
}

impl From<redis::ParsingError> for Error {
    fn from(error: redis::ParsingError) -> Self {
        Self::Unexpected(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_back_out_of_one_of_the_crate() {
        let errors = [Error::Timeout(Duration::from_secs(1)), Error::Full { limit: "in_flight_max", max: 1 }];
        for error in errors {
            assert_eq!(Error::from(RedisError::from(error.clone())), error);
        }
    }

    #[test]
    fn what_the_server_says_stays_as_it_is() {
        let value = redis::parse_redis_value(b"-WRONGTYPE Operation against a key\r\n").unwrap();
        let error = Error::from(value.extract_error().unwrap_err());
        let expected = Error::Refused { code: "WRONGTYPE".into(), message: "Operation against a key".into() };
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), "redis refused: WRONGTYPE Operation against a key");
    }
}
