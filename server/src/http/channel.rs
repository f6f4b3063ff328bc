//! A body that is written while it is read, with back-pressure.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::error::BodyError;

/// Pieces that may wait whatever their size, so that many small ones are bounded too.
const PIECES_MAX: usize = 1024;

pub(crate) fn channel(high_water: usize) -> (BodySender, BodyReceiver) {
    let shared = Shared { high_water, pieces_max: PIECES_MAX, ..Shared::default() };
    let shared = Rc::new(RefCell::new(shared));
    (BodySender { shared: Rc::clone(&shared) }, BodyReceiver { shared })
}

#[derive(Default)]
struct Shared {
    queue: VecDeque<Piece>,
    /// Bytes in the queue.
    len: usize,
    high_water: usize,
    pieces_max: usize,
    /// The sender has finished, or was dropped.
    end: Option<End>,
    receiver_gone: bool,
    receiver: Option<Waker>,
    /// Waits for room, or for the receiver to go.
    sender: Option<Waker>,
}

/// A frame, a third as long: trailers are rare.
enum Piece {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

enum End {
    Finished,
    Failed(BodyError),
}

impl Shared {
    fn is_full(&self) -> bool {
        // With a mark of zero, one piece at a time.
        !self.queue.is_empty() && (self.len >= self.high_water || self.queue.len() >= self.pieces_max)
    }

    fn push(&mut self, piece: Piece) -> Option<Waker> {
        if let Piece::Data(bytes) = &piece {
            self.len += bytes.len();
        }
        self.queue.push_back(piece);
        self.receiver.take()
    }

    fn pop(&mut self) -> Option<Frame<Bytes>> {
        let piece = self.queue.pop_front()?;
        if self.queue.is_empty() {
            self.queue = VecDeque::new(); // a body that is silent owns none
        }
        Some(match piece {
            Piece::Data(bytes) => {
                self.len -= bytes.len();
                Frame::data(bytes)
            }
            Piece::Trailers(trailers) => Frame::trailers(*trailers),
        })
    }
}

/// Writes a body. Made by [`Body::channel`](super::Body::channel).
///
/// Dropping it without [`finish`](Self::finish) ends the body with an error, so that a peer can tell half an answer from a
/// whole one.
pub struct BodySender {
    shared: Rc<RefCell<Shared>>,
}

/// Whoever would have read the body is gone. What could not be sent is inside.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone(pub Bytes);

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the reader of the body is gone, and {} bytes were not sent", self.0.len())
    }
}

impl std::error::Error for Gone {}

impl BodySender {
    /// Sends a piece, once there is room for one.
    ///
    /// # Errors
    /// [`Gone`] if the other end was dropped: the peer went away.
    ///
    /// # Cancel safety
    /// Nothing was sent if the future is dropped before it is done.
    pub async fn send(&mut self, piece: impl Into<Bytes>) -> Result<(), Gone> {
        let piece = piece.into();
        poll_fn(|cx| self.poll_ready(cx)).await;
        self.try_send(piece)
    }

    /// Sends a piece even if the queue is over its mark: the caller looks at [`is_full`](Self::is_full).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn try_send(&mut self, piece: impl Into<Bytes>) -> Result<(), Gone> {
        let piece = piece.into();
        let mut shared = self.shared.borrow_mut();
        if shared.receiver_gone {
            return Err(Gone(piece));
        }
        if piece.is_empty() {
            return Ok(()); // an empty chunk would end the body on the wire
        }
        let waker = shared.push(Piece::Data(piece));
        drop(shared);
        wake(waker);
        Ok(())
    }

    /// True if a piece would have to wait.
    pub fn is_full(&self) -> bool {
        self.shared.borrow().is_full()
    }

    /// Has the mark apply to what is sent from now on: what waits already is beside it.
    #[cfg(feature = "sse")]
    pub(crate) fn exempt_queued(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.high_water = shared.high_water.saturating_add(shared.len);
        shared.pieces_max += shared.queue.len();
    }

    /// True if somebody has looked for a piece and waits for one.
    pub(crate) fn is_awaited(&self) -> bool {
        self.shared.borrow().receiver.is_some()
    }

    /// Bytes that wait to be taken.
    pub fn queued(&self) -> usize {
        self.shared.borrow().len
    }

    /// True if nobody reads any more.
    pub fn is_gone(&self) -> bool {
        self.shared.borrow().receiver_gone
    }

    /// Waits until nobody reads any more: the peer went away, or the answer was given up.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn gone(&mut self) {
        poll_fn(|cx| {
            let mut shared = self.shared.borrow_mut();
            if shared.receiver_gone {
                return Poll::Ready(());
            }
            shared.sender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// As [`send`](Self::send), for use in a `poll` function: ready when there is room, or nobody reads.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared.borrow_mut();
        if shared.is_full() && !shared.receiver_gone {
            shared.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Ends the body.
    pub fn finish(self) {
        self.end(End::Finished);
    }

    /// Ends the body with trailers.
    pub fn finish_with(self, trailers: HeaderMap) {
        let waker = self.shared.borrow_mut().push(Piece::Trailers(Box::new(trailers)));
        wake(waker);
        self.end(End::Finished);
    }

    /// Ends the body with an error: the peer sees it break off.
    pub fn abort(self, error: BodyError) {
        self.end(End::Failed(error));
    }

    fn end(&self, end: End) {
        let mut shared = self.shared.borrow_mut();
        if shared.end.is_none() {
            shared.end = Some(end);
        }
        let waker = shared.receiver.take();
        drop(shared);
        wake(waker);
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        self.end(End::Failed(BodyError::Aborted));
    }
}

impl fmt::Debug for BodySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodySender").field("queued", &self.queued()).field("gone", &self.is_gone()).finish()
    }
}

/// The other end, inside a body.
pub(crate) struct BodyReceiver {
    shared: Rc<RefCell<Shared>>,
}

impl BodyReceiver {
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut shared = self.shared.borrow_mut();
        if let Some(frame) = shared.pop() {
            let waker = if shared.is_full() { None } else { shared.sender.take() };
            drop(shared);
            wake(waker);
            return Poll::Ready(Some(Ok(frame)));
        }
        match shared.end.take() {
            Some(End::Finished) => {
                shared.end = Some(End::Finished);
                Poll::Ready(None)
            }
            Some(End::Failed(error)) => {
                shared.end = Some(End::Finished);
                Poll::Ready(Some(Err(error)))
            }
            None => {
                shared.receiver = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        let shared = self.shared.borrow();
        shared.queue.is_empty() && matches!(shared.end, Some(End::Finished))
    }
}

impl Drop for BodyReceiver {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.receiver_gone = true;
        let queue = std::mem::take(&mut shared.queue);
        shared.len = 0;
        let waker = shared.sender.take();
        drop(shared);
        drop(queue);
        wake(waker);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
