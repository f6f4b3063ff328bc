//! The loop that is running on this thread.

use std::cell::RefCell;
use std::rc::Rc;

use super::LoopHandle;

thread_local!(static CURRENT: RefCell<Vec<LoopHandle>> = const { RefCell::new(Vec::new()) });

/// Makes a loop the running one until this is dropped.
pub(crate) struct Entered(());

impl Entered {
    pub(crate) fn new(lp: &LoopHandle) -> Self {
        CURRENT.with_borrow_mut(|loops| loops.push(lp.clone()));
        Self(())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = CURRENT.with_borrow_mut(Vec::pop);
        // Dropped here, outside the borrow: it may be the last handle.
        drop(left);
    }
}

impl LoopHandle {
    /// True for the loop that runs on this thread, the inner one.
    pub(crate) fn is_current(&self) -> bool {
        let is_last = |loops: &RefCell<Vec<Self>>| {
            loops.borrow().last().is_some_and(|lp| Rc::ptr_eq(&lp.state, &self.state))
        };
        CURRENT.try_with(is_last).unwrap_or(false)
    }
}

/// The loop that runs on this thread, or `None` outside of `run`.
///
/// Where a loop runs another one in one of its callbacks, this is the inner one.
pub fn try_current() -> Option<LoopHandle> {
    let current = CURRENT.try_with(|loops| loops.borrow().last().cloned()).ok().flatten();
    current.inspect(LoopHandle::unpark) // a host's code that asks for the loop is going to give it something
}

/// The loop that runs on this thread.
///
/// # Panics
/// Outside of `run`, `run_until` and `block_on`.
///
/// # Examples
/// ```
/// let lp = phaseloop::EventLoop::new()?;
/// lp.block_on(async {
///     phaseloop::current().next_tick(|_| println!("after this microtask"));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn current() -> LoopHandle {
    match try_current() {
        Some(lp) => lp,
        None => panic!(
            "no loop runs on this thread: call this from a callback or a task, or pass the loop's handle"
        ),
    }
}
