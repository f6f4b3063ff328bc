//! Keys from keys and passwords, by hashing: PBKDF2 and HKDF.

use digest::{FixedOutput, KeyInit, Update};
use hkdf::SimpleHkdf;
use hmac::{Hmac, SimpleHmac};

use super::algorithm::with_digest;
use super::{Algorithm, HashError};
use crate::pool::Cancelled;

/// Asked between chunks: whether to go on.
pub(super) type Check<'a> = &'a dyn Fn() -> Result<(), Cancelled>;

/// Bytes of the longest key: 2 GiB less one. Source: Node, `validateInt32` of `keylen`.
pub(super) const KEY_LEN_MAX: usize = (1 << 31) - 1;

/// PBKDF2 (RFC 8018): slow by counting, so that guessing passwords is slow too.
///
/// ```
/// use fs_pool::hash::{Algorithm, Pbkdf2};
///
/// let pbkdf2 = Pbkdf2 { algorithm: Algorithm::Sha256, iterations: 2 };
/// assert_eq!(pbkdf2.derive(b"password", b"salt", 4)?, [0xae, 0x4d, 0x0c, 0x95]);
/// # Ok::<(), fs_pool::hash::HashError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pbkdf2 {
    /// The hash of the HMAC inside; not BLAKE3.
    pub algorithm: Algorithm,
    /// How often it is applied: 1 to 2^31 - 1. Some 2 to 5 million a second for SHA-1 and SHA-256.
    pub iterations: u32,
}

impl Pbkdf2 {
    /// Derives a key of `len` bytes. Blocks; [`Hash::pbkdf2`](super::Hash::pbkdf2) does it on the pool.
    ///
    /// # Errors
    /// `Parameter` if `iterations` or `len` is 0 or above 2^31 - 1; `Unsupported` with BLAKE3.
    pub fn derive(&self, password: &[u8], salt: &[u8], len: usize) -> Result<Vec<u8>, HashError> {
        self.derive_checked(password, salt, len, &|| Ok(()))
    }

    pub(super) fn derive_checked(
        &self,
        password: &[u8],
        salt: &[u8],
        len: usize,
        check: Check<'_>,
    ) -> Result<Vec<u8>, HashError> {
        if self.iterations == 0 || self.iterations > i32::MAX as u32 {
            return Err(HashError::parameter(
                "pbkdf2 iterations",
                self.iterations,
                "must be from 1 to 2147483647",
            ));
        }
        let mut out = key_of("pbkdf2 length", len)?;
        let (salt, iterations) = (salt, self.iterations);
        // The hashes with blocks of their own have a keyed state that is cheaper to copy.
        match self.algorithm {
            Algorithm::Sha1 => {
                stretch(&keyed::<Hmac<sha1::Sha1>>(password), salt, iterations, &mut out, check)
            }
            Algorithm::Sha256 => {
                stretch(&keyed::<Hmac<sha2::Sha256>>(password), salt, iterations, &mut out, check)
            }
            Algorithm::Sha512 => {
                stretch(&keyed::<Hmac<sha2::Sha512>>(password), salt, iterations, &mut out, check)
            }
            other => with_digest!(
                other,
                D => stretch(&keyed::<SimpleHmac<D>>(password), salt, iterations, &mut out, check),
                blake3 => return Err(HashError::Unsupported { algorithm: "blake3", what: "HMAC" })
            ),
        }?;
        Ok(out)
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// PBKDF2 by RFC 8018, 5.2: each block is the sum of a chain of MACs.
fn stretch<M: Update + FixedOutput + Clone>(
    mac: &M,
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
    check: Check<'_>,
) -> Result<(), Cancelled> {
    for (block, number) in out.chunks_mut(M::output_size()).zip(1_u32..) {
        let mut link = mac.clone().chain(salt).chain(number.to_be_bytes()).finalize_fixed();
        let mut sum = link.clone();
        for round in 1..iterations {
            if round % ROUNDS_PER_CHECK == 0 {
                check()?;
            }
            link = mac.clone().chain(&link).finalize_fixed();
            sum.iter_mut().zip(&link).for_each(|(sum, link)| *sum ^= link);
        }
        check()?; // with few rounds and a long key the blocks are the chunks
        block.copy_from_slice(&sum[..block.len()]);
    }
    Ok(())
}

/// Some 0.2 to 0.5 ms of work.
const ROUNDS_PER_CHECK: u32 = 1024;

/// HKDF (RFC 5869): several keys from one good key. Not for passwords: it is fast.
///
/// ```
/// use fs_pool::hash::{Algorithm, Hkdf};
///
/// let hkdf = Hkdf { algorithm: Algorithm::Sha256 };
/// let (one, other) = (hkdf.derive(b"key", b"salt", b"one", 16)?, hkdf.derive(b"key", b"salt", b"other", 16)?);
/// assert_ne!(one, other);
/// # Ok::<(), fs_pool::hash::HashError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Hkdf {
    /// The hash of the HMAC inside; not BLAKE3.
    pub algorithm: Algorithm,
}

impl Hkdf {
    /// Derives a key of `len` bytes for the purpose that `info` names. An empty `salt` is allowed.
    ///
    /// # Errors
    /// `Parameter` if `len` is 0 or above 255 digests; `Unsupported` with BLAKE3.
    pub fn derive(&self, key: &[u8], salt: &[u8], info: &[u8], len: usize) -> Result<Vec<u8>, HashError> {
        if len > 255 * self.algorithm.digest_len() {
            return Err(HashError::parameter("hkdf length", len, "must be at most 255 digests"));
        }
        let mut out = key_of("hkdf length", len)?;
        let expanded = with_digest!(
            self.algorithm,
            D => SimpleHkdf::<D>::new(Some(salt), key).expand(info, &mut out),
            blake3 => return Err(HashError::Unsupported { algorithm: "blake3", what: "HMAC" })
        );
        expanded.expect("the length was checked above");
        Ok(out)
    }
}

/// Room for a key.
pub(super) fn key_of(name: &'static str, len: usize) -> Result<Vec<u8>, HashError> {
    if len == 0 || len > KEY_LEN_MAX {
        return Err(HashError::parameter(name, len, "must be from 1 to 2147483647"));
    }
    let mut key = Vec::new();
    key.try_reserve_exact(len).map_err(|_| HashError::Memory { needed: len as u64, allowed: None })?;
    key.resize(len, 0);
    Ok(key)
}
