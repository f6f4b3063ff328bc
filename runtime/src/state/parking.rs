//! A loop that sleeps in a host: what the host's code does to the loop meanwhile.

use std::cell::Cell;
use std::rc::Rc;

use super::LoopHandle;
use crate::parker::Parker;

/// Whether the loop is parked, and what it knows of its descriptor.
#[derive(Default)]
pub(crate) struct Parking {
    /// Set while the host runs, and nothing has been given to the loop since.
    parked: Cell<bool>,
    /// The last look at the driver did not see the end of what is ready: the host will not be told of it again.
    pub(crate) driver_has_more: Cell<bool>,
}

impl LoopHandle {
    /// Where the loop sleeps, if not in the driver.
    pub(crate) fn parker(&self) -> Option<Rc<dyn Parker>> {
        self.state.parker.borrow().clone()
    }

    pub(crate) fn has_parker(&self) -> bool {
        self.state.parker.borrow().is_some()
    }

    /// Runs `f` within the context that the host's libraries look for.
    pub(crate) fn within_host<R>(&self, f: impl FnOnce() -> R) -> R {
        let Some(parker) = self.parker() else { return f() };
        let (mut f, mut result) = (Some(f), None);
        parker.around(&mut || {
            if let Some(f) = f.take() {
                result = Some(f());
            }
        });
        result.expect("a parker calls what it is given: see `Parker::around`")
    }

    /// Tells the host if it is what runs: its code just gave the loop something to do, or is about to. A loop with a parker
    /// ends its sleep; one that the host drives rings as for another thread, or the host would wait for an event in vain.
    #[inline]
    pub(crate) fn unpark(&self) {
        if self.state.parking.parked.get() {
            self.end_park();
        }
    }

    #[cold]
    fn end_park(&self) {
        self.host_runs(false);
        match self.parker().filter(|_| self.is_running()) {
            Some(parker) => parker.unpark(),
            None if self.is_closed() => {}
            None => self.state.inbox.ring(),
        }
    }

    /// Notes whether the host runs, and not the loop.
    pub(crate) fn host_runs(&self, runs: bool) {
        self.state.parking.parked.set(runs);
    }

    /// Marks the loop as parked until this is dropped.
    pub(crate) fn begin_park(&self) -> Parked<'_> {
        self.state.parking.parked.set(true);
        Parked(&self.state.parking)
    }
}

/// The host runs.
pub(crate) struct Parked<'a>(&'a Parking);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.parked.set(false);
    }
}
