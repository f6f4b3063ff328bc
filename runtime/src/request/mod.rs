//! What a pool needs of a loop: to keep it alive while a job is out, and to come back in the poll phase.

mod delivery;
mod keep_alive;
mod port;
mod pull;

use std::fmt;

pub use keep_alive::KeepAlive;
pub use port::{Port, PortSender};
pub use pull::{PortBell, PullPort};

use crate::state::LoopHandle;

/// Keeps the loop alive until it is dropped: for an operation that something outside the loop works on.
#[must_use = "dropping the request lets the loop end"]
pub struct Request {
    lp: LoopHandle,
    referenced: bool,
}

impl LoopHandle {
    /// Notes that an operation is under way whose result another thread will deliver.
    pub fn begin_request(&self) -> Request {
        self.hold_request();
        Request { lp: self.clone(), referenced: true }
    }

    pub(crate) fn hold_request(&self) {
        self.state.alive.hold();
        self.state.requests.set(self.state.requests.get() + 1);
    }

    pub(crate) fn release_request(&self) {
        self.state.alive.release();
        self.state.requests.set(self.state.requests.get() - 1);
    }

    /// How many requests are under way.
    pub fn request_count(&self) -> usize {
        self.state.requests.get()
    }
}

impl Request {
    /// Lets the request keep the loop alive, as it does by default.
    pub fn ref_(&mut self) {
        self.set_referenced(true);
    }

    /// Lets the loop end while the request is under way.
    pub fn unref(&mut self) {
        self.set_referenced(false);
    }

    fn set_referenced(&mut self, referenced: bool) {
        if self.referenced == referenced {
            return;
        }
        let state = &self.lp.state;
        state.alive.change(self.referenced, referenced);
        let unreferenced =
            state.requests_unreferenced.get() + usize::from(self.referenced) - usize::from(referenced);
        state.requests_unreferenced.set(unreferenced);
        self.referenced = referenced;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.set_referenced(true);
        self.lp.release_request();
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("referenced", &self.referenced).finish()
    }
}
