//! Child processes of a loop: spawned, watched, talked to through pipes, and ended.
//!
//! A child is spawned by std, so what std promises of `fork`, `exec` and `posix_spawn` holds; its exit is learnt from a
//! descriptor (a pidfd), or, where the system has none, from SIGCHLD and a look at each child. Every descriptor that this
//! crate opens is closed at `exec` from the moment it exists, so that no child inherits it by accident, whatever other
//! threads do meanwhile; for what others opened without that care see [`Command::only_listed_descriptors`].
//!
//! `command` says what is to run, `stdio` what its descriptors are, `child` is the handle, `exec` runs to the end, `tree`
//! ends a child with all its descendants.

mod child;
mod command;
mod error;
mod exec;
mod stdio;
mod sys;
mod tree;

pub use child::Child;
pub use command::Command;
pub use error::{ExecError, SpawnError};
pub use exec::{ExecOptions, Output};
pub use stdio::Stdio;
