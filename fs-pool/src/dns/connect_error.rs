//! Why no connection came about: every address, and what became of it.

use std::net::SocketAddr;
use std::{fmt, io};

use super::DnsError;

/// A connect by name that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectError {
    /// The host, as it was given.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// What ended the connect.
    pub kind: ConnectErrorKind,
    /// The addresses that failed, in the order in which they did, with what the system said.
    pub failed: Vec<(SocketAddr, io::Error)>,
    /// The addresses that had not answered by then.
    pub unanswered: Vec<SocketAddr>,
    /// The lookups that failed: at most one a family.
    pub unresolved: Vec<DnsError>,
}

/// What ended a connect by name.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectErrorKind {
    /// Every address failed, or there was none.
    Failed,
    /// Its time was over.
    TimedOut,
    /// The options make no sense; nothing was tried. With the fault.
    Settings(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connect to {:?} port {}: ", self.host, self.port)?;
        match &self.kind {
            ConnectErrorKind::Settings(fault) => return f.write_str(fault),
            ConnectErrorKind::TimedOut => f.write_str("it took longer than it was given")?,
            ConnectErrorKind::Failed if self.failed.is_empty() => {
                f.write_str("there is no address to try")?
            }
            ConnectErrorKind::Failed => f.write_str("every address failed")?,
        }
        let mut separator = ": ";
        for (address, error) in &self.failed {
            write!(f, "{separator}{address}: {error}")?;
            separator = "; ";
        }
        for address in &self.unanswered {
            write!(f, "{separator}{address}: no answer yet")?;
            separator = "; ";
        }
        for error in &self.unresolved {
            write!(f, "{separator}{error}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// Keeps the text. The kind is the timeout's, or that of the last address that failed, or of the lookup.
impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        let kind = match (&error.kind, error.failed.last(), error.unresolved.first()) {
            (ConnectErrorKind::Settings(_), ..) => io::ErrorKind::InvalidInput,
            (ConnectErrorKind::TimedOut, ..) => io::ErrorKind::TimedOut,
            (ConnectErrorKind::Failed, Some((_, last)), _) => last.kind(),
            (ConnectErrorKind::Failed, None, Some(lookup)) => lookup.kind.io_kind(),
            (ConnectErrorKind::Failed, None, None) => io::ErrorKind::NotFound,
        };
        Self::new(kind, error)
    }
}
