//! What waits to be sent.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_io::AsyncWrite;

use crate::proto::websocket::encode::Encoded;

/// Pieces that one system call takes.
const SLICES_MAX: usize = 64;

/// A queue with room for more than this is given back once it is empty.
const KEPT_PIECES_MAX: usize = 8;

/// What a piece costs besides its bytes, so that many small frames are bounded too.
const PIECE_COST: usize = 64;

/// Frames in the order they are to leave. A connection with nothing to say owns no memory for them.
#[derive(Default)]
pub(crate) struct Outbox {
    pieces: VecDeque<Piece>,
    len: usize,
    /// Something of the first frame was written.
    is_begun: bool,
}

struct Piece {
    bytes: Bytes,
    ends_frame: bool,
}

impl Outbox {
    pub(crate) fn push(&mut self, encoded: Encoded) {
        self.len += encoded.len();
        let Encoded { head, payload } = encoded;
        self.pieces.push_back(Piece { bytes: head, ends_frame: payload.is_empty() });
        if !payload.is_empty() {
            self.pieces.push_back(Piece { bytes: payload, ends_frame: true });
        }
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// True if what waits takes more than `high_water` bytes of memory.
    pub(crate) fn is_over(&self, high_water: usize) -> bool {
        self.len.saturating_add(self.pieces.len() * PIECE_COST) > high_water
    }

    /// Forgets all frames of which nothing was written. What is behind half a frame would be taken for the rest of it.
    pub(crate) fn clear_unbegun(&mut self) {
        let ends = self.pieces.iter().position(|piece| piece.ends_frame);
        let kept = ends.filter(|_| self.is_begun).map_or(0, |at| at + 1);
        self.pieces.truncate(kept);
        self.len = self.pieces.iter().map(|piece| piece.bytes.len()).sum();
    }

    /// Writes what it can, and gives how many bytes that were; ready when nothing is left and all is flushed.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
        wrote: &mut usize,
    ) -> Poll<io::Result<()>> {
        while let Some(first) = self.pieces.front() {
            let len = match self.pieces.len() {
                1 => ready!(Pin::new(&mut *to).poll_write(cx, &first.bytes))?, // the cheaper call, and the usual case
                _ => ready!(self.poll_write_many(to, cx))?,
            };
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *wrote += len;
            self.forget(len);
        }
        if self.pieces.capacity() > KEPT_PIECES_MAX {
            self.pieces = VecDeque::new();
        }
        Pin::new(to).poll_flush(cx)
    }

    fn poll_write_many<W: AsyncWrite + Unpin>(
        &self,
        to: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = slices.len().min(self.pieces.len());
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(&piece.bytes);
        }
        Pin::new(to).poll_write_vectored(cx, &slices[..count])
    }

    fn forget(&mut self, mut len: usize) {
        self.len -= len;
        while let Some(first) = self.pieces.front_mut() {
            if first.bytes.len() > len {
                first.bytes.advance(len);
                self.is_begun |= len > 0;
                return;
            }
            len -= first.bytes.len();
            self.is_begun = !first.ends_frame;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use bytes::Bytes;
    use futures::io::Cursor;

    use super::{Encoded, Outbox, PIECE_COST};

    fn frame(head: &'static [u8], payload: &'static [u8]) -> Encoded {
        Encoded { head: Bytes::from_static(head), payload: Bytes::from_static(payload) }
    }

    /// Has a stream take `len` bytes.
    fn write(outbox: &mut Outbox, len: usize) {
        let mut room = vec![0; len];
        let mut cx = Context::from_waker(Waker::noop());
        let _ = outbox.poll_write(&mut Cursor::new(&mut room[..]), &mut cx, &mut 0);
    }

    #[test]
    fn only_a_frame_that_was_begun_outlives_a_clearing() {
        for (written, left) in [(0, 0), (1, 5), (2, 4), (5, 1), (6, 0), (7, 1)] {
            let mut outbox = Outbox::default();
            outbox.push(frame(b"h1", b"body"));
            outbox.push(frame(b"h2", b""));
            outbox.push(frame(b"h3", b"body"));
            write(&mut outbox, written);
            outbox.clear_unbegun();
            assert_eq!(outbox.len(), left, "after {written} bytes");
        }
    }

    #[test]
    fn many_small_frames_are_over_the_mark_for_the_memory_they_take() {
        let mut outbox = Outbox::default();
        for _ in 0..10 {
            assert!(!outbox.is_over(10 * PIECE_COST));
            outbox.push(frame(b"h", b""));
        }
        assert!(outbox.is_over(10 * PIECE_COST) && !outbox.is_over(usize::MAX));
    }
}
