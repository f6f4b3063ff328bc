//! Hashing a file: one job, one buffer.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::derive::Check;
use super::{Digest, HashError, Hasher};
use crate::request::Progress;

/// Reads a file to its end into `hasher`. Blocks.
pub(super) fn hash_file(
    path: &Path,
    mut hasher: Hasher,
    chunk_len: usize,
    progress: &Progress,
    check: Check<'_>,
) -> Result<Digest, HashError> {
    let failed = |source| HashError::Read { path: Some(path.to_path_buf()), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut buf = vec![0; chunk_len];
    loop {
        check()?;
        match file.read(&mut buf) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => {
                hasher.update(&buf[..read]);
                progress.add(read as u64);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
