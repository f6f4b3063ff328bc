//! Sending without waiting, and the queue of what the system did not take at once.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::{Core, sys};
use crate::driver::Readiness;
use crate::net::refused::WriteRefused;
use crate::net::sys as net_sys;
use crate::net::sys::RawAddr;
use crate::state::sources::gone;

pub(super) type OnSent = Box<dyn FnOnce(&Rc<Core>, io::Result<()>)>;

/// What waits to be sent.
#[derive(Default)]
pub(super) struct Sends {
    queue: VecDeque<QueuedSend>,
    /// Bytes in the queue.
    len: usize,
}

struct QueuedSend {
    bytes: Vec<u8>,
    to: Option<RawAddr>,
    on_sent: Option<OnSent>,
}

impl Core {
    /// Datagrams and bytes that wait to be sent.
    pub(super) fn queued(&self) -> (usize, usize) {
        self.sends.borrow().as_ref().map_or((0, 0), |sends| (sends.queue.len(), sends.len))
    }

    pub(super) fn has_queued(&self) -> bool {
        self.queued().0 > 0
    }

    /// Sends by `send` now, unless others wait to be sent first.
    pub(super) fn try_send_by<R>(&self, send: impl FnMut(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        if self.base.is_gone() {
            return Err(gone());
        }
        if self.has_queued() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let sent = self.base.with(|fd| self.send_told(fd, send));
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.base.clear_ready(Readiness::ANY_WRITE);
        }
        sent
    }

    /// Sends a datagram now, or queues a copy of it. What becomes of it is told in *pending*, an error of the first try too.
    pub(super) fn enqueue(
        self: &Rc<Self>,
        bytes: &[u8],
        to: Option<RawAddr>,
        on_sent: Option<OnSent>,
    ) -> io::Result<()> {
        if self.base.is_gone() {
            return Err(gone());
        }
        let limits = &self.base.lp.state.limits;
        let (count, queued) = self.queued();
        let limit = limits.write_queue_len_max;
        if queued.saturating_add(bytes.len()) > limit {
            return Err(WriteRefused { len: bytes.len(), queued, limit }.into());
        }
        if count >= limits.datagram_queue_len_max {
            let problem = format!("{count} datagrams are queued, which is the limit");
            return Err(io::Error::new(io::ErrorKind::WouldBlock, problem));
        }
        match self.try_send_by(|fd| sys::send_one(fd, bytes, to.as_ref())) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                self.queue(QueuedSend { bytes: bytes.to_vec(), to, on_sent });
            }
            sent => self.settle(on_sent, sent.map(drop)),
        }
        Ok(())
    }

    #[inline(never)] // nearly every datagram is sent at once
    fn queue(self: &Rc<Self>, send: QueuedSend) {
        self.base.lp.state.alive.hold();
        let mut sends = self.sends.borrow_mut();
        let sends_now = sends.get_or_insert_default();
        sends_now.len += send.bytes.len();
        sends_now.queue.push_back(send);
        drop(sends);
        self.follow();
        // Interrupted, and not refused: no event would come.
        if self.base.has_ready(Readiness::ANY_WRITE) {
            self.base.run_again();
        }
    }

    /// Sends what is queued, as far as the system takes it.
    pub(super) fn flush(self: &Rc<Self>) {
        while self.has_queued() && !self.base.is_closed() {
            match self.send_first() {
                Ok(count) => (0..count).for_each(|_| self.pop(Ok(()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.base.clear_ready(Readiness::ANY_WRITE);
                    break;
                }
                // It is about the first: the rest is tried without it. Source: PROMISES, sendmmsg_error.
                Err(error) => self.pop(Err(error)),
            }
        }
        if !self.has_queued() {
            self.base.wake_all(); // those who wait until nothing is queued
        }
        self.follow();
    }

    fn send_first(self: &Rc<Self>) -> io::Result<usize> {
        let sends = self.sends.borrow();
        let queue = sends.as_ref().map(|sends| &sends.queue).into_iter().flatten();
        let datagrams = || queue.clone().map(|send| (&*send.bytes, send.to.as_ref()));
        self.base.with(|fd| {
            let sent = self.send_told(fd, |fd| sys::send_many(fd, datagrams()));
            if self.is_peer_full(fd, &sent) {
                self.stall();
            }
            sent
        })
    }

    /// Takes the first one out, sent or failed.
    fn pop(self: &Rc<Self>, result: io::Result<()>) {
        let first = self.sends.borrow_mut().as_mut().and_then(|sends| {
            let first = sends.queue.pop_front()?;
            sends.len -= first.bytes.len();
            Some(first)
        });
        let Some(first) = first else { return };
        self.base.lp.state.alive.release();
        self.settle(first.on_sent, result);
    }

    /// Tells in *pending* what became of a datagram. One without a callback is not missed, as one that is lost on the way.
    fn settle(self: &Rc<Self>, on_sent: Option<OnSent>, result: io::Result<()>) {
        if let Some(on_sent) = on_sent {
            let core = Rc::clone(self);
            self.base.lp.defer(move |_| on_sent(&core, result));
        }
    }

    /// Cancels what is queued, in its order.
    pub(super) fn cancel_sends(self: &Rc<Self>, sends: Sends) {
        for send in sends.queue {
            self.base.lp.state.alive.release();
            self.settle(send.on_sent, Err(net_sys::cancelled()));
        }
    }
}
