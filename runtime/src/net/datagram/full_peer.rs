//! Sending to a Unix socket whose queue is full, where the system does not tell when there is room again.
//!
//! An event says that the sender's own buffer has room. A socket that is connected hears of its peer's queue too; one that names
//! the peer with each datagram does not, and finds its own failed attempt reported as room. So it tries again by the clock.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use super::{Core, sys};
use crate::driver::Readiness;
use crate::state::handles::HandleKind;

/// How long a socket does not send after its peer was full.
const RETRY: Duration = Duration::from_millis(10);

impl Core {
    /// True while nothing is sent since a peer was full.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.get() && !self.base.is_gone()
    }

    /// Looks at a send that would block: whether an event will tell when it would not.
    pub(super) fn look_at_send<R>(self: &Rc<Self>, fd: BorrowedFd<'_>, sent: &io::Result<R>) {
        let blocked = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        let is_unix = || self.base.kind() == Some(HandleKind::UnixDatagram);
        if blocked && !self.stalled.get() && is_unix() && sys::is_writable(fd) {
            self.stall();
        }
    }

    #[cold]
    fn stall(self: &Rc<Self>) {
        self.stalled.set(true);
        let weak = Rc::downgrade(self);
        let timer = self.base.lp.timer(RETRY, move |_| {
            if let Some(core) = weak.upgrade() {
                core.stalled.set(false);
                core.announce(Readiness::WRITABLE);
            }
        });
        self.base.lp.unref_timer(timer); // who waits to send keeps the loop alive, if anybody
    }

    /// Tells who waits of readiness that no event reports.
    pub(super) fn announce(&self, readiness: Readiness) {
        self.base.lp.state.sources.mark(self.base.token, readiness);
        self.base.wake_all();
        self.base.run_again();
    }
}
