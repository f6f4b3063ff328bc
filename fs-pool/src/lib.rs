//! The blocking pool of phaseloop, and what runs on it.
//!
//! [`pool`] is the pool itself. It knows no event loop and can be used alone. [`request`] joins a pool with a loop.
//! [`fs`] is what runs there: files.

#![deny(unsafe_code)]

pub mod fs;
pub mod pool;
pub mod request;
