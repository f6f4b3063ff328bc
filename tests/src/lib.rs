//! What the workspace tests share.

pub mod peers;
pub mod ratchet;
pub mod source;
