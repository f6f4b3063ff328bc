//! What only Unix sockets have: names in the file system or beside it, credentials, and descriptors that are passed.

mod address;
mod datagram;
mod file;
mod listener;
mod stream;
pub(super) mod sys;

pub use address::UnixAddr;
pub(super) use file::SocketFile;
pub use listener::UnixListenOptions;
pub use stream::UnixCredentials;
