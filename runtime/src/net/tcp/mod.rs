//! What only TCP has: how its sockets are made, and their options.

mod connect;
mod listener;
mod options;
mod stream;

pub use connect::ConnectOptions;
pub use listener::ListenOptions;
pub use options::Keepalive;
