//! Digests, MACs, keys from passwords, and random bytes: computed by the pool, in class `cpu`. Feature `hash`.
//!
//! A [`Hash`](struct@Hash) is the front of one loop. Whoever is on a thread of their own can do without: a [`Hasher`] is fed piece by
//! piece, and [`Pbkdf2`], [`Hkdf`], [`Scrypt`] and [`Argon2id`] derive where they are called. Results are those of
//! Node's `crypto` and of the RFCs.
//!
//! What it is not: encryption, signatures or TLS. Secrets are not wiped from memory after use.
//!
//! # Ordering
//! Each function is one job, and so one hop; `Hash::reader` takes one a chunk.
//!
//! # Cancel safety
//! Dropping a future, a timeout and the end of the loop give a job up. Files, bytes, PBKDF2 and random bytes look between
//! chunks whether they are still wanted; scrypt and Argon2id look only before they start.
//!
//! # Examples
//! ```
//! use fs_pool::hash::{Algorithm, Hash, Pbkdf2};
//! use fs_pool::{pool::Pool, request::LoopPool};
//! use phaseloop::{EventLoop, RunMode};
//!
//! let (lp, pool) = (EventLoop::new()?, Pool::builder().build()?);
//! let hash = Hash::new(&LoopPool::new(&lp, &pool));
//!
//! // With a callback:
//! hash.digest(Algorithm::Sha256, "abc").run(|_lp, digest| {
//!     assert!(digest.expect("nothing can fail").to_string().starts_with("ba7816bf"));
//! })?;
//! lp.run(RunMode::Default)?;
//!
//! // Awaited:
//! let key = lp.block_on(async move {
//!     let salt = hash.random(16).await?;
//!     let pbkdf2 = Pbkdf2 { algorithm: Algorithm::Sha512, iterations: 1000 };
//!     hash.pbkdf2(pbkdf2, "password", salt, 64).await
//! })??;
//! assert_eq!(key.len(), 64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod algorithm;
mod derive;
mod digest;
mod error;
mod file;
mod front;
mod hasher;
mod limits;
mod memory_hard;
mod random;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use derive::{Hkdf, Pbkdf2};
pub use digest::Digest;
pub use error::HashError;
pub use front::{Hash, HashJob};
pub use hasher::Hasher;
pub use limits::HashLimits;
pub use memory_hard::{Argon2id, Scrypt};
pub use random::{constant_time_eq, fill_random};
