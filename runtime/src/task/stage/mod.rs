//! What a task holds: its future, and then what that came to, in the same place.

mod sys;

pub(crate) use sys::{Outcome, Payload, Stage};
