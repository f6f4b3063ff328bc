//! Why a write was refused.

use std::error::Error;
use std::fmt;
use std::io;

use crate::limits::Limits;

/// A write was refused whole: with what is queued it would pass the limit. It is inside the `io::Error` that
/// `queue_write` returns, from where `get_ref` and `downcast_ref` bring it out.
///
/// The kind of that error is `WouldBlock` if the write fits once the queue is written, and `InvalidInput` if it is by itself
/// longer than the limit, so that waiting is of no use: cut it in pieces, or raise
/// [`Limits::write_queue_len_max`](crate::Limits::write_queue_len_max).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRefused {
    /// Bytes of the write.
    pub len: usize,
    /// Bytes that were queued before it.
    pub queued: usize,
    /// Bytes that the queue may hold.
    pub limit: usize,
}

/// Refuses a write of `len` bytes that does not fit into a queue of `count` writes and `queued` bytes.
pub(super) fn check_room(limits: &Limits, len: usize, count: usize, queued: usize) -> io::Result<()> {
    let limit = limits.write_queue_len_max;
    if queued.saturating_add(len) > limit {
        return Err(WriteRefused { len, queued, limit }.into());
    }
    if count > 0 && count >= limits.queued_writes_max {
        let problem = format!("{count} writes are queued, which is the limit");
        return Err(io::Error::new(io::ErrorKind::WouldBlock, problem));
    }
    Ok(())
}

impl fmt::Display for WriteRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, queued, limit } = self;
        match len > limit {
            true => write!(f, "a write of {len} bytes can never be queued: the limit is {limit}"),
            false => {
                write!(f, "a write of {len} bytes does not fit: {queued} are queued, the limit is {limit}")
            }
        }
    }
}

impl Error for WriteRefused {}

impl From<WriteRefused> for io::Error {
    fn from(refused: WriteRefused) -> Self {
        let never = refused.len > refused.limit;
        Self::new(if never { io::ErrorKind::InvalidInput } else { io::ErrorKind::WouldBlock }, refused)
    }
}
