//! What the workspace tests share: scenarios of the order of callbacks, a runner that plays them on phaseloop, a model of the rules behind them, a generator
//! of more and real Node.js to compare with; peers that tests start; the source code as `tidy` reads it.

#[cfg(unix)]
pub mod chromium;
pub mod generate;
pub mod held;
pub mod model;
pub mod node;
pub mod peers;
pub mod random;
pub mod ratchet;
pub mod redis_server;
pub mod runner;
pub mod scenario;
pub mod source;
