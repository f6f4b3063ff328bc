//! Requests taken apart, answers put together.

pub(crate) mod health;
