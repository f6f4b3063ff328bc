//! What readers and writers have in common: a unit that is either here or on the pool.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::unit::{Coder, Unit};
use super::{CompressError, Flush};
use crate::pool::Class;
use crate::request::{LoopPool, PoolFuture};

type Piece = Unit<Vec<u8>>;

/// Advances its unit, one piece of output at a time, on the pool or, if there is little to do, here.
pub(super) struct Engine {
    pool: LoopPool,
    place: Place,
    piece_len: usize,
    inline_below: usize,
    /// How much of the unit's output was taken.
    served: usize,
}

enum Place {
    Here(Box<Piece>),
    /// Dropping the future gives the work up.
    OnPool(PoolFuture<Result<Box<Piece>, CompressError>>),
    /// After an error.
    Gone,
}

impl Engine {
    pub(super) fn new(pool: &LoopPool, coder: Coder, piece_len: usize, inline_below: usize) -> Self {
        let mut unit = Unit::new(coder, Vec::new(), Flush::None);
        unit.is_done = true;
        Self { pool: pool.clone(), place: Place::Here(Box::new(unit)), piece_len, inline_below, served: 0 }
    }

    pub(super) fn piece_len(&self) -> usize {
        self.piece_len
    }

    /// Ready when there is output to take, or nothing more comes of the input.
    pub(super) fn poll_unit(&mut self, cx: &mut Context<'_>) -> Poll<Result<&mut Piece, CompressError>> {
        loop {
            match &self.place {
                Place::Gone => return Poll::Ready(Err(CompressError::Broken)),
                Place::OnPool(_) => ready!(self.poll_pool(cx))?,
                Place::Here(unit) if unit.is_done || self.served < unit.output.len() => break,
                Place::Here(_) => self.start()?,
            }
        }
        match &mut self.place {
            Place::Here(unit) => Poll::Ready(Ok(unit)),
            Place::OnPool(_) | Place::Gone => unreachable!("the loop ends where it is here"),
        }
    }

    /// The output that was not taken.
    pub(super) fn output(&self) -> &[u8] {
        match &self.place {
            Place::Here(unit) => &unit.output[self.served..],
            Place::OnPool(_) | Place::Gone => &[],
        }
    }

    /// Takes output.
    pub(super) fn consume(&mut self, len: usize) {
        self.served += len;
        if let Place::Here(unit) = &mut self.place
            && self.served == unit.output.len()
        {
            unit.output.clear();
            self.served = 0;
        }
    }

    fn poll_pool(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CompressError>> {
        let Place::OnPool(job) = &mut self.place else { return Poll::Ready(Ok(())) };
        let ended = ready!(Pin::new(job).poll(cx));
        self.place = Place::Gone;
        self.place = Place::Here(ended.map_err(CompressError::from)??);
        Poll::Ready(Ok(()))
    }

    /// Does the next piece here, or has the pool do it.
    fn start(&mut self) -> Result<(), CompressError> {
        let Place::Here(mut unit) = std::mem::replace(&mut self.place, Place::Gone) else { return Ok(()) };
        let piece_len = self.piece_len;
        if unit.is_small(self.inline_below) {
            unit.advance(piece_len, self.inline_below, &|| Ok(()))?;
            self.place = Place::Here(unit);
            return Ok(());
        }
        let job = self.pool.spawn(Class::CPU, move |cx| {
            unit.advance(piece_len, piece_len, &|| cx.check())?;
            Ok(unit)
        });
        self.place = Place::OnPool(job);
        Ok(())
    }
}
