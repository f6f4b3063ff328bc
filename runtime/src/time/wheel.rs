//! A hierarchical timing wheel over entries that somebody else stores.
//!
//! Six levels of 256 slots. A slot of level 0 is one tick wide (2^20 ns, about a millisecond), a slot of the next level
//! is as wide as the whole level below. A slot is a list of chunks, each a cache line of fourteen indices: filing and
//! taking out are a few writes, and emptying a slot meets its entries by index and not one through the other, so that the
//! processor fetches many at a time. Within a slot there is no order: whoever takes a slot sorts it.
//!
//! INVARIANT ahead: every filed entry lies in a slot that begins after `elapsed`, at the level of the highest byte in
//! which its tick differs from `elapsed`. Hence the first occupied slot of the lowest occupied level is the earliest.
//! INVARIANT full: of the chunks of a slot only the first may have room, and none is empty.

use super::clock::Nanos;

/// The end of a list.
pub(super) const NONE: u32 = u32::MAX;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
const TICK_BITS: u32 = 20;

/// How many indices fit in a chunk.
const CHUNK_LEN: usize = 14;

/// A slot of a level: `level * 256 + slot`.
pub(super) type Place = u16;

/// Where an entry is filed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) place: Place,
    /// The position in the chunk.
    at: u16,
    chunk: u32,
}

impl Link {
    pub(super) const NOWHERE: Self = Self { place: 0, at: 0, chunk: NONE };
}

/// Access to the links of the entries by index.
pub(super) trait Links {
    fn link(&mut self, index: u32) -> &mut Link;
}

/// Some of the entries of a slot.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Chunk {
    next: u32,
    len: u32,
    entries: [u32; CHUNK_LEN],
}

/// A slot that holds something, and the ticks it spans.
pub(super) struct Slot {
    place: Place,
    pub(super) start: u64,
    pub(super) end: u64,
}

pub(super) struct Wheel {
    /// The first chunk of each slot; empty until something is filed.
    heads: Vec<u32>,
    /// A bit for each slot that holds something.
    occupied: [[u64; SLOTS / 64]; LEVELS],
    chunks: Vec<Chunk>,
    /// Chunks that are not in use, through `next`.
    free: u32,
    elapsed: u64,
    len: usize,
}

/// The tick an instant falls in.
pub(super) fn tick_of(at: Nanos) -> u64 {
    at >> TICK_BITS
}

/// The first instant of a tick; that of the tick behind the last one is the end of time.
pub(super) fn start_of(tick: u64) -> Nanos {
    tick.saturating_mul(1 << TICK_BITS)
}

impl Wheel {
    pub(super) const fn new() -> Self {
        let occupied = [[0; SLOTS / 64]; LEVELS];
        Self { heads: Vec::new(), occupied, chunks: Vec::new(), free: NONE, elapsed: 0, len: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if `tick` is over or running: such an entry is not filed but due soon.
    pub(super) fn is_near(&self, tick: u64) -> bool {
        tick <= self.elapsed
    }

    /// True if an entry that is filed at `place` comes up in time for `tick`.
    pub(super) fn holds(&self, place: Place, tick: u64) -> bool {
        tick >= self.slot(usize::from(place)).start
    }

    /// Files the entry under `tick`, which is not near.
    pub(super) fn file(&mut self, links: &mut impl Links, index: u32, tick: u64) {
        debug_assert!(!self.is_near(tick));
        if self.heads.is_empty() {
            self.heads = vec![NONE; LEVELS * SLOTS];
        }
        let level = (63 - (tick ^ self.elapsed).leading_zeros()) / SLOT_BITS;
        let slot = (tick >> (level * SLOT_BITS)) as usize % SLOTS;
        let place = level as usize * SLOTS + slot;
        let mut chunk = self.heads[place];
        if chunk == NONE || self.chunks[chunk as usize].len as usize == CHUNK_LEN {
            self.occupied[level as usize][slot / 64] |= 1 << (slot % 64);
            chunk = self.allocate(chunk);
            self.heads[place] = chunk;
        }
        let room = &mut self.chunks[chunk as usize];
        let at = room.len;
        room.entries[at as usize] = index;
        room.len += 1;
        *links.link(index) = Link { place: place as Place, at: at as u16, chunk };
        self.len += 1;
    }

    /// Takes out an entry that is filed. The last one of the slot takes its place.
    pub(super) fn unfile(&mut self, links: &mut impl Links, index: u32) {
        let Link { place, at, chunk } = *links.link(index);
        let first = self.heads[usize::from(place)];
        let head = &mut self.chunks[first as usize];
        head.len -= 1;
        let (last, left, next) = (head.entries[head.len as usize], head.len, head.next);
        if last != index {
            self.chunks[chunk as usize].entries[usize::from(at)] = last;
            *links.link(last) = Link { place, at, chunk };
        }
        if left == 0 {
            self.recycle(first);
            self.heads[usize::from(place)] = next;
            if next == NONE {
                self.mark_empty(place);
            }
        }
        self.len -= 1;
    }

    /// The slot that begins first.
    pub(super) fn earliest(&self) -> Option<Slot> {
        if self.len == 0 {
            return None;
        }
        for (level, words) in self.occupied.iter().enumerate() {
            if let Some(word) = words.iter().position(|word| *word != 0) {
                return Some(self.slot(level * SLOTS + word * 64 + words[word].trailing_zeros() as usize));
            }
        }
        None
    }

    /// The slots that hold something, by their beginning.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let places = (0..LEVELS).flat_map(|level| (0..SLOTS).map(move |slot| (level, slot)));
        let held = places.filter(|(level, slot)| self.occupied[*level][slot / 64] >> (slot % 64) & 1 == 1);
        held.map(|(level, slot)| self.slot(level * SLOTS + slot))
    }

    /// The entries of a slot.
    pub(super) fn entries(&self, slot: &Slot) -> impl Iterator<Item = u32> + '_ {
        let existing = |chunk: u32| self.chunks.get(chunk as usize);
        let first = existing(self.heads[usize::from(slot.place)]);
        let chunks = std::iter::successors(first, move |chunk| existing(chunk.next));
        chunks.flat_map(|chunk| chunk.entries[..chunk.len as usize].iter().copied())
    }

    fn slot(&self, place: usize) -> Slot {
        let (level, slot) = (place / SLOTS, place % SLOTS);
        let shift = level as u32 * SLOT_BITS;
        let base = self.elapsed >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        let start = base + ((slot as u64) << shift);
        Slot { place: place as Place, start, end: start + (1 << shift) }
    }

    /// Empties the earliest slot and moves on to its beginning. What it held comes from `next_taken`, chunk by chunk.
    pub(super) fn take(&mut self, slot: &Slot) -> Taken {
        let first = std::mem::replace(&mut self.heads[usize::from(slot.place)], NONE);
        self.mark_empty(slot.place);
        self.elapsed = slot.start;
        Taken(first)
    }

    /// The next entries of a slot that was taken. They are filed no more.
    pub(super) fn next_taken(&mut self, taken: &mut Taken) -> Option<impl Iterator<Item = u32> + use<>> {
        let chunk = *self.chunks.get(taken.0 as usize)?;
        self.recycle(taken.0);
        self.len -= chunk.len as usize;
        taken.0 = chunk.next;
        Some(chunk.entries.into_iter().take(chunk.len as usize))
    }

    /// Moves on to `tick`, where no slot begins before.
    pub(super) fn advance(&mut self, tick: u64) {
        debug_assert!(self.earliest().is_none_or(|slot| slot.start > tick));
        self.elapsed = self.elapsed.max(tick);
    }

    fn mark_empty(&mut self, place: Place) {
        let (level, slot) = (usize::from(place) / SLOTS, usize::from(place) % SLOTS);
        self.occupied[level][slot / 64] &= !(1 << (slot % 64));
    }

    /// An empty chunk that is followed by `next`.
    fn allocate(&mut self, next: u32) -> u32 {
        let chunk = Chunk { next, len: 0, entries: [0; CHUNK_LEN] };
        if self.free == NONE {
            self.chunks.push(chunk);
            return u32::try_from(self.chunks.len() - 1).expect("fewer chunks than timers");
        }
        let index = self.free;
        self.free = self.chunks[index as usize].next;
        self.chunks[index as usize] = chunk;
        index
    }

    fn recycle(&mut self, chunk: u32) {
        self.chunks[chunk as usize].next = self.free;
        self.free = chunk;
    }
}

/// What is left of a slot that was taken.
pub(super) struct Taken(u32);
