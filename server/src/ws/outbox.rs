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

/// Bytes in the order they are to leave. A connection with nothing to say owns no memory for it.
#[derive(Default)]
pub(crate) struct Outbox {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, encoded: Encoded) {
        self.len += encoded.len();
        self.pieces.push_back(encoded.head);
        if !encoded.payload.is_empty() {
            self.pieces.push_back(encoded.payload);
        }
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
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
                1 => ready!(Pin::new(&mut *to).poll_write(cx, first))?, // the cheaper call, and the usual case
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
            *slice = IoSlice::new(piece);
        }
        Pin::new(to).poll_write_vectored(cx, &slices[..count])
    }

    fn forget(&mut self, mut len: usize) {
        self.len -= len;
        while let Some(first) = self.pieces.front_mut() {
            if first.len() > len {
                first.advance(len);
                return;
            }
            len -= first.len();
            self.pieces.pop_front();
        }
    }
}
