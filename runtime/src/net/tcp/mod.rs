//! What only TCP has: how its sockets are made, and their options.

mod listener;
mod stream;

pub use listener::ListenOptions;
