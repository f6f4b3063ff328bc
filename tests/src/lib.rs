//! What the workspace tests share.
