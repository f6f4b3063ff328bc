//! The blocking pool of phaseloop, and what runs on it.
//!
//! [`pool`] is the pool itself. It knows no event loop and can be used alone.

#![deny(unsafe_code)]

pub mod pool;
