//! What the workspace tests share: scenarios of the order of callbacks, a model of the rules behind them, a
//! generator of more, and real Node.js to compare with.

pub mod generate;
pub mod model;
pub mod node;
mod random;
pub mod scenario;
