//! A log that callbacks share: order is tested as a trace.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Lines in the order in which callbacks ran. Clones are the same log.
///
/// A callback that is kept must own a trace and not the `TestLoop`, which owns the callback.
#[derive(Clone, Default)]
pub(crate) struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    pub(crate) fn log(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// A callback that logs a line and does nothing else.
    pub(crate) fn logs<A: ?Sized>(&self, line: &'static str) -> impl FnMut(&A) + 'static {
        let trace = self.clone();
        move |_| trace.log(line)
    }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
