//! TCP on the loop: listeners and streams, each with futures and with callbacks.
//!
//! A future front and a callback front stand on the same source; a stream uses one of them at a time in each direction.
//! `stream` and `listener` hold the sockets and the futures, `callbacks` the callback front of a stream, `poll_io` what
//! both need of readiness, `pipe` the streams of other descriptors, `split` and `traits` the shapes that other libraries ask for.

mod callbacks;
mod connecting;
mod listener;
pub mod pipe;
mod poll_io;
mod split;
mod stream;
mod sys;
mod traits;

pub use callbacks::ReadEvent;
pub use connecting::Connecting;
pub use listener::{Incoming, ListenOptions, TcpListener};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
pub use stream::TcpStream;
