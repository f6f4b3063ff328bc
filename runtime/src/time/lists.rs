//! Node's timers as data: one list per duration, the lists ordered by due time.
//!
//! A list is due when its *first* timer was due at the moment the list was put in order; it keeps that time when timers
//! leave or are refreshed. When its turn comes all its due timers run, before a timer of another list that was due
//! earlier than some of them. That is observable (SEMANTICS T5, T7, T14), so it is kept exactly. It is also fast: a
//! timer is set, cleared and refreshed in constant time.
//!
//! Times are whole milliseconds since the loop's origin, as in Node.
//! Source: Node 26, `lib/internal/timers.js`; measured, see SEMANTICS T3 to T14.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

const NONE: u32 = u32::MAX;

/// Milliseconds.
pub(crate) type Millis = u64;

/// A timer on a list. A key that outlives its timer finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeoutId {
    index: u32,
    generation: u32,
}

/// A timer. Of one cache line with a value of four words, as in the table of loop timers.
#[repr(align(64))]
struct Item<T> {
    generation: u32,
    next: u32,
    prev: u32,
    duration: Millis,
    start: Millis,
    linked: bool,
    /// Not yet run and not cleared; an interval stays armed while it runs.
    armed: bool,
    referenced: bool,
    in_use: bool,
    value: Option<T>,
}

/// The place of a list among the lists: by due time, then by the age of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListKey {
    pub(crate) due: Millis,
    age: u64,
    duration: Millis,
}

struct List {
    key: ListKey,
    /// Tells a list from a later one of the same duration.
    id: u64,
    first: u32,
    last: u32,
}

/// The list that is being run.
#[derive(Clone, Copy)]
pub(crate) struct Running {
    duration: Millis,
    id: u64,
}

/// What comes next in the running list.
pub(crate) enum Next {
    /// This one is due.
    Timer(TimeoutId),
    /// The list is over, or its first timer is not yet due and the list was put back in order.
    Done,
}

/// All lists of a loop.
pub(crate) struct TimerLists<T> {
    items: Vec<Item<T>>,
    free: u32,
    lists: HashMap<Millis, List, BuildHasherDefault<DurationHasher>>,
    order: BTreeSet<ListKey>,
    ages: u64,
    ids: u64,
    referenced: usize,
}

impl<T> TimerLists<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: Vec::new(),
            free: NONE,
            lists: HashMap::default(),
            order: BTreeSet::new(),
            ages: 0,
            ids: 0,
            referenced: 0,
        }
    }

    /// Sets a timer of `duration`, counted from `start`, as the newest of its list.
    pub(crate) fn insert(&mut self, duration: Millis, start: Millis, value: T) -> TimeoutId {
        let index = self.allocate();
        let item = &mut self.items[index as usize];
        item.duration = duration;
        item.armed = true;
        item.referenced = true;
        item.value = Some(value);
        let id = TimeoutId { index, generation: item.generation };
        self.referenced += 1;
        self.append(index, start);
        id
    }

    /// Restarts a timer at `start`, behind the others of its list. False for one that was cleared.
    pub(crate) fn refresh(&mut self, id: TimeoutId, start: Millis) -> bool {
        let Some(item) = self.item(id) else { return false };
        if !item.armed {
            item.armed = true;
            self.referenced += usize::from(self.items[id.index as usize].referenced);
        }
        self.unlink(id.index);
        self.append(id.index, start);
        true
    }

    /// Removes a timer, and its list if it was the last. An unreferenced timer leaves its empty list in place: the next
    /// timer of that duration inherits the list's due time (T14).
    pub(crate) fn remove(&mut self, id: TimeoutId) -> Option<T> {
        self.item(id)?;
        self.unlink(id.index);
        let item = &mut self.items[id.index as usize];
        let (referenced, duration, armed) = (item.referenced, item.duration, item.armed);
        let value = self.free_item(id.index);
        if armed && referenced {
            self.referenced -= 1;
        }
        if referenced && self.lists.get(&duration).is_some_and(|list| list.first == NONE) {
            self.remove_list(duration);
        }
        value
    }

    /// Lets an armed timer count, or not. False for one that is gone.
    pub(crate) fn set_referenced(&mut self, id: TimeoutId, referenced: bool) -> bool {
        let Some(item) = self.item(id) else { return false };
        let before = item.armed && item.referenced;
        item.referenced = referenced;
        let after = item.armed && referenced;
        self.referenced = self.referenced + usize::from(after) - usize::from(before);
        true
    }

    pub(crate) fn is_referenced(&self, id: TimeoutId) -> Option<bool> {
        let item = self.items.get(id.index as usize)?;
        (item.in_use && item.generation == id.generation).then_some(item.referenced)
    }

    /// How many armed timers are referenced.
    pub(crate) fn referenced(&self) -> usize {
        self.referenced
    }

    /// The list that comes first.
    pub(crate) fn first_list(&self) -> Option<(ListKey, Running)> {
        let key = *self.order.first()?;
        let list = self.lists.get(&key.duration)?;
        Some((key, Running { duration: key.duration, id: list.id }))
    }

    /// The first timer of the running list if it is due at `now`; else ends the list or puts it back in order.
    pub(crate) fn next_in(&mut self, running: Running, now: Millis) -> Next {
        let Some(list) = self.lists.get_mut(&running.duration).filter(|list| list.id == running.id) else {
            return Next::Done; // cleared to the end meanwhile
        };
        if list.first == NONE {
            self.remove_list(running.duration);
            return Next::Done;
        }
        let item = &self.items[list.first as usize];
        if now.saturating_sub(item.start) >= item.duration {
            return Next::Timer(TimeoutId { index: list.first, generation: item.generation });
        }
        self.order.remove(&list.key);
        self.ages += 1;
        list.key.due = (item.start + item.duration).max(now + 1);
        list.key.age = self.ages;
        self.order.insert(list.key);
        Next::Done
    }

    /// Takes a timer off its list to run it. `None` if it was cleared meanwhile.
    pub(crate) fn begin_run(&mut self, id: TimeoutId) -> Option<T> {
        self.item(id)?;
        self.unlink(id.index);
        self.items[id.index as usize].value.take()
    }

    /// Puts the callback of a timer back and, for an interval, arms it again with the start `start`.
    pub(crate) fn end_run(&mut self, id: TimeoutId, value: T, rearm: Option<Millis>) -> Option<T> {
        if self.item(id).is_none() {
            return Some(value);
        }
        self.items[id.index as usize].value = Some(value);
        match rearm {
            Some(start) => {
                self.unlink(id.index);
                self.append(id.index, start);
            }
            None => self.disarm_unless_linked(id),
        }
        None
    }

    /// Forgets a one-shot timer that has run.
    pub(crate) fn forget(&mut self, id: TimeoutId) {
        let Some(item) = self.item(id) else { return };
        let counted = item.armed && item.referenced;
        self.referenced -= usize::from(counted);
        self.unlink(id.index);
        self.free_item(id.index);
    }

    /// Takes all callbacks out, to be dropped by the caller.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let old = std::mem::replace(self, Self::new());
        old.items.into_iter().filter_map(|item| item.value).collect()
    }

    /// A timer that has run and was not refreshed counts no longer.
    fn disarm_unless_linked(&mut self, id: TimeoutId) {
        let item = &mut self.items[id.index as usize];
        if !item.linked && item.armed {
            item.armed = false;
            self.referenced -= usize::from(item.referenced);
        }
    }

    fn item(&mut self, id: TimeoutId) -> Option<&mut Item<T>> {
        self.items.get_mut(id.index as usize).filter(|item| item.in_use && item.generation == id.generation)
    }

    fn append(&mut self, index: u32, start: Millis) {
        let duration = self.items[index as usize].duration;
        let list = self.lists.entry(duration).or_insert_with(|| {
            self.ages += 1;
            self.ids += 1;
            let key = ListKey { due: start + duration, age: self.ages, duration };
            self.order.insert(key);
            List { key, id: self.ids, first: NONE, last: NONE }
        });
        let prev = std::mem::replace(&mut list.last, index);
        if prev == NONE {
            list.first = index;
        } else {
            self.items[prev as usize].next = index;
        }
        let item = &mut self.items[index as usize];
        (item.prev, item.next, item.start, item.linked) = (prev, NONE, start, true);
    }

    fn unlink(&mut self, index: u32) {
        let item = &mut self.items[index as usize];
        if !std::mem::replace(&mut item.linked, false) {
            return;
        }
        let (prev, next, duration) = (item.prev, item.next, item.duration);
        if prev != NONE {
            self.items[prev as usize].next = next;
        }
        if next != NONE {
            self.items[next as usize].prev = prev;
        }
        if prev == NONE || next == NONE {
            let list = self.lists.get_mut(&duration).expect("a linked timer is on a list");
            if prev == NONE {
                list.first = next;
            }
            if next == NONE {
                list.last = prev;
            }
        }
    }

    fn remove_list(&mut self, duration: Millis) {
        if let Some(list) = self.lists.remove(&duration) {
            self.order.remove(&list.key);
        }
    }

    fn allocate(&mut self) -> u32 {
        if self.free == NONE {
            let index = u32::try_from(self.items.len()).expect("fewer than 2^32 timers in one loop");
            self.items.push(Item {
                generation: 0,
                next: NONE,
                prev: NONE,
                duration: 0,
                start: 0,
                linked: false,
                armed: false,
                referenced: false,
                in_use: true,
                value: None,
            });
            return index;
        }
        let index = self.free;
        let item = &mut self.items[index as usize];
        self.free = item.next;
        item.in_use = true;
        index
    }

    fn free_item(&mut self, index: u32) -> Option<T> {
        let item = &mut self.items[index as usize];
        item.in_use = false;
        item.armed = false;
        item.generation = item.generation.wrapping_add(1);
        item.next = self.free;
        self.free = index;
        item.value.take()
    }
}

/// Spreads a duration over the table. Durations are chosen by the program, not by its peers, so this need not be
/// proof against an adversary.
#[derive(Default)]
pub(crate) struct DurationHasher(u64);

impl Hasher for DurationHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, TimerLists};

    /// Runs every due timer at `now`, list by list, as the timers phase does.
    fn run(lists: &mut TimerLists<&'static str>, now: u64) -> Vec<&'static str> {
        let mut ran = Vec::new();
        while let Some((key, running)) = lists.first_list() {
            if key.due > now {
                break;
            }
            while let Next::Timer(id) = lists.next_in(running, now) {
                ran.extend(lists.begin_run(id));
                lists.forget(id);
            }
        }
        ran
    }

    #[test]
    fn a_whole_list_runs_before_an_earlier_timer_of_another() {
        let mut lists = TimerLists::new();
        lists.insert(10, 0, "a");
        lists.insert(12, 1, "b");
        lists.insert(10, 5, "c");
        assert_eq!(run(&mut lists, 40), ["a", "c", "b"]);
        assert_eq!(lists.referenced(), 0);
    }

    #[test]
    fn refresh_moves_the_timer_but_not_its_list() {
        let mut lists = TimerLists::new();
        let a = lists.insert(10, 0, "a");
        lists.insert(11, 0, "b");
        assert!(lists.refresh(a, 5));
        assert_eq!(run(&mut lists, 30), ["a", "b"], "the list kept its due time of 10");
    }

    #[test]
    fn clearing_an_unreferenced_timer_leaves_its_list() {
        let mut lists = TimerLists::new();
        let a = lists.insert(10, 0, "a");
        lists.set_referenced(a, false);
        assert_eq!(lists.remove(a), Some("a"));
        lists.insert(12, 0, "b");
        lists.insert(10, 8, "c");
        assert_eq!(run(&mut lists, 30), ["c", "b"], "c inherited the due time of 10");
        assert_eq!(lists.remove(a), None);
    }
}
