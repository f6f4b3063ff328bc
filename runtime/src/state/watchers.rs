//! The started handles of one kind: idle, prepare or check.

use std::cell::{Cell, RefCell};

use super::handles::HandleKey;

/// A start of a watcher. A watcher that was stopped or started anew has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) key: HandleKey,
    pub(crate) number: u64,
}

/// Started watchers in the order of their starts, and the batch that the running phase took.
pub(crate) struct WatcherList {
    /// May hold starts that are over; they are told by their number, and leave when a phase begins.
    started: RefCell<Vec<Started>>,
    batch: RefCell<Vec<Started>>,
    starts: Cell<u64>,
    active: Cell<usize>,
}

impl WatcherList {
    pub(crate) const fn new() -> Self {
        Self {
            started: RefCell::new(Vec::new()),
            batch: RefCell::new(Vec::new()),
            starts: Cell::new(0),
            active: Cell::new(0),
        }
    }

    /// How many watchers are started.
    pub(crate) fn active(&self) -> usize {
        self.active.get()
    }

    /// Adds a watcher; the number is to be kept with it.
    pub(crate) fn start(&self, key: HandleKey) -> u64 {
        self.active.set(self.active.get() + 1);
        self.starts.set(self.starts.get() + 1);
        let number = self.starts.get();
        self.started.borrow_mut().push(Started { key, number });
        number
    }

    /// Counts one watcher less. Its entry stays until the next `begin`, which does not come while none is started.
    pub(crate) fn stop(&self) {
        self.active.set(self.active.get() - 1);
        if self.active.get() == 0 {
            self.started.borrow_mut().clear();
        }
    }

    /// Takes aside what is started now. `is_current` tells the starts that still hold.
    pub(crate) fn begin(&self, is_current: impl Fn(Started) -> bool) {
        let mut started = self.started.borrow_mut();
        let mut batch = self.batch.borrow_mut();
        started.retain(|start| is_current(*start));
        batch.clear();
        batch.extend_from_slice(&started);
    }

    /// The next of the batch: last started first. Source: libuv, `uv__run_check` and its siblings.
    pub(crate) fn next(&self) -> Option<Started> {
        self.batch.borrow_mut().pop()
    }
}

#[cfg(test)]
mod tests {
    use super::WatcherList;
    use crate::state::handles::HandleKey;

    #[test]
    fn starts_that_are_over_are_not_kept_while_no_watcher_is_started() {
        let list = WatcherList::new();
        for _ in 0..100 {
            list.start(HandleKey::NEVER_USED);
            list.stop();
        }
        assert!(list.started.borrow().is_empty());
    }
}
