//! The blocking pool of phaseloop, and what runs on it.
//!
//! [`pool`] is the pool itself. It knows no event loop and can be used alone. [`request`] joins a pool with a loop.
//! [`fs`] is what runs there: files.
//!
//! # Features
//! None is on by default.
//!
//! - `hash`: the module `hash`, for digests, MACs, derived keys and random bytes.

#![deny(unsafe_code)]

pub mod fs;
#[cfg(feature = "hash")]
pub mod hash;
pub mod pool;
pub mod request;
