//! The locks and threads of the shared protocols: the real ones, or loom's when a model is checked.
//!
//! Only what the loom tests run through (slot, port, parking) has to come from here. Counters come from std.

#[cfg(loom)]
mod model;

#[cfg(loom)]
pub(crate) use model::{AtomicBool, Condvar, Mutex, MutexGuard, Thread, current, park, park_timeout};
#[cfg(not(loom))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicBool;
#[cfg(not(loom))]
pub(crate) use std::thread::{Thread, current, park, park_timeout};
