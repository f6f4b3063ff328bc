//! What the example programs show, as functions, so that tests run the same code.

pub mod descriptors;
pub mod echo;
