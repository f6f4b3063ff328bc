//! The file that a bound Unix socket leaves behind.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use super::address::UnixAddr;
use crate::net::family::sealed::Address;
use crate::net::sys;

/// Removes the file of a socket when it is dropped, if it is still the one that we made: another process may have put its own
/// in the place, and a child that was forked has no business with ours.
pub(in crate::net) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    process: u32,
    is_kept: bool,
}

impl SocketFile {
    /// The file that was just bound.
    fn made(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            // A path that is relative would lead elsewhere after a change of directory.
            path: std::path::absolute(path)?,
            device: found.dev(),
            inode: found.ino(),
            process: process::id(),
            is_kept: false,
        })
    }

    /// Leaves the file where it is.
    pub(in crate::net) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        let is_ours = found.is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if !self.is_kept && is_ours && self.process == process::id() {
            // Whoever removed it in the meantime has done what is wanted.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// How a name is bound to.
#[derive(Clone, Debug)]
pub(super) struct BindOptions {
    pub(super) replace_stale: bool,
    pub(super) unlink_on_close: bool,
    pub(super) mode: Option<u32>,
}

/// Binds `fd` to `addr`. Gives the file to be removed, if there is one.
pub(super) fn bind(fd: &OwnedFd, addr: &UnixAddr, options: &BindOptions) -> io::Result<Option<SocketFile>> {
    let raw = addr.to_raw()?;
    let mut bound = sys::bind(fd.as_fd(), &raw);
    if bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
        let stale = is_stale(addr);
        if stale && options.replace_stale {
            if let Some(path) = addr.as_path() {
                fs::remove_file(path)?;
            }
            bound = sys::bind(fd.as_fd(), &raw);
        } else {
            bound = Err(in_use(addr, stale));
        }
    }
    bound.map_err(|error| io::Error::new(error.kind(), Told { addr: addr.clone(), error }))?;
    let Some(path) = addr.as_path() else { return Ok(None) };
    let file = SocketFile::made(path)?; // from here on an error removes it
    if let Some(mode) = options.mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    if options.unlink_on_close {
        return Ok(Some(file));
    }
    file.keep();
    Ok(None)
}

/// True if the name is a socket's file and nobody is behind it: a connection is refused.
fn is_stale(addr: &UnixAddr) -> bool {
    let Some(path) = addr.as_path() else { return false };
    let is_socket = |found: fs::Metadata| std::os::unix::fs::FileTypeExt::is_socket(&found.file_type());
    // A socket of datagrams that is alive answers differently: with EPROTOTYPE.
    let probe = || sys::open_unix_stream().and_then(|probe| sys::connect(probe.as_fd(), &addr.to_raw()?));
    let refuses = || probe().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    fs::symlink_metadata(path).is_ok_and(is_socket) && refuses()
}

fn in_use(addr: &UnixAddr, stale: bool) -> io::Error {
    let hint = match addr {
        _ if stale => {
            "nobody listens there, so the file is left over: remove it, or bind with `replace_stale`"
        }
        UnixAddr::Path(_) => "another socket is bound to it, or it is no socket",
        _ => "another socket is bound to it",
    };
    io::Error::new(io::ErrorKind::AddrInUse, format!("the name is in use: {hint}"))
}

/// An error of the system with the name that it is about.
#[derive(Debug)]
struct Told {
    addr: UnixAddr,
    error: io::Error,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.addr, self.error)
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
