//! Compressed messages: permessage-deflate, RFC 7692, section 7.2.

use std::cell::RefCell;
use std::rc::Rc;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Fault;

/// What each message ends with, and what is therefore not sent.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// How much more room is made at a time for what comes out of the inflater.
const STEP_LEN: usize = 4096;

/// The window of the format, and the smallest one that zlib writes: what it calls 8 is 9.
pub(crate) const WINDOW_BITS_MAX: u8 = 15;
pub(crate) const WINDOW_BITS_MIN: u8 = 9;

/// Packers that nobody uses at the moment. Messages that stand alone borrow one, so that connections need not own them.
pub(crate) struct Spares<T>(Rc<RefCell<Vec<T>>>);

/// Packers that are kept at most. More are in use at a time only where messages come in pieces.
const SPARES_MAX: usize = 4;

impl<T> Clone for Spares<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T> Spares<T> {
    fn put_back(&self, spare: T) {
        let mut spares = self.0.borrow_mut();
        if spares.len() < SPARES_MAX {
            spares.push(spare);
        }
    }

    fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }
}

/// Unpacks the messages of one peer.
pub(crate) struct Inflater {
    state: Option<Decompress>,
    /// Where to return the state to behind each message; `None` if messages refer to earlier ones.
    spares: Option<Spares<Decompress>>,
}

impl Inflater {
    pub(crate) fn new(spares: Option<Spares<Decompress>>) -> Self {
        Self { state: None, spares }
    }

    /// Unpacks a piece of a message behind what `to` holds, until that has more than `len_max` bytes.
    pub(crate) fn inflate(
        &mut self,
        mut packed: &[u8],
        to: &mut Vec<u8>,
        len_max: usize,
    ) -> Result<(), Fault> {
        let spares = &self.spares;
        let state = self.state.get_or_insert_with(|| {
            let spare = spares.as_ref().and_then(Spares::take);
            spare.unwrap_or_else(|| Decompress::new(false))
        });
        loop {
            to.reserve(STEP_LEN.min(len_max.saturating_sub(to.len()).saturating_add(1)));
            let (read, wrote) = (state.total_in(), state.total_out());
            let status = state.decompress_vec(packed, to, FlushDecompress::None);
            let status = status.map_err(|_| Fault::Protocol("a message is packed wrongly"))?;
            let (read, wrote) = (state.total_in() - read, state.total_out() - wrote);
            packed = &packed[usize::try_from(read).map_or(packed.len(), |read| read.min(packed.len()))..];
            if to.len() > len_max {
                return Err(Fault::TooBig(len_max));
            }
            match status {
                // A last block in the middle is allowed: section 7.2.3.4. What follows begins anew.
                Status::StreamEnd => state.reset(false),
                _ if packed.is_empty() && to.len() < to.capacity() => return Ok(()),
                _ if read == 0 && wrote == 0 && to.len() < to.capacity() => {
                    return Err(Fault::Protocol("a message is packed wrongly"));
                }
                _ => {}
            }
            if packed.is_empty() && matches!(status, Status::StreamEnd) {
                return Ok(());
            }
        }
    }

    /// Unpacks what is left of a message.
    pub(crate) fn finish(&mut self, to: &mut Vec<u8>, len_max: usize) -> Result<(), Fault> {
        self.inflate(TAIL, to, len_max)?;
        if let (Some(spares), Some(mut state)) = (&self.spares, self.state.take_if(|_| self.spares.is_some()))
        {
            state.reset(false);
            spares.put_back(state);
        }
        Ok(())
    }
}

/// How one side packs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packer {
    pub(crate) level: u32,
    /// Shorter messages are not worth it; with zero, every message is packed, whether it gains or not.
    pub(crate) len_min: usize,
    pub(crate) window_bits: u8,
}

/// Packs messages for one peer.
pub(crate) struct Deflater {
    packer: Packer,
    state: Option<Compress>,
    spares: Option<Spares<Compress>>,
}

impl Deflater {
    /// Without `spares`, messages refer to earlier ones.
    pub(crate) fn new(packer: Packer, spares: Option<Spares<Compress>>) -> Self {
        Self { packer, state: None, spares }
    }

    /// The packed message, or `None` if it is to leave as it is.
    pub(crate) fn deflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        if message.len() < self.packer.len_min {
            return None;
        }
        if message.is_empty() {
            // RFC 7692, section 7.2.3.6. A packer that has just flushed has nothing to flush, and writes nothing.
            return Some(vec![0]);
        }
        let Self { packer, state, spares } = self;
        let state = state.get_or_insert_with(|| {
            let spare = spares.as_ref().and_then(Spares::take);
            let level = Compression::new(packer.level);
            spare.unwrap_or_else(|| Compress::new_with_window_bits(level, false, packer.window_bits))
        });
        let mut packed = Vec::with_capacity(message.len() / 2 + 64);
        let before = state.total_in();
        loop {
            let read = usize::try_from(state.total_in() - before).unwrap_or(message.len());
            let done = state.compress_vec(&message[read..], &mut packed, FlushCompress::Sync);
            done.expect("a stream that was not ended takes more");
            if packed.len() < packed.capacity() {
                break; // all is out: it would have used the room otherwise
            }
            packed.reserve(packed.len());
        }
        packed.truncate(packed.len() - TAIL.len());
        if let (Some(spares), Some(mut state)) = (&self.spares, self.state.take_if(|_| self.spares.is_some()))
        {
            state.reset();
            spares.put_back(state);
            if packed.len() >= message.len() && packer.len_min > 0 {
                return None; // it gained nothing, and nothing later refers to it
            }
        }
        Some(packed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Deflater, Fault, Inflater, Packer, Spares};

    fn packer() -> Packer {
        Packer { level: 6, len_min: 0, window_bits: 15 }
    }

    fn deflaters() -> [Deflater; 2] {
        [None, Some(Spares::default())].map(|spares| Deflater::new(packer(), spares))
    }

    fn unpack(inflater: &mut Inflater, packed: &[u8], len_max: usize) -> Result<Vec<u8>, Fault> {
        let mut message = Vec::new();
        for piece in packed.chunks(7) {
            inflater.inflate(piece, &mut message, len_max)?;
        }
        inflater.finish(&mut message, len_max)?;
        Ok(message)
    }

    #[test]
    fn examples_of_the_rfc_are_unpacked() {
        let mut inflater = Inflater::new(None);
        let packed: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], // 7.2.3.1
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], // 7.2.3.3
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], // 7.2.3.4
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], // 7.2.3.5
        ];
        for packed in packed {
            assert_eq!(unpack(&mut inflater, packed, 100).as_deref(), Ok(&b"Hello"[..]), "{packed:x?}");
        }
    }

    #[test]
    fn what_is_packed_is_unpacked_with_and_without_a_context() {
        for keeps in [true, false] {
            let (packers, unpackers) = (Spares::default(), Spares::default());
            let mut deflater = Deflater::new(packer(), (!keeps).then(|| packers.clone()));
            let mut inflater = Inflater::new((!keeps).then(|| unpackers.clone()));
            let lens: Vec<usize> = [0, 1, 100, 5000, 300_000]
                .into_iter()
                .map(|len| {
                    let message = b"a rose is a rose; ".repeat(len / 18 + 1);
                    let packed = deflater.deflate(&message).unwrap_or_default();
                    if !packed.is_empty() {
                        assert_eq!(unpack(&mut inflater, &packed, 1 << 20).as_deref(), Ok(&message[..]));
                    }
                    packed.len()
                })
                .collect();
            assert!(lens[4] < 5000, "{lens:?}");
        }
    }

    #[test]
    fn empty_messages_are_packed_one_after_the_other() {
        for mut deflater in deflaters() {
            let mut inflater = Inflater::new(None);
            for message in [&b""[..], b"", b"a", b"", b"a", b"", b""] {
                let packed = deflater.deflate(message).expect("every message is packed");
                assert_eq!(unpack(&mut inflater, &packed, 10).as_deref(), Ok(message));
            }
        }
    }

    #[test]
    fn what_gains_nothing_leaves_as_it_is_unless_all_is_to_be_packed() {
        let spares = Some(Spares::default());
        let mut choosy = Deflater::new(Packer { len_min: 1, ..packer() }, spares.clone());
        assert_eq!(choosy.deflate(b"abc"), None);
        assert!(Deflater::new(packer(), spares).deflate(b"abc").is_some());
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_limit() {
        let packed = Deflater::new(packer(), None).deflate(&vec![0; 10_000_000]).unwrap();
        assert!(packed.len() < 20_000);
        let mut message = Vec::new();
        let mut inflater = Inflater::new(None);
        assert_eq!(inflater.inflate(&packed, &mut message, 100_000), Err(Fault::TooBig(100_000)));
        assert!(message.capacity() < 300_000);
    }

    #[test]
    fn what_is_no_deflate_is_a_fault() {
        assert!(matches!(unpack(&mut Inflater::new(None), &[0xff; 20], 100), Err(Fault::Protocol(_))));
    }
}
