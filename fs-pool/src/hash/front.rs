//! The front: hashing for one loop, done by a pool.

use std::fmt;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;

use futures_io::AsyncRead;

use super::file::hash_file;
use super::random::random_checked;
use super::{Algorithm, Argon2id, Digest, HashError, HashLimits, Hasher, Hkdf, Pbkdf2, Scrypt};
use crate::pool::{Class, JobContext};
use crate::request::{LoopPool, PreparedJob, Progress};

/// What is hashed by a pool for one loop, in class `cpu`. Cheap to clone; clones are the same.
///
/// Each function gives a [`PreparedJob`]: await it, or `run` it with a callback. See the [module](super).
///
/// # Errors
/// Parameters are checked on the pool: a bad one comes as the result, in the same way as any other error.
#[derive(Clone)]
pub struct Hash {
    pool: LoopPool,
    limits: HashLimits,
}

/// Work of this module.
pub type HashJob<T> = PreparedJob<T, HashError>;

impl Hash {
    /// Makes a front.
    pub fn new(pool: &LoopPool) -> Self {
        Self::with_limits(pool, HashLimits::default())
    }

    /// As `new`, with bounds other than the default ones.
    pub fn with_limits(pool: &LoopPool, limits: HashLimits) -> Self {
        let chunk_len = limits.chunk_len.max(1);
        Self { pool: pool.clone(), limits: HashLimits { chunk_len } }
    }

    /// Hashes bytes: a `Vec`, a `&'static str`, an `Arc<[u8]>`.
    #[track_caller]
    pub fn digest(&self, algorithm: Algorithm, bytes: impl AsRef<[u8]> + Send + 'static) -> HashJob<Digest> {
        self.feed(Hasher::new(algorithm), bytes)
    }

    /// The HMAC of bytes.
    #[track_caller]
    pub fn hmac(
        &self,
        algorithm: Algorithm,
        key: impl AsRef<[u8]> + Send + 'static,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> HashJob<Digest> {
        let chunk_len = self.limits.chunk_len;
        self.job(move |cx| feed_all(Hasher::hmac(algorithm, key)?, bytes.as_ref(), chunk_len, cx))
    }

    /// Goes on with a hash that was begun, and ends it.
    #[track_caller]
    pub fn feed(&self, hasher: Hasher, bytes: impl AsRef<[u8]> + Send + 'static) -> HashJob<Digest> {
        let chunk_len = self.limits.chunk_len;
        self.job(move |cx| feed_all(hasher, bytes.as_ref(), chunk_len, cx))
    }

    /// Hashes a file in one job with one buffer, however long it is. `progress` counts the bytes.
    ///
    /// For an HMAC, give a [`Hasher::hmac`]; else a [`Hasher::new`].
    #[track_caller]
    pub fn file(&self, hasher: Hasher, path: impl AsRef<Path>, progress: &Progress) -> HashJob<Digest> {
        let (path, chunk_len, progress) =
            (path.as_ref().to_path_buf(), self.limits.chunk_len, progress.clone());
        self.job(move |cx| hash_file(&path, hasher, chunk_len, &progress, &|| cx.check()))
    }

    /// Hashes what a reader gives, to its end: gathered on the loop, hashed on the pool, chunk after chunk.
    ///
    /// # Errors
    /// `Read`, if the reader fails.
    ///
    /// # Cancel safety
    /// What was read is lost.
    pub async fn reader(&self, mut hasher: Hasher, reader: impl AsyncRead) -> Result<Digest, HashError> {
        let mut reader = pin!(reader);
        let mut buf = vec![0; self.limits.chunk_len];
        loop {
            let mut filled = 0;
            while filled < buf.len() {
                let read = poll_fn(|cx| reader.as_mut().poll_read(cx, &mut buf[filled..])).await;
                match read {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(source) => return Err(HashError::Read { path: None, source }),
                }
            }
            let is_last = filled < buf.len();
            let work = move |_: &JobContext<'_>| {
                hasher.update(&buf[..filled]);
                Ok((hasher, buf))
            };
            (hasher, buf) = self.job(work).await?;
            if is_last {
                return Ok(hasher.finish());
            }
        }
    }

    /// PBKDF2. Cancelling it while it runs takes effect within a millisecond.
    #[track_caller]
    pub fn pbkdf2(
        &self,
        pbkdf2: Pbkdf2,
        password: impl AsRef<[u8]> + Send + 'static,
        salt: impl AsRef<[u8]> + Send + 'static,
        len: usize,
    ) -> HashJob<Vec<u8>> {
        self.job(move |cx| pbkdf2.derive_checked(password.as_ref(), salt.as_ref(), len, &|| cx.check()))
    }

    /// scrypt. Today: once it runs, cancelling it only has its result dropped; it takes some 50 ms by default.
    #[track_caller]
    pub fn scrypt(
        &self,
        scrypt: Scrypt,
        password: impl AsRef<[u8]> + Send + 'static,
        salt: impl AsRef<[u8]> + Send + 'static,
        len: usize,
    ) -> HashJob<Vec<u8>> {
        self.job(move |_| scrypt.derive(password.as_ref(), salt.as_ref(), len))
    }

    /// Argon2id. Today: as with [`scrypt`](Self::scrypt), it is not interrupted.
    #[track_caller]
    pub fn argon2id(
        &self,
        argon2id: Argon2id,
        password: impl AsRef<[u8]> + Send + 'static,
        salt: impl AsRef<[u8]> + Send + 'static,
        len: usize,
    ) -> HashJob<Vec<u8>> {
        self.job(move |_| argon2id.derive(password.as_ref(), salt.as_ref(), len))
    }

    /// HKDF.
    #[track_caller]
    pub fn hkdf(
        &self,
        hkdf: Hkdf,
        key: impl AsRef<[u8]> + Send + 'static,
        salt: impl AsRef<[u8]> + Send + 'static,
        info: impl AsRef<[u8]> + Send + 'static,
        len: usize,
    ) -> HashJob<Vec<u8>> {
        self.job(move |_| hkdf.derive(key.as_ref(), salt.as_ref(), info.as_ref(), len))
    }

    /// Random bytes for keys: 1 to 2^31 - 1.
    #[track_caller]
    pub fn random(&self, len: usize) -> HashJob<Vec<u8>> {
        self.job(move |cx| random_checked(len, &|| cx.check()))
    }

    #[track_caller]
    fn job<T: Send + 'static>(
        &self,
        work: impl FnOnce(&JobContext<'_>) -> Result<T, HashError> + Send + 'static,
    ) -> HashJob<T> {
        PreparedJob::new(&self.pool, Class::CPU, work)
    }
}

fn feed_all(
    mut hasher: Hasher,
    bytes: &[u8],
    chunk_len: usize,
    cx: &JobContext<'_>,
) -> Result<Digest, HashError> {
    for chunk in bytes.chunks(chunk_len) {
        cx.check()?;
        hasher.update(chunk);
    }
    Ok(hasher.finish())
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("limits", &self.limits).finish_non_exhaustive()
    }
}
