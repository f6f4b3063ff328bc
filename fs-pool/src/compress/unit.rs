//! Work that moves between the loop and the pool: a coder, what it is to take, and what it has made.

use super::{CompressError, Decoder, Encoder, Flush, Step};
use crate::pool::Cancelled;

/// Asked between chunks: whether to go on.
pub(super) type Check<'a> = &'a dyn Fn() -> Result<(), Cancelled>;

/// One of the two.
pub(super) enum Coder {
    Encode(Encoder),
    Decode(Decoder),
}

impl Coder {
    fn total_read(&self) -> u64 {
        match self {
            Self::Encode(encoder) => encoder.totals().0,
            Self::Decode(decoder) => decoder.totals().0,
        }
    }

    /// As the coder's own step; `is_done` says that nothing more comes of this input and flush.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: Flush,
    ) -> Result<Step, CompressError> {
        match self {
            Self::Encode(encoder) => encoder.step(input, output, flush),
            Self::Decode(decoder) => {
                let step = decoder.step(input, output)?;
                // At an end with input left, the next step says whether the stream goes on: it takes nothing if not.
                let is_over = step.is_done && step.read == 0 && step.written == 0;
                let is_dry = step.read == input.len() && step.written < output.len();
                if is_dry && flush == Flush::Finish {
                    decoder.end()?;
                }
                Ok(Step { is_done: is_over || is_dry, ..step })
            }
        }
    }
}

/// A coder with its input and output.
pub(super) struct Unit<I> {
    pub(super) coder: Coder,
    pub(super) input: I,
    taken: usize,
    flush: Flush,
    pub(super) output: Vec<u8>,
    pub(super) is_done: bool,
    /// The input goes on after the end of a decoder's stream: nothing more comes.
    is_over: bool,
    /// The least that the next step gets as output, since the last one needed all that it had.
    room: usize,
}

impl<I: AsRef<[u8]>> Unit<I> {
    pub(super) fn new(coder: Coder, input: I, flush: Flush) -> Self {
        Self { coder, input, taken: 0, flush, output: Vec::new(), is_done: false, is_over: false, room: 0 }
    }

    /// Gives it the next input.
    pub(super) fn feed(&mut self, input: I, flush: Flush) {
        (self.input, self.taken, self.flush, self.is_done) = (input, 0, flush, false);
    }

    /// Whether what is to be done now is below so many bytes: a flush works on what was taken before, too.
    pub(super) fn is_small(&self, below: usize) -> bool {
        let held = if self.flush == Flush::None { 0 } else { self.coder.total_read() };
        let len = self.input.as_ref().len();
        self.taken == 0 && len < below && held < below as u64
    }

    /// Whether nothing more comes of it, whatever it is given.
    pub(super) fn is_finished(&self) -> bool {
        self.is_over || self.is_done && self.flush == Flush::Finish
    }

    /// Works until all is done or the output has reached `output_len_max` bytes, by a piece at most more.
    pub(super) fn advance(
        &mut self,
        piece_len: usize,
        output_len_max: usize,
        check: Check<'_>,
    ) -> Result<(), CompressError> {
        while !self.is_done && self.output.len() < output_len_max {
            check()?;
            let rest = &self.input.as_ref()[self.taken..];
            let is_last = rest.len() <= piece_len;
            let (piece, flush) = if is_last { (rest, self.flush) } else { (&rest[..piece_len], Flush::None) };
            let begin = self.output.len();
            // Small inputs get small buffers: clearing a large one would be most of such a step.
            let room = piece_len.min(piece.len() + 256).max(self.room);
            self.output.resize(begin + room, 0);
            let step = self.coder.step(piece, &mut self.output[begin..], flush);
            let written = step.as_ref().map_or(0, |step| step.written);
            self.output.truncate(begin + written);
            let step = step?;
            self.taken += step.read;
            self.room = if step.written == room { piece_len.min(2 * room) } else { 0 };
            let is_idle = step.read == 0 && step.written == 0;
            // Not taking a piece that is there is how a decoder says that it does not belong to its stream.
            self.is_over |= step.is_done && is_idle && !piece.is_empty();
            self.is_done = self.is_over || step.is_done && is_last;
            if is_idle && !self.is_done {
                return Err(CompressError::Broken); // it neither takes nor makes anything: it would for ever
            }
        }
        Ok(())
    }
}
