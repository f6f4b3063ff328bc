//! What can be wrong with certificates and settings.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why TLS could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    File(PathBuf, io::Error),
    /// It is no PEM, or holds nothing of the kind: the kind is inside.
    NoPem(&'static str),
    /// The key is of no kind that is known, does not fit the certificate, or a setting is wrong.
    Rustls(rustls::Error),
    /// A certificate could not be made.
    #[cfg(feature = "dev-certificates")]
    Dev(rcgen::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoPem(kind) => write!(f, "there is no {kind} in PEM form"),
            Self::Rustls(error) => write!(f, "TLS can not be set up: {error}"),
            #[cfg(feature = "dev-certificates")]
            Self::Dev(error) => write!(f, "a certificate can not be made: {error}"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            Self::NoPem(_) => None,
            Self::Rustls(error) => Some(error),
            #[cfg(feature = "dev-certificates")]
            Self::Dev(error) => Some(error),
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Rustls(error)
    }
}
