//! First in, first out, with a batch that can be bounded: what every phase and both queues of user code wait in.

use std::cell::RefCell;
use std::collections::VecDeque;

/// A queue that may be pushed to while one of its items runs.
pub(crate) struct Queue<T> {
    items: RefCell<VecDeque<T>>,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { items: RefCell::new(VecDeque::new()) }
    }

    #[inline]
    pub(crate) fn push(&self, item: T) {
        self.items.borrow_mut().push_back(item);
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        self.items.borrow_mut().pop_front()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.items.borrow().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.borrow().len()
    }

    pub(crate) fn extend(&self, items: impl IntoIterator<Item = T>) {
        self.items.borrow_mut().extend(items);
    }

    /// Has `f` append items. Nothing is borrowed but this queue.
    pub(crate) fn fill<R>(&self, f: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        f(&mut self.items.borrow_mut())
    }

    /// Takes all items out, to be dropped by the caller while nothing is borrowed.
    pub(crate) fn take_all(&self) -> VecDeque<T> {
        self.items.take()
    }
}
