//! The blocking pool of phaseloop, and what runs on it.
//!
//! [`pool`] is the pool itself. It knows no event loop and can be used alone. [`request`] joins a pool with a loop.
//! [`fs`] is what runs there: files. [`dns`] looks names up there.
//! `watch` tells of changes to files, and [`watch_file`] where the kernel does not.
//!
//! # Features
//! None is on by default.
//!
//! - `hash`: the module `hash`, for digests, MACs, derived keys and random bytes.
//! - `compress`: the module `compress`, for gzip, zlib and raw deflate; `brotli` and `zstd` add these formats to it
//!   (`zstd` builds C).
//! - `io-uring`: `fs::FsBuilder::io_uring`, which has files read and written by the kernel's ring. Only on Linux.
//! - `idna`: names in any script for [`dns`].

#![deny(unsafe_code)]

#[cfg(feature = "compress")]
pub mod compress;
pub mod dns;
pub mod fs;
#[cfg(feature = "hash")]
pub mod hash;
pub mod pool;
pub mod request;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub mod watch;
pub mod watch_file;
