//! The number of descriptors that a process may have open: a server needs one for each connection.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and gives what is in force then; `None` is no limit.
///
/// # Errors
/// The system's. The old limit is then still in force.
pub fn raise_limit() -> io::Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current)
}
