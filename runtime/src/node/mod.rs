//! What is Node's and not the loop's: timers by lists of equal delay, with Node's clamps and warnings; the end
//! of a program.
//!
//! It stands above the core: the core knows a loop timer whose callback happens to be `run_lists`. A program that uses
//! libuv's timers pays nothing for it.

mod delays;
pub(crate) mod lists;
pub(crate) mod program;
mod tasks;
mod timers;
mod warnings;
