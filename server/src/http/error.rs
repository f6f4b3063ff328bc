//! What can go wrong, sorted by who can act.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

/// Any error of a handler. It need not be `Send`.
pub type BoxError = Box<dyn Error>;

/// Why a body ended before its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// It is longer than [`Limits::body_len_max`](super::Limits::body_len_max), which is inside.
    TooLarge(u64),
    /// It came slower than [`Limits::body_rate_min`](super::Limits::body_rate_min).
    TooSlow,
    /// The peer went away, or broke the protocol.
    Broken(hyper::Error),
    /// Whoever made the body gave it up.
    Aborted,
    /// Whoever made the body says so.
    Other(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(len_max) => write!(f, "the body is longer than {len_max} bytes"),
            Self::TooSlow => f.write_str("the body comes too slowly"),
            Self::Broken(_) => f.write_str("the body broke off"),
            Self::Aborted => f.write_str("the body was given up"),
            Self::Other(_) => f.write_str("the body failed"),
        }
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::Other(error) => Some(&**error),
            Self::TooLarge(_) | Self::TooSlow | Self::Aborted => None,
        }
    }
}

/// An error that knows its answer.
///
/// # Examples
/// ```
/// use phaseloop_server::http::{Body, Request, Response, StatusCode, StatusError};
///
/// async fn user(request: Request<Body>) -> Result<Response<Body>, StatusError> {
///     match request.uri().path().strip_prefix("/users/") {
///         Some(name) => Ok(Response::new(format!("hello {name}").into())),
///         None => Err(StatusError::new(StatusCode::NOT_FOUND, "there is no such page")),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusError {
    status: StatusCode,
    message: String,
    /// Most have none: an error is handed on often.
    headers: Option<Box<HeaderMap>>,
}

impl StatusError {
    /// An error that is answered with `status` and, as text, `message`.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), headers: None }
    }

    /// Adds a field to the header of the answer, such as `Retry-After`.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().append(name, value);
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text of the answer.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the answer's header has beside what every answer has.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().flat_map(|headers| headers.iter())
    }

    /// Puts them into the header of an answer, in place of fields of their names.
    pub(crate) fn add_headers(&self, to: &mut HeaderMap) {
        if let Some(headers) = &self.headers {
            to.extend(HeaderMap::clone(headers));
        }
    }
}

impl From<StatusCode> for StatusError {
    fn from(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or_default())
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.message)
    }
}

impl Error for StatusError {}

/// The answer to an error: what it says itself, what the body's limits say, or 500.
pub(crate) fn status_of(error: &(dyn Error + 'static)) -> StatusError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<StatusError>() {
            return error.clone();
        }
        match error.downcast_ref::<BodyError>() {
            Some(BodyError::TooLarge(_)) => {
                return StatusError::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string());
            }
            Some(BodyError::TooSlow) => {
                return StatusError::new(StatusCode::REQUEST_TIMEOUT, error.to_string());
            }
            Some(BodyError::Broken(_)) => return StatusCode::BAD_REQUEST.into(),
            _ => cause = error.source(),
        }
    }
    StatusCode::INTERNAL_SERVER_ERROR.into()
}

/// What a server could not tell a peer, or is of no concern to one. For [`Server::on_trouble`](super::Server::on_trouble).
#[derive(Debug)]
#[non_exhaustive]
pub enum Trouble {
    /// A connection could not be accepted. After one that says descriptors are used up, accepting pauses by itself.
    Accept(io::Error),
    /// A handler failed. The peer got the status.
    Handler {
        /// The request's method.
        method: Method,
        /// The request's target.
        uri: Uri,
        /// The answer.
        status: StatusCode,
        /// What the handler said.
        error: BoxError,
    },
    /// A connection ended otherwise than by consent.
    Connection {
        /// The other end.
        peer: SocketAddr,
        /// Why.
        error: BoxError,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept(error) => write!(f, "a connection could not be accepted: {error}"),
            Self::Handler { method, uri, status, error } => {
                write!(f, "{method} {uri} was answered with {}: {error}", status.as_u16())
            }
            Self::Connection { peer, error } => write!(f, "the connection of {peer} broke: {error}"),
        }
    }
}

/// How a connection was ended by the server's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing came within [`Limits::first_byte`](super::Limits::first_byte).
    Silent,
    /// The first line names no version of HTTP, on a port where HTTP/2 may come without TLS.
    NotHttp,
    /// A head took longer than [`Limits::head`](super::Limits::head).
    SlowHead,
    /// A request line did not end within [`Limits::head_len_max`](super::Limits::head_len_max).
    LongUri,
    /// The TLS handshake took longer than [`Limits::handshake`](super::Limits::handshake).
    SlowHandshake,
    /// The peer took nothing for [`Limits::write_stall`](super::Limits::write_stall).
    WriteStall,
    /// The peer went before it was answered. HTTP/1.1; over HTTP/2 it resets its streams.
    Left,
    /// The peer sent too many frames of HTTP/2 that carry nothing.
    ControlFlood,
    /// The peer reset too many streams of HTTP/2.
    ResetFlood,
    /// The server was shut down, and the time to finish was up.
    Cut,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "nothing came in time",
            Self::NotHttp => "it does not speak HTTP",
            Self::SlowHead => "the head took too long",
            Self::LongUri => "the request line is too long",
            Self::SlowHandshake => "the TLS handshake took too long",
            Self::WriteStall => "the peer takes nothing",
            Self::Left => "the peer went before it was answered",
            Self::ControlFlood => "too many frames that carry nothing",
            Self::ResetFlood => "too many streams were reset",
            Self::Cut => "cut by the shutdown",
        })
    }
}

impl Error for Fault {}
