//! Code of the loop's owner that is called when something happens to the loop as a whole.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::LoopHandle;
use super::call::Uncaught;
use crate::warning::Warning;

/// Takes a panic that nobody caught.
pub(crate) type UncaughtHook = Rc<dyn Fn(&LoopHandle, Uncaught)>;

/// Is told that something happened to the loop.
pub(crate) type LoopHook = Rc<dyn Fn(&LoopHandle)>;

/// Is told the exit code.
pub(crate) type ExitHook = Rc<dyn Fn(&LoopHandle, i32)>;

/// Is told a warning.
pub(crate) type WarningHook = Rc<dyn Fn(&LoopHandle, Warning)>;

/// The hooks of one loop.
pub(crate) struct Hooks {
    pub(crate) uncaught: RefCell<Option<UncaughtHook>>,
    pub(crate) task_failure: RefCell<Option<UncaughtHook>>,
    pub(crate) drained: RefCell<Option<LoopHook>>,
    /// `drained` is to be told at the next opportunity, whether or not anything is queued.
    pub(crate) drain_requested: Cell<bool>,
    pub(crate) before_exit: RefCell<Option<LoopHook>>,
    pub(crate) exit: RefCell<Option<ExitHook>>,
    pub(crate) warning: RefCell<Option<WarningHook>>,
    /// Warnings that are given once in the life of a loop.
    pub(crate) warned_of_negative: Cell<bool>,
    pub(crate) warned_of_nan: Cell<bool>,
    /// Tasks that panicked while nobody held their join handle.
    pub(crate) task_failures: Cell<u64>,
}

impl Hooks {
    pub(crate) fn new() -> Self {
        Self {
            uncaught: RefCell::new(None),
            task_failure: RefCell::new(None),
            drained: RefCell::new(None),
            drain_requested: Cell::new(false),
            before_exit: RefCell::new(None),
            exit: RefCell::new(None),
            warning: RefCell::new(None),
            warned_of_negative: Cell::new(false),
            warned_of_nan: Cell::new(false),
            task_failures: Cell::new(0),
        }
    }
}
