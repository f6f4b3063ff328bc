//! Node's timers as data: one list per delay, the lists ordered by due time.
//!
//! A list is due when its *first* timer was due at the moment the list was put in order; it keeps that time when timers
//! leave or are refreshed. When its turn comes all its due timers run, before a timer of another list that was due
//! earlier than some of them. That is observable (SEMANTICS T5, T7, T14), so it is kept exactly. It is also fast: a
//! timer is set, cleared and refreshed in constant time.
//!
//! Times are whole milliseconds since the loop's origin, as in Node; delays may have fractions, as in Node 10.
//! Source: Node 26, `lib/internal/timers.js`; measured, see SEMANTICS T3 to T14.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;

use super::delay::{Delay, Millis};
use super::flags::Flags;
use super::list_name::{ListName, NameHasher};
use crate::schedule::ListTimers;

const NONE: u32 = u32::MAX;

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
    /// The one before it on its list; of one that is in line as a task, its number there.
    prev: u32,
    delay: Delay,
    start: Millis,
    state: ItemState,
    /// How deep the timer's callback is nested: it is one more than the depth at which it was set.
    nesting: u8,
    flags: Flags,
    value: Option<T>,
}

// The figures of `benches/src/timers_fire.rs` and its kin rest on it, and a byte too many doubles it.
const _: () = assert!(size_of::<Item<[usize; 3]>>() == 64, "a timer is one cache line");

#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemState {
    Free,
    /// It has run and waits to be refreshed.
    Idle,
    /// Off its list, but it counts: it runs.
    Armed,
    /// Armed and in line as a task.
    Queued,
    /// Armed and on its list.
    Listed,
}

impl<T> Item<T> {
    fn is_armed(&self) -> bool {
        matches!(self.state, ItemState::Armed | ItemState::Queued | ItemState::Listed)
    }

    fn is_listed(&self) -> bool {
        self.state == ItemState::Listed
    }

    fn name(&self, index: u32) -> ListName {
        if self.flags.has(Flags::OWN) { ListName::own(index) } else { ListName::of(self.delay) }
    }

    fn counts(&self) -> bool {
        self.is_armed() && self.flags.has(Flags::REFERENCED)
    }
}

/// The place of a list among the lists: by due time, then by the age of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListKey {
    pub(crate) due: Millis,
    age: u64,
    name: ListName,
}

struct List {
    key: ListKey,
    /// Tells a list from a later one of the same name.
    id: u64,
    first: u32,
    last: u32,
}

/// The list that is being run.
#[derive(Clone, Copy)]
pub(crate) struct Running {
    name: ListName,
    id: u64,
}

impl Running {
    /// True for the list of a single timer that was unreferenced ([`ListTimers::EachList`]).
    pub(crate) fn is_own(self) -> bool {
        self.name.is_own()
    }
}

/// From when a timer counts.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) start: Millis,
    /// Before which a list that the timer is the first of is not due.
    pub(crate) due: Millis,
}

impl Start {
    /// Now.
    pub(crate) fn at(start: Millis) -> Self {
        Self { start, due: start }
    }
}

/// A timer that is due and waits in line as a task.
#[derive(Clone, Copy)]
pub(crate) struct QueuedTimer {
    pub(crate) id: TimeoutId,
    /// Tells it from the same timer set anew.
    number: u32,
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
    lists: HashMap<ListName, List, BuildHasherDefault<NameHasher>>,
    order: BTreeSet<ListKey>,
    timers: ListTimers,
    first_generation: u32,
    ages: u64,
    ids: u64,
    /// Counts what was put in line as a task.
    queued: u32,
    referenced: usize,
    /// Lists that came to their end since `take_ended` was called.
    ended: usize,
}

impl<T> TimerLists<T> {
    /// Generations begin with `first_generation`, as in `TimerTable::new`.
    pub(crate) fn new(timers: ListTimers, first_generation: u32) -> Self {
        Self {
            first_generation,
            items: Vec::new(),
            free: NONE,
            lists: HashMap::default(),
            order: BTreeSet::new(),
            timers,
            ages: 0,
            ids: 0,
            queued: 0,
            referenced: 0,
            ended: 0,
        }
    }

    /// Sets a timer of `delay`, counted from `start`, as the newest of its list. One that `repeats` is an interval.
    pub(crate) fn insert(
        &mut self,
        delay: Delay,
        start: Millis,
        repeats: bool,
        nesting: u8,
        value: T,
    ) -> TimeoutId {
        let index = self.allocate();
        let mut flags = Flags::REFERENCED;
        flags.set(Flags::OWN, self.timers == ListTimers::Tasks);
        flags.set(Flags::REPEATS, repeats);
        let item = &mut self.items[index as usize];
        item.delay = delay;
        item.state = ItemState::Armed;
        item.nesting = nesting;
        item.flags = flags;
        item.value = Some(value);
        let id = TimeoutId { index, generation: item.generation };
        self.referenced += 1;
        self.append(index, Start::at(start));
        id
    }

    /// False for a timer that was cleared, and for one that has run and had a loop timer of its own.
    pub(crate) fn can_refresh(&mut self, id: TimeoutId) -> bool {
        let stays = self.timers != ListTimers::EachList;
        self.item(id).is_some_and(|item| item.is_listed() || !item.flags.has(Flags::OWN) || stays)
    }

    /// Where timers become tasks: takes the timer that is due first off its list.
    pub(crate) fn take_due(&mut self, now: Millis) -> Option<QueuedTimer> {
        let key = *self.order.first().filter(|key| key.due <= now)?;
        let index = self.lists.get(&key.name)?.first;
        let id = TimeoutId { index, generation: self.items.get(index as usize)?.generation };
        self.take(id)
    }

    /// Where timers become tasks: takes a timer off its list, to stay armed until it runs.
    pub(crate) fn take(&mut self, id: TimeoutId) -> Option<QueuedTimer> {
        self.item(id)?;
        self.unlink(id.index);
        self.remove_list(ListName::own(id.index));
        self.queued = self.queued.wrapping_add(1);
        let item = &mut self.items[id.index as usize];
        (item.state, item.prev) = (ItemState::Queued, self.queued);
        Some(QueuedTimer { id, number: self.queued })
    }

    /// True if the timer was neither cleared nor set anew since it was taken off its list.
    pub(crate) fn is_queued(&mut self, timer: QueuedTimer) -> bool {
        self.item(timer.id).is_some_and(|item| item.state == ItemState::Queued && item.prev == timer.number)
    }

    /// How deep the callback of a timer is nested.
    pub(crate) fn nesting(&mut self, id: TimeoutId) -> u8 {
        self.item(id).map_or(0, |item| item.nesting)
    }

    /// Before a call of an interval that keeps to its grid: a level deeper, it is set for the first beat that lies ahead of
    /// `now`. `clamp` says what its period becomes at that depth; if it grows, so does the distance to that beat.
    /// Source: Chromium, `TimerBase::RunInternal`, `DOMTimer::Fired`.
    pub(crate) fn rearm_on_grid(
        &mut self,
        id: TimeoutId,
        now: Millis,
        clamp: impl FnOnce(Delay, u8) -> Delay,
    ) {
        let Some(item) = self.item(id) else { return };
        let period = item.delay.millis();
        let late = now.saturating_sub(item.start + period);
        let left = late.checked_rem(period).map_or(0, |since_beat| period - since_beat);
        item.delay = clamp(item.delay, item.nesting);
        item.nesting = item.nesting.saturating_add(1);
        let longer = item.delay.millis() - period;
        let start = (now + left + longer).saturating_sub(item.delay.millis());
        self.restart(id.index, Start::at(start));
    }

    /// Restarts a timer that can be refreshed at `start`, behind the others of its list. A list of its own starts anew.
    pub(crate) fn refresh(&mut self, id: TimeoutId, start: Millis) {
        let Some(item) = self.item(id) else { return };
        if !item.is_armed() {
            item.state = ItemState::Armed;
            self.referenced += usize::from(self.items[id.index as usize].flags.has(Flags::REFERENCED));
        }
        self.restart(id.index, Start::at(start));
    }

    /// Removes a timer, and its list if it was the last. With one loop timer for all, an unreferenced timer leaves its empty
    /// list in place: the next timer of that delay inherits the list's due time (T14).
    pub(crate) fn remove(&mut self, id: TimeoutId) -> Option<T> {
        self.item(id)?;
        self.unlink(id.index);
        let item = &self.items[id.index as usize];
        let (name, leaves_list) =
            (item.name(id.index), !item.flags.has(Flags::REFERENCED) && self.timers == ListTimers::Shared);
        self.referenced -= usize::from(item.counts());
        let value = self.free_item(id.index);
        if !leaves_list {
            self.end_if_empty(name);
        }
        value
    }

    /// True for a timer whose list of its own has a loop timer of its own.
    pub(crate) fn has_own_list(&self, id: TimeoutId) -> bool {
        self.timers == ListTimers::EachList && self.has(id, Flags::OWN)
    }

    /// True for a timer that has run.
    pub(crate) fn was_called(&self, id: TimeoutId) -> bool {
        self.has(id, Flags::CALLED)
    }

    /// True for an interval.
    pub(crate) fn repeats(&self, id: TimeoutId) -> bool {
        self.has(id, Flags::REPEATS)
    }

    /// Gives a timer a list of its own, for good. One that is overdue is due now, behind the others; an interval that is
    /// running comes to its list when it is armed again.
    pub(crate) fn give_own_list(&mut self, id: TimeoutId, now: Millis) {
        let Some(item) = self.item(id) else { return };
        let (name, is_listed) = (ListName::of(item.delay), item.is_listed());
        let start = Start { start: item.start, due: now };
        self.unlink(id.index);
        if self.is_empty(name) {
            self.remove_list(name); // not an end: its loop timer goes to the new list
        }
        self.items[id.index as usize].flags.set(Flags::OWN, true);
        if is_listed {
            self.append(id.index, start);
        }
    }

    /// How many lists have ended since the last time.
    pub(crate) fn take_ended(&mut self) -> usize {
        std::mem::take(&mut self.ended)
    }

    /// Ends the running list if it is empty.
    pub(crate) fn end_running(&mut self, running: Running) {
        self.end_if_empty(running.name);
    }

    /// Lets an armed timer count, or not. False for one that is gone.
    pub(crate) fn set_referenced(&mut self, id: TimeoutId, referenced: bool) -> bool {
        let Some(item) = self.item(id) else { return false };
        let before = item.counts();
        item.flags.set(Flags::REFERENCED, referenced);
        let after = item.counts();
        self.referenced = self.referenced + usize::from(after) - usize::from(before);
        true
    }

    pub(crate) fn is_referenced(&self, id: TimeoutId) -> Option<bool> {
        let item = self.items.get(id.index as usize)?;
        (item.state != ItemState::Free && item.generation == id.generation)
            .then_some(item.flags.has(Flags::REFERENCED))
    }

    /// How many armed timers are referenced.
    pub(crate) fn referenced(&self) -> usize {
        self.referenced
    }

    /// The list that comes first.
    pub(crate) fn first_list(&self) -> Option<(ListKey, Running)> {
        let key = *self.order.first()?;
        let list = self.lists.get(&key.name)?;
        Some((key, Running { name: key.name, id: list.id }))
    }

    /// The first timer of the running list if it is due at `now`; else ends the list or puts it back in order, to be due
    /// when that timer is, but not before `soonest`.
    pub(crate) fn next_in(
        &mut self,
        running: Running,
        now: Millis,
        soonest: impl FnOnce() -> Millis,
    ) -> Next {
        let Some(list) = self.lists.get_mut(&running.name).filter(|list| list.id == running.id) else {
            return Next::Done; // cleared to the end meanwhile
        };
        if list.first == NONE {
            self.end_if_empty(running.name);
            return Next::Done;
        }
        let item = &self.items[list.first as usize];
        if item.delay.is_over(now.saturating_sub(item.start)) {
            return Next::Timer(TimeoutId { index: list.first, generation: item.generation });
        }
        self.order.remove(&list.key);
        self.ages += 1;
        list.key.due = (item.start + item.delay.millis()).max(soonest());
        list.key.age = self.ages;
        self.order.insert(list.key);
        Next::Done
    }

    /// Takes a timer off its list to run it. `None` if it was cleared meanwhile.
    pub(crate) fn begin_run(&mut self, id: TimeoutId) -> Option<T> {
        self.item(id)?.flags.set(Flags::CALLED, true);
        self.unlink(id.index);
        let item = &mut self.items[id.index as usize];
        item.state = ItemState::Armed;
        item.value.take()
    }

    /// The delay of a timer that is still there.
    pub(crate) fn delay(&self, id: TimeoutId) -> Option<Delay> {
        let item = self.items.get(id.index as usize)?;
        (item.state != ItemState::Free && item.generation == id.generation).then_some(item.delay)
    }

    /// Puts the callback of a timer back and, for an interval, arms it again.
    pub(crate) fn end_run(&mut self, id: TimeoutId, value: T, rearm: Option<Start>) -> Option<T> {
        if self.item(id).is_none() {
            return Some(value);
        }
        self.items[id.index as usize].value = Some(value);
        match rearm {
            Some(start) => self.restart(id.index, start),
            None => self.disarm_unless_listed(id),
        }
        None
    }

    /// Forgets a one-shot timer that has run.
    pub(crate) fn forget(&mut self, id: TimeoutId) {
        let Some(item) = self.item(id) else { return };
        let counted = item.counts();
        self.referenced -= usize::from(counted);
        self.unlink(id.index);
        self.free_item(id.index);
    }

    /// Takes all callbacks out, to be dropped by the caller.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let old = std::mem::replace(self, Self::new(self.timers, self.first_generation));
        old.items.into_iter().filter_map(|item| item.value).collect()
    }

    /// A timer that has run and was not refreshed counts no longer.
    fn disarm_unless_listed(&mut self, id: TimeoutId) {
        let item = &mut self.items[id.index as usize];
        if item.state == ItemState::Armed {
            item.state = ItemState::Idle;
            self.referenced -= usize::from(item.flags.has(Flags::REFERENCED));
        }
    }

    fn has(&self, id: TimeoutId, flag: Flags) -> bool {
        let item = self.items.get(id.index as usize);
        item.is_some_and(|item| item.generation == id.generation && item.flags.has(flag))
    }

    fn item(&mut self, id: TimeoutId) -> Option<&mut Item<T>> {
        self.items
            .get_mut(id.index as usize)
            .filter(|item| item.state != ItemState::Free && item.generation == id.generation)
    }

    fn restart(&mut self, index: u32, start: Start) {
        self.unlink(index);
        let item = &self.items[index as usize];
        if item.flags.has(Flags::OWN) {
            self.remove_list(item.name(index)); // not an end: its loop timer starts anew
        }
        self.append(index, start);
    }

    fn append(&mut self, index: u32, Start { start, due }: Start) {
        let item = &self.items[index as usize];
        let (name, delay) = (item.name(index), item.delay);
        let list = self.lists.entry(name).or_insert_with(|| {
            self.ages += 1;
            self.ids += 1;
            let key = ListKey { due: due.max(start + delay.millis()), age: self.ages, name };
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
        (item.prev, item.next, item.start, item.state) = (prev, NONE, start, ItemState::Listed);
    }

    fn unlink(&mut self, index: u32) {
        let item = &mut self.items[index as usize];
        if !item.is_listed() {
            return;
        }
        item.state = ItemState::Armed;
        let (prev, next, name) = (item.prev, item.next, item.name(index));
        if prev != NONE {
            self.items[prev as usize].next = next;
        }
        if next != NONE {
            self.items[next as usize].prev = prev;
        }
        if prev == NONE || next == NONE {
            let list = self.lists.get_mut(&name).expect("a listed timer is on a list");
            if prev == NONE {
                list.first = next;
            }
            if next == NONE {
                list.last = prev;
            }
        }
    }

    fn is_empty(&self, name: ListName) -> bool {
        self.lists.get(&name).is_some_and(|list| list.first == NONE)
    }

    fn end_if_empty(&mut self, name: ListName) {
        if self.is_empty(name) {
            self.remove_list(name);
            self.ended += 1;
        }
    }

    fn remove_list(&mut self, name: ListName) {
        if let Some(list) = self.lists.remove(&name) {
            self.order.remove(&list.key);
        }
    }

    fn allocate(&mut self) -> u32 {
        if self.free == NONE {
            let index = u32::try_from(self.items.len()).expect("fewer than 2^32 timers in one loop");
            self.items.push(Item {
                generation: self.first_generation,
                next: NONE,
                prev: NONE,
                delay: Delay::from_millis(0),
                start: 0,
                nesting: 0,
                state: ItemState::Idle,
                flags: Flags::NONE,
                value: None,
            });
            return index;
        }
        let index = self.free;
        let item = &mut self.items[index as usize];
        self.free = item.next;
        item.state = ItemState::Idle;
        index
    }

    fn free_item(&mut self, index: u32) -> Option<T> {
        let item = &mut self.items[index as usize];
        item.state = ItemState::Free;
        item.generation = item.generation.wrapping_add(1);
        item.next = self.free;
        self.free = index;
        item.value.take()
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, TimerLists};
    use crate::schedule::ListTimers;
    use crate::time::delay::Delay;

    /// Runs every due timer at `now`, list by list, as the timers phase does.
    fn run(lists: &mut TimerLists<&'static str>, now: u64) -> Vec<&'static str> {
        let mut ran = Vec::new();
        while let Some((key, running)) = lists.first_list() {
            if key.due > now {
                break;
            }
            while let Next::Timer(id) = lists.next_in(running, now, || now + 1) {
                ran.extend(lists.begin_run(id));
                lists.forget(id);
            }
        }
        ran
    }

    #[test]
    fn a_whole_list_runs_before_an_earlier_timer_of_another() {
        let mut lists = TimerLists::new(ListTimers::Shared, 0);
        lists.insert(Delay::from_millis(10), 0, false, 0, "a");
        lists.insert(Delay::from_millis(12), 1, false, 0, "b");
        lists.insert(Delay::from_millis(10), 5, false, 0, "c");
        assert_eq!(run(&mut lists, 40), ["a", "c", "b"]);
        assert_eq!(lists.referenced(), 0);
    }

    #[test]
    fn refresh_moves_the_timer_but_not_its_list() {
        let mut lists = TimerLists::new(ListTimers::Shared, 0);
        let a = lists.insert(Delay::from_millis(10), 0, false, 0, "a");
        lists.insert(Delay::from_millis(11), 0, false, 0, "b");
        assert!(lists.can_refresh(a));
        lists.refresh(a, 5);
        assert_eq!(run(&mut lists, 30), ["a", "b"], "the list kept its due time of 10");
    }

    #[test]
    fn clearing_an_unreferenced_timer_leaves_its_list() {
        let mut lists = TimerLists::new(ListTimers::Shared, 0);
        let a = lists.insert(Delay::from_millis(10), 0, false, 0, "a");
        lists.set_referenced(a, false);
        assert_eq!(lists.remove(a), Some("a"));
        lists.insert(Delay::from_millis(12), 0, false, 0, "b");
        lists.insert(Delay::from_millis(10), 8, false, 0, "c");
        assert_eq!(run(&mut lists, 30), ["c", "b"], "c inherited the due time of 10");
        assert_eq!(lists.remove(a), None);
    }
}
