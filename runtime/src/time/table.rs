//! The table of timers: what is due when, in exact order.
//!
//! Timers that are far away are filed in a [`Wheel`], unordered. When their tick begins they become *near*: sorted by
//! deadline and then by the order in which they were started. So starting, stopping and restarting cost a few writes,
//! and yet timers come out in the order that libuv gives them.
//!
//! A restart to a later instant only writes the new deadline: the entry stays filed where it is and is filed anew
//! when that slot comes up. That makes the idle timeout of a busy connection nearly free.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::clock::Nanos;
use super::wheel::{Link, Links, NONE, Slot, Wheel, start_of, tick_of};

/// How many entries of a slot are looked at to learn when the first is due. Above that the loop wakes when the slot
/// begins, which is at most one turn too many for each slot.
const SCAN_LEN_MAX: usize = 64;

/// A timer of one table. A key that outlives its timer finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    index: u32,
    generation: u32,
}

impl TimerKey {
    /// A key that finds nothing in any table.
    pub(crate) const NEVER_USED: Self = Self { index: NONE, generation: 0 };
}

/// What the timers phase took aside when it began: what is due at `now` and was started before `limit`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) now: Nanos,
    pub(crate) limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Idle,
    Filed,
    Near,
}

/// A timer. Aligned to a cache line, and of one line with an action of four words: firing a million random timers is
/// bound by how many lines each one touches.
#[repr(align(64))]
struct Entry<A> {
    link: Link,
    generation: u32,
    state: State,
    deadline: Nanos,
    /// Counts starts. Equal deadlines come out in this order, and a near record with another number is stale.
    start: u64,
    action: Option<A>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    deadline: Nanos,
    start: u64,
    index: u32,
}

/// Timers with an action each.
pub(crate) struct TimerTable<A> {
    entries: Entries<A>,
    /// Entries that are not in use.
    free: Vec<u32>,
    wheel: Wheel,
    /// Near entries in descending order, so that the next one is popped off the end.
    run: Vec<Due>,
    /// Near entries that were started after `run` was sorted.
    late: BinaryHeap<Reverse<Due>>,
    near_len: usize,
    /// No filed entry is due before this; `None` if that has to be found out.
    filed_bound: Option<Nanos>,
    starts: u64,
    first_generation: u32,
}

struct Entries<A>(Vec<Entry<A>>);

impl<A> Entries<A> {
    fn find(&mut self, key: TimerKey) -> Option<&mut Entry<A>> {
        let entry = self.0.get_mut(key.index as usize)?;
        (entry.generation == key.generation && entry.state != State::Free).then_some(entry)
    }
}

impl<A> Links for Entries<A> {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize].link
    }
}

impl<A> TimerTable<A> {
    /// Generations begin with `first_generation`: tables that begin with different ones do not take each other's keys.
    pub(crate) const fn new(first_generation: u32) -> Self {
        Self {
            first_generation,
            entries: Entries(Vec::new()),
            free: Vec::new(),
            wheel: Wheel::new(),
            run: Vec::new(),
            late: BinaryHeap::new(),
            near_len: 0,
            filed_bound: None,
            starts: 0,
        }
    }

    /// Adds a timer that is not started.
    pub(crate) fn insert(&mut self, action: Option<A>) -> TimerKey {
        let Some(index) = self.free.pop() else {
            let index = u32::try_from(self.entries.0.len()).expect("fewer than 2^32 timers in one loop");
            let (link, state) = (Link::NOWHERE, State::Idle);
            let generation = self.first_generation;
            self.entries.0.push(Entry { link, generation, state, deadline: 0, start: 0, action });
            return TimerKey { index, generation };
        };
        let entry = &mut self.entries.0[index as usize];
        entry.state = State::Idle;
        entry.action = action;
        TimerKey { index, generation: entry.generation }
    }

    /// Removes a timer and gives its action back.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<A> {
        self.stop(key);
        let entry = self.entries.find(key)?;
        entry.generation = entry.generation.wrapping_add(1);
        entry.state = State::Free;
        let action = entry.action.take();
        self.free.push(key.index);
        action
    }

    /// Starts a timer, or restarts it, to be due at `deadline`.
    pub(crate) fn start(&mut self, key: TimerKey, deadline: Nanos) {
        self.starts += 1;
        let start = self.starts;
        let Some(entry) = self.entries.find(key) else { return };
        let later = deadline >= std::mem::replace(&mut entry.deadline, deadline);
        entry.start = start;
        match entry.state {
            // Filed anew when its slot comes up.
            State::Filed if later => return,
            State::Filed if self.wheel.holds(entry.link.place, tick_of(deadline)) => {
                self.filed_bound = self.filed_bound.map(|bound| bound.min(deadline));
                return;
            }
            State::Filed => self.wheel.unfile(&mut self.entries, key.index),
            State::Near => self.near_len -= 1, // the old record is stale
            State::Idle => {}
            State::Free => unreachable!("a key of a free entry finds nothing"),
        }
        self.enqueue(key.index);
        self.drop_stale();
    }

    /// Starts a timer anew if it is running, and says whether it is.
    pub(crate) fn restart(&mut self, key: TimerKey, deadline: Nanos) -> bool {
        let running = self.deadline(key).is_some();
        if running {
            self.start(key, deadline);
        }
        running
    }

    /// Stops a timer. True if it was running.
    pub(crate) fn stop(&mut self, key: TimerKey) -> bool {
        let Some(entry) = self.entries.find(key) else { return false };
        match std::mem::replace(&mut entry.state, State::Idle) {
            State::Filed => self.wheel.unfile(&mut self.entries, key.index),
            State::Near => {
                self.near_len -= 1;
                self.drop_stale();
            }
            State::Idle => return false,
            State::Free => unreachable!("a key of a free entry finds nothing"),
        }
        true
    }

    /// The action of a timer, for the caller to take or to replace.
    pub(crate) fn action_mut(&mut self, key: TimerKey) -> Option<&mut Option<A>> {
        self.entries.find(key).map(|entry| &mut entry.action)
    }

    /// When a running timer is due.
    pub(crate) fn deadline(&self, key: TimerKey) -> Option<Nanos> {
        let entry =
            self.entries.0.get(key.index as usize).filter(|entry| entry.generation == key.generation)?;
        matches!(entry.state, State::Filed | State::Near).then_some(entry.deadline)
    }

    /// When a timer was due that was taken by `next_due`, or is due if it runs again.
    pub(crate) fn last_deadline(&self, key: TimerKey) -> Option<Nanos> {
        let entry = self.entries.0.get(key.index as usize)?;
        (entry.generation == key.generation).then_some(entry.deadline)
    }

    /// True if no timer is running.
    pub(crate) fn is_empty(&self) -> bool {
        self.near_len == 0 && self.wheel.is_empty()
    }

    /// How often a timer was started so far; a batch takes those started before.
    pub(crate) fn starts(&self) -> u64 {
        self.starts
    }

    /// Takes the next timer of `batch` and stops it.
    pub(crate) fn next_due(&mut self, batch: Batch) -> Option<TimerKey> {
        let mut passed = Vec::new();
        let next = self.next_due_past(batch, &mut passed);
        self.near_len += passed.len();
        self.late.extend(passed.into_iter().map(Reverse));
        next
    }

    /// As `next_due`. Those on the way that were started in the phase, and yet are overdue, are moved to `passed`: they
    /// must not hold up what was due before, and wait for the next phase.
    fn next_due_past(&mut self, batch: Batch, passed: &mut Vec<Due>) -> Option<TimerKey> {
        loop {
            if let Some(due) = self.peek_near() {
                // What is due right now and was started in the phase comes behind all of the batch.
                if due.deadline > batch.now || (due.deadline == batch.now && due.start > batch.limit) {
                    return None;
                }
                self.pop_near(due);
                if due.start > batch.limit {
                    passed.push(due);
                    continue;
                }
                let entry = &mut self.entries.0[due.index as usize];
                entry.state = State::Idle;
                return Some(TimerKey { index: due.index, generation: entry.generation });
            }
            if !self.take_slot(tick_of(batch.now)) {
                return None;
            }
        }
    }

    /// An instant before which no timer is due, and which is the next deadline in nearly every case. `None` if no timer
    /// is running.
    pub(crate) fn next_bound(&mut self) -> Option<Nanos> {
        if let Some(due) = self.peek_near() {
            return Some(due.deadline);
        }
        if self.wheel.is_empty() {
            return None;
        }
        if self.filed_bound.is_none() {
            let slot = self.wheel.earliest()?;
            let (deadline, len) = self.first_deadline(&slot, SCAN_LEN_MAX);
            let whole = len < SCAN_LEN_MAX;
            self.filed_bound =
                Some(if whole { deadline.min(start_of(slot.end)) } else { start_of(slot.start) });
        }
        self.filed_bound
    }

    /// The next deadline. Looks at every filed timer in the worst case.
    pub(crate) fn next_deadline(&mut self) -> Option<Nanos> {
        if let Some(due) = self.peek_near() {
            return Some(due.deadline);
        }
        let slots = self.wheel.slots();
        slots.map(|slot| self.first_deadline(&slot, usize::MAX).0).min()
    }

    /// Takes all actions out, to be dropped by the caller, and forgets every timer.
    pub(crate) fn take_all(&mut self) -> Vec<A> {
        let old = std::mem::replace(self, Self::new(self.first_generation));
        old.entries.0.into_iter().filter_map(|entry| entry.action).collect()
    }

    /// Files an entry, or puts it among the near ones.
    fn enqueue(&mut self, index: u32) {
        let entry = &mut self.entries.0[index as usize];
        let (deadline, start) = (entry.deadline, entry.start);
        let tick = tick_of(deadline);
        if self.wheel.is_near(tick) {
            entry.state = State::Near;
            self.near_len += 1;
            self.late.push(Reverse(Due { deadline, start, index }));
            return;
        }
        entry.state = State::Filed;
        let was_empty = self.wheel.is_empty();
        self.wheel.file(&mut self.entries, index, tick);
        self.filed_bound = match self.filed_bound {
            _ if was_empty => Some(deadline),
            bound => bound.map(|bound| bound.min(deadline)),
        };
    }

    /// The near entry that comes first, with stale records out of the way.
    fn peek_near(&mut self) -> Option<Due> {
        while let Some(due) = self.run.last() {
            if is_current(&self.entries, due) {
                break;
            }
            self.run.pop();
        }
        while let Some(Reverse(due)) = self.late.peek() {
            if is_current(&self.entries, due) {
                break;
            }
            self.late.pop();
        }
        match (self.run.last(), self.late.peek()) {
            (Some(run), Some(Reverse(late))) => Some(*run.min(late)),
            (run, late) => run.copied().or(late.map(|late| late.0)),
        }
    }

    fn pop_near(&mut self, due: Due) {
        if self.run.last() == Some(&due) {
            self.run.pop();
        } else {
            self.late.pop();
        }
        self.near_len -= 1;
    }

    /// Makes the entries of the earliest slot near, or files them lower, if that slot has begun at `now`.
    fn take_slot(&mut self, now: u64) -> bool {
        let Some(slot) = self.wheel.earliest().filter(|slot| slot.start <= now) else {
            self.wheel.advance(now);
            if self.filed_bound.is_some_and(|bound| tick_of(bound) <= now) {
                self.filed_bound = None;
            }
            return false;
        };
        let mut taken = self.wheel.take(&slot);
        while let Some(chunk) = self.wheel.next_taken(&mut taken) {
            for index in chunk {
                let entry = &mut self.entries.0[index as usize];
                if tick_of(entry.deadline) <= slot.start {
                    entry.state = State::Near;
                    self.near_len += 1;
                    self.run.push(Due { deadline: entry.deadline, start: entry.start, index });
                } else {
                    self.enqueue(index);
                }
            }
        }
        self.run.sort_unstable_by(|a, b| b.cmp(a));
        self.filed_bound = None;
        true
    }

    /// The earliest deadline among the first `len_max` entries of a slot, and how many were looked at.
    fn first_deadline(&self, slot: &Slot, len_max: usize) -> (Nanos, usize) {
        let deadlines = self.wheel.entries(slot).map(|index| self.entries.0[index as usize].deadline);
        deadlines.take(len_max).fold((Nanos::MAX, 0), |(first, len), deadline| (first.min(deadline), len + 1))
    }

    /// Drops stale records once they are the greater part, so that restarts of near timers use bounded memory.
    fn drop_stale(&mut self) {
        if self.run.len() + self.late.len() > 2 * self.near_len + 64 {
            self.run.retain(|due| is_current(&self.entries, due));
            self.late.retain(|Reverse(due)| is_current(&self.entries, due));
        }
    }
}

fn is_current<A>(entries: &Entries<A>, due: &Due) -> bool {
    let entry = &entries.0[due.index as usize];
    entry.state == State::Near && entry.start == due.start
}
