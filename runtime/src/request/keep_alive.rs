//! Keeping a loop alive from another thread.

use std::fmt;
use std::sync::Arc;

use crate::state::LoopHandle;
use crate::state::inbox::{Inbox, Message};

/// As a [`Request`](super::Request), but it can be sent to another thread and dropped there: for a thread that will come
/// back through [`Remote`](crate::Remote) and wants to find the loop running.
///
/// # Ordering
/// The loop learns of the drop in the poll phase, behind what the same thread posted before.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, Outcome, RunMode};
/// let lp = EventLoop::new()?;
/// let (remote, alive) = (lp.remote(), lp.keep_alive());
/// let thread = std::thread::spawn(move || {
///     let posted = remote.post(|_| println!("the loop was there"));
///     drop(alive);
///     posted.is_ok()
/// });
/// assert_eq!(lp.run(RunMode::Default)?, Outcome::Finished);
/// assert!(thread.join().expect("it does not panic"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping it lets the loop end"]
pub struct KeepAlive {
    inbox: Arc<Inbox>,
}

impl LoopHandle {
    /// Keeps the loop alive until what this gives is dropped, on any thread. Counted as a request.
    pub fn keep_alive(&self) -> KeepAlive {
        self.hold_request();
        KeepAlive { inbox: Arc::clone(&self.state.inbox) }
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        // A loop that is gone needs not be told.
        let _ = self.inbox.send(Message::Release);
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeepAlive")
    }
}
