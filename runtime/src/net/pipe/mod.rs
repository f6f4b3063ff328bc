//! Pipes, FIFOs, socket pairs, and the process's own stdin, stdout and stderr, as streams of a loop.
//!
//! How a stream reads without blocking the loop depends on what its descriptor is, which is found out when it is opened:
//!
//! | descriptor | how |
//! | --- | --- |
//! | pipes, FIFOs and sockets of our own | non-blocking |
//! | inherited sockets | each call says for itself that it must not block |
//! | inherited pipes | the flags are shared with other processes and left alone: asked by `poll` before each call, and written at most `PIPE_BUF` bytes a call, which the system then takes whole |
//! | terminals | opened anew, non-blocking; if that is refused, or it is the side of a pseudoterminal where a person would sit, as inherited pipes |
//! | regular files, `/dev/null` | always ready: **a read blocks the loop for as long as the disk takes**. For large files use `phaseloop-fs-pool` |
//!
//! `stream` is the stream and its futures, `callbacks` the callback front, `open` makes streams.

mod callbacks;
mod open;
mod stream;
mod sys;

pub use open::{open_fifo_reader, open_fifo_writer, pair, socketpair, stderr, stdin, stdout};
pub use stream::PipeStream;
