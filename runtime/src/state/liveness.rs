//! Liveness is counting: the loop is alive while the count is not zero.

use std::cell::Cell;

/// Counts what keeps a loop alive: active and referenced handles, pending requests, closing handles, referenced tasks.
pub(crate) struct Liveness(Cell<usize>);

impl Liveness {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(0))
    }

    pub(crate) fn hold(&self) {
        self.0.set(self.0.get() + 1);
    }

    pub(crate) fn release(&self) {
        debug_assert!(self.0.get() > 0, "something was released that did not hold the loop");
        self.0.set(self.0.get() - 1);
    }

    /// Follows a change of one holder from `before` to `after`.
    pub(crate) fn change(&self, before: bool, after: bool) {
        match (before, after) {
            (false, true) => self.hold(),
            (true, false) => self.release(),
            _ => {}
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.get()
    }
}

/// What is known of anything a user can close: shared by handles and sources.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    pub(crate) active: bool,
    pub(crate) referenced: bool,
    pub(crate) closing: bool,
}

impl Flags {
    /// Not started, but it will count once it is.
    pub(crate) const fn new() -> Self {
        Self { active: false, referenced: true, closing: false }
    }

    fn holds(self) -> bool {
        self.closing || (self.active && self.referenced)
    }

    /// Applies `change` and counts the difference.
    pub(crate) fn update(&mut self, alive: &Liveness, change: impl FnOnce(&mut Self)) {
        let before = self.holds();
        change(self);
        alive.change(before, self.holds());
    }
}
