//! Immediates: those that wait, and those that the running check phase took.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::Callback;

/// An immediate of one loop, by the number of its setting. It is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImmediateId(u64);

struct Item {
    /// `None` once it ran or was cleared.
    callback: Option<Callback>,
    referenced: bool,
}

/// Immediates with consecutive numbers, so that one is found by subtraction.
#[derive(Default)]
struct Line {
    first: u64,
    items: VecDeque<Item>,
}

impl Line {
    fn find(&mut self, id: ImmediateId) -> Option<&mut Item> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        self.items.get_mut(index).filter(|item| item.callback.is_some())
    }

    fn pop(&mut self) -> Option<Item> {
        self.first += 1;
        self.items.pop_front()
    }
}

/// The queue of the check phase.
pub(crate) struct Immediates {
    queue: RefCell<Line>,
    batch: RefCell<Line>,
    referenced: Cell<usize>,
}

impl Immediates {
    /// Numbers begin with `first`: loops that begin far from each other do not take each other's.
    pub(crate) fn new(first: u64) -> Self {
        let line = || RefCell::new(Line { first, items: VecDeque::new() });
        Self { queue: line(), batch: line(), referenced: Cell::new(0) }
    }

    #[inline]
    pub(crate) fn push(&self, callback: Callback) -> ImmediateId {
        self.referenced.set(self.referenced.get() + 1);
        let mut queue = self.queue.borrow_mut();
        queue.items.push_back(Item { callback: Some(callback), referenced: true });
        ImmediateId(queue.first + queue.items.len() as u64 - 1)
    }

    /// Takes the callback away, for the caller to drop.
    pub(crate) fn clear(&self, id: ImmediateId) -> Option<Callback> {
        self.with(id, |item| {
            self.count(item.referenced, false);
            item.callback.take()
        })?
    }

    /// True if the immediate is still to run.
    pub(crate) fn set_referenced(&self, id: ImmediateId, referenced: bool) -> bool {
        self.with(id, |item| {
            self.count(item.referenced, referenced);
            item.referenced = referenced;
        })
        .is_some()
    }

    pub(crate) fn is_referenced(&self, id: ImmediateId) -> bool {
        self.with(id, |item| item.referenced).unwrap_or(false)
    }

    /// How many of those that wait keep the loop alive.
    pub(crate) fn referenced(&self) -> usize {
        self.referenced.get()
    }

    /// True if a phase that a panic ended left some of its batch.
    pub(crate) fn has_batch(&self) -> bool {
        !self.batch.borrow().items.is_empty()
    }

    /// True if the check phase has anything to run.
    pub(crate) fn is_due(&self) -> bool {
        !self.queue.borrow().items.is_empty() || self.has_batch()
    }

    /// Takes the whole queue aside, unless a batch is left from before.
    pub(crate) fn begin(&self) {
        let mut batch = self.batch.borrow_mut();
        if !batch.items.is_empty() {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        std::mem::swap(&mut *batch, &mut *queue);
        queue.first = batch.first + batch.items.len() as u64;
    }

    /// The next of the batch that was not cleared.
    #[inline]
    pub(crate) fn next(&self) -> Option<Callback> {
        let mut batch = self.batch.borrow_mut();
        loop {
            let item = batch.pop()?;
            if let Some(callback) = item.callback {
                self.count(item.referenced, false);
                return Some(callback);
            }
        }
    }

    /// True if the batch holds an immediate that was not cleared.
    pub(crate) fn has_next(&self) -> bool {
        let mut batch = self.batch.borrow_mut();
        while batch.items.front().is_some_and(|item| item.callback.is_none()) {
            batch.pop();
        }
        !batch.items.is_empty()
    }

    /// Takes all callbacks out, for the caller to drop.
    pub(crate) fn take_all(&self) -> Vec<Callback> {
        self.referenced.set(0);
        let lines = [self.batch.take(), self.queue.take()];
        lines.into_iter().flat_map(|line| line.items).filter_map(|item| item.callback).collect()
    }

    fn with<R>(&self, id: ImmediateId, f: impl FnOnce(&mut Item) -> R) -> Option<R> {
        let (mut batch, mut queue) = (self.batch.borrow_mut(), self.queue.borrow_mut());
        batch.find(id).or_else(|| queue.find(id)).map(f)
    }

    fn count(&self, before: bool, after: bool) {
        let referenced = self.referenced.get() + usize::from(after) - usize::from(before);
        self.referenced.set(referenced);
    }
}
