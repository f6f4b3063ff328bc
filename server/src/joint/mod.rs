//! Where hyper meets the loop: bytes, tasks and time.
//!
//! hyper knows no runtime. It is given a stream, something to spawn with and something to sleep with. What the server uses
//! itself also watches what comes (`wire`) and gathers what is written while a task runs (`cork`).

pub(crate) mod cork;
pub(crate) mod runtime;
pub(crate) mod wire;

pub use runtime::{LoopExecutor, LoopTimer};
