//! Why a lookup failed: the resolver's reason, and the name it was asked for.

use std::{fmt, io};

use crate::request::RequestError;

/// A lookup that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct DnsError {
    /// `lookup` or `lookup_service`.
    pub operation: &'static str,
    /// The name or the address that was looked up, as it was given.
    pub subject: String,
    /// Why.
    pub kind: DnsErrorKind,
}

/// Why a lookup failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum DnsErrorKind {
    /// The name can not be one; nobody was asked. With the rule it breaks.
    Malformed(&'static str),
    /// There is no such name, or it has no address of the wanted family. What Node calls `ENOTFOUND`.
    NoName,
    /// The name is known and has no addresses.
    NoData,
    /// The name has no addresses of the wanted family.
    AddrFamily,
    /// The name servers could not be reached, or ask to try again later.
    Again,
    /// The name servers refused for good.
    Fail,
    /// The system does not know the family.
    Family,
    /// The hints do not go together.
    BadFlags,
    /// The service is not known.
    Service,
    /// The kind of socket is not known.
    SockType,
    /// The resolver found no memory.
    Memory,
    /// The answer is longer than there is room for.
    Overflow,
    /// The system failed underneath the resolver.
    System(io::Error),
    /// It was cancelled before it started.
    Cancelled,
    /// Its time was over.
    TimedOut,
    /// The pool did not take it, or is gone.
    NotRun(io::Error),
}

impl DnsErrorKind {
    /// The reason as one word: the `EAI_` name of getaddrinfo(3) for what the resolver says.
    pub fn code(&self) -> &'static str {
        self.code_and_text().0
    }

    fn code_and_text(&self) -> (&'static str, &'static str) {
        match self {
            Self::Malformed(rule) => ("EINVAL", rule),
            Self::NoName => ("EAI_NONAME", "the name is not known"),
            Self::NoData => ("EAI_NODATA", "the name has no addresses"),
            Self::AddrFamily => ("EAI_ADDRFAMILY", "the name has no addresses of this family"),
            Self::Again => ("EAI_AGAIN", "the name servers do not answer for now"),
            Self::Fail => ("EAI_FAIL", "the name servers refused"),
            Self::Family => ("EAI_FAMILY", "the family is not supported"),
            Self::BadFlags => ("EAI_BADFLAGS", "the hints do not go together"),
            Self::Service => ("EAI_SERVICE", "the service is not known"),
            Self::SockType => ("EAI_SOCKTYPE", "the kind of socket is not supported"),
            Self::Memory => ("EAI_MEMORY", "no memory is left"),
            Self::Overflow => ("EAI_OVERFLOW", "the answer is too long"),
            Self::System(_) => ("EAI_SYSTEM", "the system failed"),
            Self::Cancelled => ("ECANCELED", "it was cancelled before it started"),
            Self::TimedOut => ("ETIMEDOUT", "it took longer than it was given"),
            Self::NotRun(_) => ("ENOTRUN", "the pool did not run it"),
        }
    }

    pub(super) fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Malformed(_) | Self::BadFlags => io::ErrorKind::InvalidInput,
            Self::NoName | Self::NoData | Self::AddrFamily | Self::Service => io::ErrorKind::NotFound,
            Self::Family | Self::SockType => io::ErrorKind::Unsupported,
            Self::Memory => io::ErrorKind::OutOfMemory,
            Self::TimedOut => io::ErrorKind::TimedOut,
            Self::System(error) | Self::NotRun(error) => error.kind(),
            Self::Again | Self::Fail | Self::Overflow | Self::Cancelled => io::ErrorKind::Other,
        }
    }
}

impl From<RequestError> for DnsErrorKind {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Cancelled => Self::Cancelled,
            RequestError::TimedOut => Self::TimedOut,
            other => Self::NotRun(other.into()),
        }
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, text) = self.kind.code_and_text();
        write!(f, "{} {:?}: {code}: {text}", self.operation, Shortened(&self.subject))?;
        match &self.kind {
            DnsErrorKind::System(error) | DnsErrorKind::NotRun(error) => write!(f, ": {error}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for DnsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            DnsErrorKind::System(error) | DnsErrorKind::NotRun(error) => Some(error),
            _ => None,
        }
    }
}

/// Keeps the kind and the text; the reason is then only in the text.
impl From<DnsError> for io::Error {
    fn from(error: DnsError) -> Self {
        Self::new(error.kind.io_kind(), error)
    }
}

/// A name in a message: one of a megabyte must not make a message of a megabyte.
struct Shortened<'a>(&'a str);

/// No valid name is longer.
const SHOWN_LEN_MAX: usize = 255;

impl fmt::Debug for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_LEN_MAX) {
            None => fmt::Debug::fmt(self.0, f),
            Some((end, _)) => write!(f, "{:?}... ({} bytes)", &self.0[..end], self.0.len()),
        }
    }
}
