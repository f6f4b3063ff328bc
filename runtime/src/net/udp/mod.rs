//! What only UDP has: how its sockets are made, their options, multicast, and datagrams that the kernel cuts and joins.

mod multicast;
mod options;
mod segments;
mod sys;

pub use multicast::Interface;
pub use options::UdpOptions;
