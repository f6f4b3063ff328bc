//! The data of timers: one list for each duration, and one loop timer for all lists (or one for each, in
//! node10).

use super::machine::Action;
use super::rules::Rules;
use std::collections::VecDeque;

/// The number of a timer.
pub(super) type TimerId = usize;

/// All timers and their lists.
#[derive(Default)]
pub(super) struct Timers {
    pub(super) all: Vec<Timer>,
    lists: Vec<List>,
    /// When the loop timer is due; with a loop timer for each list this stays empty.
    pub(super) loop_timer: Option<f64>,
    /// The due time that the loop timer was last set for; a list that is due earlier sets it again.
    next_due: Option<f64>,
    ages: u64,
}

/// A timeout or interval, also after it has fired or was cleared.
pub(super) struct Timer {
    pub(super) action: Action,
    pub(super) duration: f64,
    pub(super) start: f64,
    pub(super) is_referenced: bool,
    pub(super) was_cleared: bool,
    pub(super) was_called: bool,
    /// The list it stands in, or stood in last.
    pub(super) key: Key,
    pub(super) is_listed: bool,
    /// In a page: how deep its callback is nested.
    pub(super) nesting: u32,
    /// Only intervals have it.
    pub(super) repeat: Option<Repeat>,
}

/// How often an interval has been called, and after how many calls it clears itself.
#[derive(Clone, Copy)]
pub(super) struct Repeat {
    pub(super) times: u32,
    pub(super) calls: u32,
}

/// Which list a timer belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Key {
    Duration(f64),
    /// A list of its own.
    Own(TimerId),
}

struct List {
    key: Key,
    due: f64,
    /// Among lists that are due at the same time the one with the lowest age comes first.
    age: u64,
    /// Its first age: tells it from a later list of the same key.
    born: u64,
    timers: VecDeque<TimerId>,
}

impl Timers {
    pub(super) fn any_referenced(&self, rules: &Rules) -> bool {
        let counts = |timer: &Timer| timer.is_referenced || !rules.unreferenced_timers_let_the_loop_end;
        self.all.iter().any(|timer| timer.is_listed && counts(timer))
    }

    /// Until when the poll phase may sleep.
    pub(super) fn loop_due(&self) -> Option<f64> {
        let first = self.lists.iter().map(|list| list.due).reduce(f64::min);
        self.loop_timer.or(first)
    }

    /// Puts a timer at the end of its list, and makes the list if there is none.
    pub(super) fn append(&mut self, id: TimerId, start: f64, cached: f64, rules: &Rules) {
        self.take_out(id, rules);
        let timer = &mut self.all[id];
        timer.start = start;
        timer.is_listed = true;
        let begins = if rules.one_loop_timer { start } else { start.max(cached) };
        let (key, due) = (timer.key, begins + timer.duration);
        match self.lists.iter_mut().find(|list| list.key == key) {
            Some(list) => list.timers.push_back(id),
            None => self.add_list(key, due, id, cached, rules),
        }
        self.keep_due_time(key, rules);
    }

    fn add_list(&mut self, key: Key, due: f64, id: TimerId, cached: f64, rules: &Rules) {
        self.ages += 1;
        self.lists.push(List { key, due, age: self.ages, born: self.ages, timers: VecDeque::from([id]) });
        if rules.one_loop_timer && self.next_due.is_none_or(|next| due < next) {
            self.next_due = Some(due);
            self.loop_timer = Some(cached + self.all[id].duration);
        }
    }

    /// Takes a timer out of its list. The list stays, even if it is empty.
    pub(super) fn take_out(&mut self, id: TimerId, rules: &Rules) {
        let timer = &mut self.all[id];
        timer.is_listed = false;
        let key = timer.key;
        if let Some(list) = self.lists.iter_mut().find(|list| list.key == key) {
            list.timers.retain(|&other| other != id);
        }
        self.keep_due_time(key, rules);
    }

    /// Removes a list if it is empty, and tells whether it was.
    pub(super) fn drop_if_empty(&mut self, key: Key) -> bool {
        let before = self.lists.len();
        self.lists.retain(|list| list.key != key || !list.timers.is_empty());
        self.lists.len() < before
    }

    /// The list whose turn it is, with its due time.
    pub(super) fn next_list(&self, rules: &Rules) -> Option<(Key, f64)> {
        let by_due = |a: &&List, b: &&List| a.due.total_cmp(&b.due).then(a.age.cmp(&b.age));
        let by_age = |a: &&List, b: &&List| a.age.cmp(&b.age);
        let list = if rules.lists_run_by_due_time {
            self.lists.iter().min_by(by_due)
        } else {
            self.lists.iter().min_by(by_age)
        };
        list.map(|list| (list.key, list.due))
    }

    /// When the list of that key was made.
    pub(super) fn born(&self, key: Key) -> Option<u64> {
        self.lists.iter().find(|list| list.key == key).map(|list| list.born)
    }

    /// The first timer of the list of that key, if it is still the one made then.
    pub(super) fn first_of(&self, key: Key, born: Option<u64>) -> Option<TimerId> {
        let list = self.lists.iter().find(|list| list.key == key && Some(list.born) == born)?;
        list.timers.front().copied()
    }

    /// Sets the due time of a list and puts it behind those that are due at the same time.
    pub(super) fn postpone(&mut self, key: Key, due: f64) {
        self.ages += 1;
        if let Some(list) = self.lists.iter_mut().find(|list| list.key == key) {
            list.due = due;
            list.age = self.ages;
        }
    }

    /// Forgets what the loop timer was set for: while the timers phase runs, each new list sets it.
    pub(super) fn begin_phase(&mut self) {
        self.next_due = None;
    }

    /// Sets the loop timer to the list that is due first, at least 1 ms ahead.
    pub(super) fn end_phase(&mut self, cached: f64) {
        self.next_due = self.lists.iter().map(|list| list.due).reduce(f64::min);
        if let Some(due) = self.next_due {
            self.loop_timer = Some(due.max(cached + 1.0));
        }
    }

    /// Breaks T7, if it is to be broken: the due time of the list follows its first timer.
    fn keep_due_time(&mut self, key: Key, rules: &Rules) {
        if !rules.lists_keep_their_due_time
            && let Some(list) = self.lists.iter_mut().find(|list| list.key == key)
            && let Some(&first) = list.timers.front()
        {
            list.due = self.all[first].start + self.all[first].duration;
        }
    }
}
