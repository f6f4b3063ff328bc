//! Where hyper meets the loop: bytes, tasks and time.
//!
//! hyper knows no runtime. It is given a stream ([`wire`]), something to spawn with and something to sleep with
//! ([`runtime`]). [`cork`] gathers what is written while a task runs.

pub(crate) mod cork;
pub(crate) mod runtime;
pub(crate) mod wire;

pub use runtime::{LoopExecutor, LoopTimer};
