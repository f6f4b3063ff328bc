//! Code of the loop's owner that is called when something happens to the loop as a whole.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::LoopHandle;
use super::call::Uncaught;

/// Takes a panic that nobody caught.
pub(crate) type UncaughtHook = Rc<dyn Fn(&LoopHandle, Uncaught)>;

/// The hooks of one loop.
pub(crate) struct Hooks {
    pub(crate) uncaught: RefCell<Option<UncaughtHook>>,
    pub(crate) task_failure: RefCell<Option<UncaughtHook>>,
    /// Tasks that panicked while nobody held their join handle.
    pub(crate) task_failures: Cell<u64>,
}

impl Hooks {
    pub(crate) fn new() -> Self {
        Self { uncaught: RefCell::new(None), task_failure: RefCell::new(None), task_failures: Cell::new(0) }
    }
}
