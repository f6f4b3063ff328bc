//! Random bytes, and comparing secrets.

use subtle::ConstantTimeEq;

use super::HashError;
use super::derive::{Check, key_of};

/// Fills `bytes` from the system's generator, for keys and salts.
///
/// It may block only before the system has gathered randomness once, early at boot: small amounts need no pool.
///
/// # Errors
/// `Random`, if the system refuses.
///
/// ```
/// let mut salt = [0; 16];
/// fs_pool::hash::fill_random(&mut salt)?;
/// assert_ne!(salt, [0; 16]);
/// # Ok::<(), fs_pool::hash::HashError>(())
/// ```
pub fn fill_random(bytes: &mut [u8]) -> Result<(), HashError> {
    getrandom::fill(bytes).map_err(|error| HashError::Random(error.into()))
}

/// As `fill_random`, into a new buffer, and asking between chunks.
pub(super) fn random_checked(len: usize, check: Check<'_>) -> Result<Vec<u8>, HashError> {
    let mut bytes = key_of("random length", len)?;
    for chunk in bytes.chunks_mut(RANDOM_CHUNK_LEN) {
        check()?;
        fill_random(chunk)?;
    }
    Ok(bytes)
}

/// Some 0.3 ms of work.
const RANDOM_CHUNK_LEN: usize = 128 * 1024;

/// Compares two secrets in a time that depends on their length alone; false if the lengths differ.
///
/// ```
/// assert!(fs_pool::hash::constant_time_eq(b"same", b"same") && !fs_pool::hash::constant_time_eq(b"same", b"sane"));
/// ```
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
