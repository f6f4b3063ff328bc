//! What is Node's and not the loop's: timers by lists of equal duration, with Node's clamps; the end of a program.
//!
//! It stands above the core: the core knows a loop timer whose callback happens to be `run_lists`. A program that uses
//! libuv's timers pays nothing for it.

pub(crate) mod program;
pub(crate) mod timers;
