//! What is stored, and what of it is well-formed.

pub(crate) mod user;
