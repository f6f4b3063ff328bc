//! Why a request got no answer.

use std::error::Error;
use std::fmt;
use std::io;

use http::Uri;

/// Why a request got no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The URI is not one, has no host, or a scheme other than `http` and `https`.
    BadUri(String),
    /// The server could not be reached.
    Connect(Uri, io::Error),
    /// Connecting took longer than [`ClientOptions::connect`](super::ClientOptions::connect).
    SlowConnect(Uri),
    /// The answer took longer than [`ClientOptions::head`](super::ClientOptions::head).
    SlowAnswer(Uri),
    /// The connection broke, or the server does not speak HTTP.
    Broken(Uri, hyper::Error),
    /// There were more redirects than [`ClientOptions::redirects_max`](super::ClientOptions::redirects_max).
    TooManyRedirects(Uri),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUri(uri) => write!(f, "{uri:?} is no absolute http or https URI"),
            Self::Connect(uri, error) => write!(f, "{uri}: {error}"),
            Self::SlowConnect(uri) => write!(f, "{uri}: connecting took too long"),
            Self::SlowAnswer(uri) => write!(f, "{uri}: the answer took too long"),
            Self::Broken(uri, error) => write!(f, "{uri}: {error}"),
            Self::TooManyRedirects(uri) => write!(f, "{uri}: one redirect too many"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect(_, error) => Some(error),
            Self::Broken(_, error) => Some(error),
            _ => None,
        }
    }
}
