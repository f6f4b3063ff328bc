//! Hashing piece by piece.

use std::fmt;

use digest::{FixedOutput, KeyInit, Update};
use hmac::SimpleHmac;

use super::algorithm::with_digest;
use super::{Algorithm, Digest, HashError};

/// A hash that is fed piece by piece, on whatever thread it is: it can be sent.
///
/// # Examples
/// ```
/// use fs_pool::hash::{Algorithm, Hasher};
///
/// let mut hasher = Hasher::new(Algorithm::Sha1);
/// hasher.update("a");
/// hasher.update("bc");
/// assert_eq!(hasher.finish().to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
/// ```
pub struct Hasher {
    algorithm: Algorithm,
    state: Box<dyn State>,
}

impl Hasher {
    /// A hash of nothing so far.
    pub fn new(algorithm: Algorithm) -> Self {
        let state: Box<dyn State> = with_digest!(
            algorithm,
            D => Box::new(Fixed(D::default())),
            blake3 => Box::new(Blake3(Box::new(blake3::Hasher::new())))
        );
        Self { algorithm, state }
    }

    /// An HMAC with a key of any length. Source: RFC 2104.
    ///
    /// # Errors
    /// `Unsupported` with BLAKE3, which has a keyed form of its own: [`blake3_keyed`](Self::blake3_keyed).
    pub fn hmac(algorithm: Algorithm, key: impl AsRef<[u8]>) -> Result<Self, HashError> {
        let key = key.as_ref();
        let state: Box<dyn State> = with_digest!(
            algorithm,
            D => Box::new(Fixed(
                SimpleHmac::<D>::new_from_slice(key).expect("HMAC takes keys of any length")
            )),
            blake3 => return Err(HashError::Unsupported { algorithm: "blake3", what: "HMAC; use its keyed form" })
        );
        Ok(Self { algorithm, state })
    }

    /// BLAKE3 with a key, which makes it a MAC.
    pub fn blake3_keyed(key: &[u8; 32]) -> Self {
        let state = Box::new(Blake3(Box::new(blake3::Hasher::new_keyed(key))));
        Self { algorithm: Algorithm::Blake3, state }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.state.update(bytes.as_ref());
    }

    /// The digest of all bytes that were added.
    pub fn finish(self) -> Digest {
        self.state.finish()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// A copy goes on from here by itself: for digests on the way.
impl Clone for Hasher {
    fn clone(&self) -> Self {
        Self { algorithm: self.algorithm, state: self.state.copy() }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the state: it may hold a key.
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

trait State: Send + Sync {
    fn update(&mut self, bytes: &[u8]);
    fn finish(self: Box<Self>) -> Digest;
    fn copy(&self) -> Box<dyn State>;
}

/// What digests and their HMACs have in common.
struct Fixed<D>(D);

impl<D: Update + FixedOutput + Clone + Send + Sync + 'static> State for Fixed<D> {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> Digest {
        Digest::new(&self.0.finalize_fixed())
    }

    fn copy(&self) -> Box<dyn State> {
        Box::new(Self(self.0.clone()))
    }
}

/// Boxed for its size: 2 KiB.
struct Blake3(Box<blake3::Hasher>);

impl State for Blake3 {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> Digest {
        Digest::new(self.0.finalize().as_bytes())
    }

    fn copy(&self) -> Box<dyn State> {
        Box::new(Self(self.0.clone()))
    }
}
