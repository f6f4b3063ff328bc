//! The queue of a stream's writes: what was accepted and the system has not taken yet.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::core::Core;
use crate::driver::Readiness;
use crate::net::refused::check_room;
use crate::net::sys;
use crate::net::unix::sys as rights;
use crate::state::sources::gone;
use crate::task::waiters::Waiters;

pub(super) type OnDone = Box<dyn FnOnce(&Rc<Core>, io::Result<()>)>;
pub(super) type OnError = Rc<dyn Fn(&Rc<Core>, io::Error)>;
pub(super) type OnDrain = Rc<dyn Fn(&Rc<Core>)>;

/// What waits to be written, and who waits for that.
#[derive(Default)]
pub(super) struct Writes {
    queue: VecDeque<QueuedWrite>,
    /// Bytes in the queue.
    len: usize,
    shutdown: Option<OnDone>,
    /// Tasks that wait for the queue to empty before they write.
    flushed: Waiters,
    /// Told of the failure of a write that has no callback.
    pub(super) on_error: Option<OnError>,
    /// Told when the queue is empty again after it was high.
    pub(super) on_drain: Option<OnDrain>,
    /// The stream's own, where it is not the loop's.
    pub(super) high_water_mark: Option<usize>,
    /// The queue reached the mark, and has not been empty since.
    is_high: bool,
}

struct QueuedWrite {
    bytes: Vec<u8>,
    written: usize,
    /// Sent with the first byte.
    descriptors: Vec<OwnedFd>,
    on_done: Option<OnDone>,
}

impl Writes {
    /// True if the loop must keep the stream until this is done.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.shutdown.is_some()
    }

    fn push(&mut self, write: QueuedWrite, high_water_mark: usize) {
        self.len += write.bytes.len();
        self.is_high |= self.len >= self.high_water_mark.unwrap_or(high_water_mark);
        self.queue.push_back(write);
    }

    /// Takes the first write out, done or failed.
    fn pop(&mut self) -> Popped {
        let first = self.queue.pop_front();
        self.len -= first.as_ref().map_or(0, |write| write.bytes.len() - write.written);
        let is_empty = self.queue.is_empty();
        let flushed = if is_empty { std::mem::take(&mut self.flushed) } else { Waiters::default() };
        let drained = is_empty && std::mem::take(&mut self.is_high);
        Popped {
            on_done: first.and_then(|write| write.on_done),
            flushed,
            on_drain: self.on_drain.clone().filter(|_| drained),
        }
    }
}

/// Who is told of a write that has ended.
struct Popped {
    on_done: Option<OnDone>,
    flushed: Waiters,
    on_drain: Option<OnDrain>,
}

impl Core {
    /// Bytes that wait to be written.
    #[inline]
    pub(super) fn write_queue_len(&self) -> usize {
        self.writes.borrow().as_ref().map_or(0, |writes| writes.len)
    }

    /// Writes that wait, however short.
    pub(super) fn queued_writes(&self) -> usize {
        self.writes.borrow().as_ref().map_or(0, |writes| writes.queue.len())
    }

    /// True if earlier writes wait, also empty ones.
    pub(super) fn has_queued(&self) -> bool {
        self.writes.borrow().as_ref().is_some_and(|writes| !writes.queue.is_empty())
    }

    /// True from the write that brought the queue to the mark until the queue is empty.
    pub(super) fn is_write_queue_high(&self) -> bool {
        self.writes.borrow().as_ref().is_some_and(|writes| writes.is_high)
    }

    #[inline]
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_send(bytes.len(), |fd| sys::write(fd, bytes))
    }

    /// Sends what the system takes now of `full` bytes.
    #[inline]
    fn try_send(
        &self,
        full: usize,
        send: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.base.is_gone() {
            return Err(gone());
        }
        if self.shut_down.get() {
            return Err(sys::broken_pipe());
        }
        if self.has_queued() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = self.base.with(send);
        match &written {
            Ok(len) if *len < full => self.base.clear_ready(Readiness::WRITABLE),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.base.clear_ready(Readiness::ANY_WRITE);
            }
            _ => {}
        }
        written
    }

    /// Writes `bytes` as far as that goes, and queues a copy of the rest.
    pub(super) fn enqueue(self: &Rc<Self>, bytes: &[u8], on_done: Option<OnDone>) -> io::Result<()> {
        // Asked before anything is written: a write that was begun can not be refused.
        self.has_room(bytes.len())?;
        let written = none_if_blocked(self.try_write(bytes))?;
        let written = written.unwrap_or(0);
        if written < bytes.len() || self.has_queued() {
            self.queue_rest(bytes[written..].to_vec(), Vec::new(), on_done);
        } else if let Some(on_done) = on_done {
            self.owe(on_done, Ok(()));
        }
        Ok(())
    }

    /// As `enqueue`, with descriptors that go with the first byte.
    pub(in crate::net) fn enqueue_with_fds(
        self: &Rc<Self>,
        bytes: &[u8],
        descriptors: Vec<OwnedFd>,
        on_done: Option<OnDone>,
    ) -> io::Result<()> {
        self.check_descriptors(bytes.len(), descriptors.len())?;
        self.has_room(bytes.len())?;
        let sent = self.try_send(bytes.len(), |fd| rights::send_owned(fd, bytes, &descriptors));
        match none_if_blocked(sent)? {
            Some(written) if written == bytes.len() => {
                if let Some(on_done) = on_done {
                    self.owe(on_done, Ok(()));
                }
            }
            Some(written) => self.queue_rest(bytes[written..].to_vec(), Vec::new(), on_done),
            None => self.queue_rest(bytes.to_vec(), descriptors, on_done),
        }
        Ok(())
    }

    /// An error if the queue may not take `len` bytes more.
    fn has_room(&self, len: usize) -> io::Result<()> {
        if self.base.is_gone() {
            return Ok(()); // it says so when it is tried
        }
        let writes = self.writes.borrow();
        let (count, queued) = writes.as_ref().map_or((0, 0), |writes| (writes.queue.len(), writes.len));
        check_room(&self.base.lp.state.limits, len, count, queued)
    }

    #[inline(never)] // nearly every write goes out whole
    fn queue_rest(self: &Rc<Self>, bytes: Vec<u8>, descriptors: Vec<OwnedFd>, on_done: Option<OnDone>) {
        let state = &self.base.lp.state;
        state.alive.hold();
        let mark = state.limits.write_high_water_mark;
        self.with_writes(|writes| writes.push(QueuedWrite { bytes, written: 0, descriptors, on_done }, mark));
        self.follow();
        // Interrupted, and not refused: no event would come.
        if self.base.has_ready(Readiness::WRITABLE) {
            self.base.run_again();
        }
    }

    pub(super) fn with_writes<R>(&self, f: impl FnOnce(&mut Writes) -> R) -> R {
        f(self.writes.borrow_mut().get_or_insert_default())
    }

    /// Waits until the callback front has written all it has queued.
    #[inline]
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let asked = match &mut *self.writes.borrow_mut() {
            Some(writes) if !writes.queue.is_empty() => writes.flushed.join(cx.waker(), self.base.lp.turn()),
            _ => return Poll::Ready(()),
        };
        asked.into_iter().for_each(Waker::wake); // outside the borrow
        Poll::Pending
    }

    /// Writes what is queued, as far as the system takes it.
    pub(super) fn flush(self: &Rc<Self>) {
        while let Some(result) = self.write_first() {
            let mut popped = self.with_writes(Writes::pop);
            popped.flushed.take().for_each(Waker::wake);
            self.base.lp.state.alive.release();
            match (popped.on_done, result) {
                (Some(on_done), result) => self.owe(on_done, result),
                (None, Err(error)) => self.fail(error),
                (None, Ok(())) => {}
            }
            if self.base.is_closed() {
                return;
            }
            if let Some(on_drain) = popped.on_drain {
                let core = Rc::clone(self);
                self.base.lp.defer(move |_| on_drain(&core));
            }
        }
        self.follow();
        self.finish_shutdown();
    }

    /// Tells of a write without a callback that failed. Where nobody asked to be told, the stream ends, since nobody would
    /// learn of it otherwise; the read callback, if any, goes with it.
    fn fail(self: &Rc<Self>, error: io::Error) {
        let on_error = self.with_writes(|writes| writes.on_error.clone());
        match on_error {
            Some(on_error) => {
                let core = Rc::clone(self);
                self.base.lp.defer(move |_| on_error(&core, error));
            }
            None => drop(self.close_now(None)),
        }
    }

    /// Writes of the first queued write: `None` while it is not done or there is none.
    fn write_first(&self) -> Option<io::Result<()>> {
        self.with_writes(|writes| {
            let write = writes.queue.front_mut()?;
            loop {
                let rest = &write.bytes[write.written..];
                if rest.is_empty() {
                    return Some(Ok(()));
                }
                let sent = self.base.with(|fd| match &*write.descriptors {
                    [] => sys::write(fd, rest),
                    descriptors => rights::send_owned(fd, rest, descriptors),
                });
                match sent {
                    Ok(0) => return Some(Err(io::ErrorKind::WriteZero.into())),
                    Ok(len) => {
                        write.descriptors.clear(); // the peer has them
                        write.written += len;
                        writes.len -= len;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.base.clear_ready(Readiness::ANY_WRITE);
                        return None;
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
        })
    }

    pub(super) fn shutdown_with(self: &Rc<Self>, on_done: OnDone) -> io::Result<()> {
        if self.base.is_gone() || self.shut_down.replace(true) {
            return Err(gone());
        }
        self.base.lp.state.alive.hold();
        let rest = self.with_writes(|writes| writes.shutdown.replace(on_done));
        debug_assert!(rest.is_none());
        self.follow();
        self.finish_shutdown();
        Ok(())
    }

    /// Shuts down once the queue is empty.
    fn finish_shutdown(self: &Rc<Self>) {
        let on_done = self.with_writes(|writes| writes.shutdown.take_if(|_| writes.queue.is_empty()));
        if let Some(on_done) = on_done {
            let result = self.base.with(sys::shutdown_write);
            self.owe(on_done, result);
            self.base.lp.state.alive.release();
            self.follow();
        }
    }

    /// Cancels what is queued, in its order.
    pub(super) fn cancel_writes(self: &Rc<Self>, mut writes: Writes) {
        let queued = writes.queue.drain(..).map(|write| write.on_done);
        let shutdown = writes.shutdown.take().map(Some);
        for on_done in queued.chain(shutdown) {
            self.base.lp.state.alive.release(); // the queue's hold; `owe` has its own
            if let Some(on_done) = on_done {
                self.owe(on_done, Err(sys::cancelled()));
            }
        }
        writes.wake_all();
    }

    /// Calls `on_done` in the pending phase.
    fn owe(self: &Rc<Self>, on_done: OnDone, result: io::Result<()>) {
        let core = Rc::clone(self);
        self.base.lp.defer(move |_| on_done(&core, result));
    }
}

impl Writes {
    pub(super) fn wake_all(&mut self) {
        self.flushed.take().for_each(Waker::wake);
    }
}

/// What was written; `None` if nothing could be.
fn none_if_blocked(written: io::Result<usize>) -> io::Result<Option<usize>> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        written => written.map(Some),
    }
}
