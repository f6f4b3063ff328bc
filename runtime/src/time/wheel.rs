//! A hierarchical timing wheel over entries that somebody else stores.
//!
//! Six levels of 256 slots. A slot of level 0 is one tick wide (2^20 ns, about a millisecond), a slot of the next level
//! is as wide as the whole level below. A slot is a doubly linked list through the entries, so filing and taking out
//! are a few writes. Within a slot there is no order: whoever takes a slot sorts it.
//!
//! INVARIANT ahead: every filed entry lies in a slot that begins after `elapsed`, at the level of the highest byte in
//! which its tick differs from `elapsed`. Hence the first occupied slot of the lowest occupied level is the earliest.

use super::clock::Nanos;

/// The end of a list.
pub(super) const NONE: u32 = u32::MAX;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
const TICK_BITS: u32 = 20;

/// Where an entry is filed: `level * 256 + slot`.
pub(super) type Place = u16;

/// The part of an entry that the wheel owns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) next: u32,
    pub(super) prev: u32,
    pub(super) place: Place,
}

/// Access to the links of the entries by index.
pub(super) trait Links {
    fn link(&mut self, index: u32) -> &mut Link;
}

/// A slot that holds something, and the ticks it spans.
pub(super) struct Slot {
    place: Place,
    pub(super) first: u32,
    pub(super) start: u64,
    pub(super) end: u64,
}

pub(super) struct Wheel {
    /// The first entry of each slot; empty until something is filed.
    heads: Vec<u32>,
    /// A bit for each slot that holds something.
    occupied: [[u64; SLOTS / 64]; LEVELS],
    elapsed: u64,
    len: usize,
}

/// The tick an instant falls in.
pub(super) fn tick_of(at: Nanos) -> u64 {
    at >> TICK_BITS
}

/// The first instant of a tick.
pub(super) fn start_of(tick: u64) -> Nanos {
    tick << TICK_BITS
}

impl Wheel {
    pub(super) const fn new() -> Self {
        Self { heads: Vec::new(), occupied: [[0; SLOTS / 64]; LEVELS], elapsed: 0, len: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if `tick` is over or running: such an entry is not filed but due soon.
    pub(super) fn is_near(&self, tick: u64) -> bool {
        tick <= self.elapsed
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
        let next = std::mem::replace(&mut self.heads[place], index);
        *links.link(index) = Link { next, prev: NONE, place: place as Place };
        if next == NONE {
            self.occupied[level as usize][slot / 64] |= 1 << (slot % 64);
        } else {
            links.link(next).prev = index;
        }
        self.len += 1;
    }

    /// Takes out an entry that is filed.
    pub(super) fn unfile(&mut self, links: &mut impl Links, index: u32) {
        let Link { next, prev, place } = *links.link(index);
        if next != NONE {
            links.link(next).prev = prev;
        }
        if prev != NONE {
            links.link(prev).next = next;
        } else {
            self.heads[usize::from(place)] = next;
            if next == NONE {
                self.mark_empty(place);
            }
        }
        self.len -= 1;
    }

    /// The slot that begins first.
    pub(super) fn earliest(&self) -> Option<Slot> {
        self.slots().next()
    }

    /// The slots that hold something, by their beginning.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..LEVELS).flat_map(move |level| {
            self.occupied[level]
                .iter()
                .enumerate()
                .flat_map(move |(word, bits)| ones(*bits).map(move |bit| self.slot(level, word * 64 + bit)))
        })
    }

    fn slot(&self, level: usize, slot: usize) -> Slot {
        let shift = level as u32 * SLOT_BITS;
        let base = self.elapsed >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        let start = base + ((slot as u64) << shift);
        let place = level * SLOTS + slot;
        Slot { place: place as Place, first: self.heads[place], start, end: start + (1 << shift) }
    }

    /// Empties the earliest slot and moves on to its beginning. Its entries are the list that starts at `slot.first`;
    /// `count` of them are no longer filed.
    pub(super) fn take(&mut self, slot: &Slot, count: usize) {
        self.heads[usize::from(slot.place)] = NONE;
        self.mark_empty(slot.place);
        self.len -= count;
        self.elapsed = slot.start;
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
}

/// The positions of the bits that are set, from the lowest.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}
