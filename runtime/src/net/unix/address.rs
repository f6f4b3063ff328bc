//! The names of Unix sockets.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::net::family::sealed::Address;
use crate::net::sys::{self, RawAddr, UnixName};

/// The name of a Unix socket.
///
/// A path or a name is checked where it is used: the system takes [`UnixAddr::LEN_MAX`] bytes, and a longer one is refused with
/// that limit in the message. It is never cut off.
///
/// # Platform
/// Abstract names are Linux's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum UnixAddr {
    /// A file, which outlives the socket unless somebody removes it.
    Path(PathBuf),
    /// A name outside the file system, which goes with the last socket that has it. Any bytes, zeros included.
    Abstract(Vec<u8>),
    /// No name: what the connecting end usually has. To bind to it has the system choose an abstract name.
    Unnamed,
}

impl UnixAddr {
    /// The most bytes that a path or an abstract name may have.
    pub const LEN_MAX: usize = 107;

    /// An abstract name.
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Self {
        Self::Abstract(name.into())
    }

    /// The path, if it is one.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }

    fn check(&self) -> io::Result<()> {
        let (what, bytes) = match self {
            Self::Path(path) => ("path", path.as_os_str().as_bytes()),
            Self::Abstract(name) => ("abstract name", &**name),
            Self::Unnamed => return Ok(()),
        };
        let (len, limit) = (bytes.len(), Self::LEN_MAX);
        let problem = match self {
            _ if len > limit => {
                format!("the {what} has {len} bytes, and a Unix socket takes {limit}: {self}")
            }
            Self::Path(_) if bytes.is_empty() => "the path of a Unix socket is empty".to_owned(),
            Self::Path(_) if bytes.contains(&0) => {
                format!("the path of a Unix socket has a zero byte: {self}")
            }
            _ => return Ok(()),
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
    }
}

impl Address for UnixAddr {
    fn from_raw(raw: RawAddr) -> io::Result<Self> {
        sys::unix_from_raw(raw, |name| match name {
            UnixName::Path(path) => Self::Path(PathBuf::from(path)),
            UnixName::Abstract(name) => Self::Abstract(name.to_vec()),
            UnixName::Unnamed => Self::Unnamed,
        })
    }

    fn to_raw(&self) -> io::Result<RawAddr> {
        self.check()?;
        sys::unix_to_raw(&match self {
            Self::Path(path) => UnixName::Path(path.as_os_str()),
            Self::Abstract(name) => UnixName::Abstract(name),
            Self::Unnamed => UnixName::Unnamed,
        })
    }
}

impl From<&Self> for UnixAddr {
    fn from(addr: &Self) -> Self {
        addr.clone()
    }
}

impl From<PathBuf> for UnixAddr {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&PathBuf> for UnixAddr {
    fn from(path: &PathBuf) -> Self {
        Self::Path(path.clone())
    }
}

impl From<&Path> for UnixAddr {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<&str> for UnixAddr {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}

impl From<String> for UnixAddr {
    fn from(path: String) -> Self {
        Self::Path(path.into())
    }
}

impl From<OsString> for UnixAddr {
    fn from(path: OsString) -> Self {
        Self::Path(path.into())
    }
}

/// The path; or the abstract name behind an `@`, as `ss` and `lsof` show it.
impl fmt::Display for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Self::Unnamed => f.write_str("(unnamed)"),
        }
    }
}

impl fmt::Debug for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
