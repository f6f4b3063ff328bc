//! What the workspace tests share: scenarios of the order of callbacks, a model of the rules, and real Node.js.

pub mod scenario;
