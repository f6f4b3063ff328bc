//! Sending to a Unix socket whose queue is full, where the system does not tell when there is room again.
//!
//! An event says that the sender's own buffer has room. A socket that is connected hears of its peer's queue too; one that names
//! the peer with each datagram does not, and finds its own failed attempt reported as room. So it tries again by the clock: each
//! task for itself, so that a peer that is full holds up no other, and the queue as a whole, which keeps its order.

use std::future::poll_fn;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use super::{Core, sys};
use crate::driver::Readiness;
use crate::net::sys::RawAddr;
use crate::state::handles::HandleKind;

/// How long until a peer that was full is tried again.
const RETRY: Duration = Duration::from_millis(10);

impl Core {
    /// Sends a datagram once the system takes it.
    pub(super) async fn send(self: &Rc<Self>, bytes: &[u8], to: Option<&RawAddr>) -> io::Result<usize> {
        loop {
            match poll_fn(|cx| self.poll_send(cx, bytes, to)).await? {
                Some(len) => return Ok(len),
                None => self.base.lp.sleep(RETRY).await,
            }
        }
    }

    /// True if a send was refused for the peer's sake, so that no event will tell when it would not be.
    pub(super) fn is_peer_full<R>(&self, fd: BorrowedFd<'_>, sent: &io::Result<R>) -> bool {
        let blocked = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        blocked && self.base.kind() == Some(HandleKind::UnixDatagram) && sys::is_writable(fd)
    }

    /// True while the queue waits to try again.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.get() && !self.base.is_gone()
    }

    /// Has the queue wait, and then try again.
    #[cold]
    pub(super) fn stall(self: &Rc<Self>) {
        if self.stalled.replace(true) {
            return;
        }
        let weak = Rc::downgrade(self);
        let timer = self.base.lp.timer(RETRY, move |_| {
            if let Some(core) = weak.upgrade() {
                core.stalled.set(false);
                core.announce_room();
            }
        });
        self.base.lp.unref_timer(timer); // what is queued keeps the loop alive
    }

    /// Tells who waits of room that no event reports.
    fn announce_room(&self) {
        self.base.lp.state.sources.mark(self.base.token, Readiness::WRITABLE);
        self.base.wake_all();
        self.base.run_again();
    }
}
