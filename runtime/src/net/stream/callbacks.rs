//! The callback front of a stream's core, in libuv's manner: start and stop reading, and close.
//!
//! No callback runs inside the call that caused it. Read callbacks run in poll; what a write, a shutdown or a connect owes
//! runs in *pending*, in the order of submission.
//! Source: libuv, `uv__stream_io`; PROMISES, Streams and callback_stack.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::core::Core;
use crate::driver::Readiness;
use crate::net::unix::sys as rights;
use crate::state::sources::{Ready, gone};
use crate::state::{Callback, LoopHandle};

/// What a read callback gets.
#[derive(Debug)]
pub enum ReadEvent<'a> {
    /// Bytes, in a buffer that the loop lends for the call.
    Data(&'a [u8]),
    /// The peer sent the end of the stream. Reading has stopped.
    End,
    /// Reading failed, and has stopped. The stream stays open until it is closed.
    Failed(io::Error),
}

/// What came beside the bytes of a read: descriptors that the peer passed.
#[derive(Debug, Default)]
pub struct Passed {
    /// The descriptors, in the order they were sent. Not inherited by children. Those that are left here are closed.
    pub descriptors: Vec<OwnedFd>,
    /// The peer passed more than were taken: more than the limit, or than the process may open. The rest were closed.
    pub truncated: bool,
}

impl Passed {
    /// The message that was read had descriptors.
    fn came(&self) -> bool {
        !self.descriptors.is_empty() || self.truncated
    }
}

pub(super) type ReadCallback = dyn FnMut(&Rc<Core>, ReadEvent<'_>, Passed);
pub(super) type OnRead = Box<ReadCallback>;

impl Core {
    pub(super) fn read_start(self: &Rc<Self>, takes_descriptors: bool, on_read: OnRead) -> io::Result<()> {
        if self.base.is_gone() {
            return Err(gone());
        }
        self.takes_descriptors.set(takes_descriptors);
        drop(self.on_read.start(on_read));
        self.follow();
        // What came before is there without a new event.
        self.base.run_again();
        Ok(())
    }

    pub(super) fn read_stop(self: &Rc<Self>) {
        let old = self.on_read.stop();
        self.follow();
        drop(old);
    }

    pub(in crate::net) fn close_now(self: &Rc<Self>, callback: Option<Callback>) -> bool {
        if self.base.is_closed() {
            return false;
        }
        let writes = self.writes.take();
        let _on_read = self.on_read.stop(); // dropped at the end, when all else is in order
        self.base.close();
        if let Some(writes) = writes {
            self.cancel_writes(*writes);
        }
        self.base.announce_close(callback);
        true
    }

    /// Has the loop hold the stream, and count it, as far as the callback front has something under way.
    pub(super) fn follow(self: &Rc<Self>) {
        let reading = self.is_reading();
        let writing = self.writes.borrow().as_ref().is_some_and(|writes| writes.is_busy());
        self.base.set_active(reading);
        let busy = reading || writing;
        self.base.set_target(busy.then(|| Rc::clone(self) as Rc<dyn Ready>));
    }

    /// Reads and calls back until the source is exhausted, reading stops, or the turn's budget is spent.
    fn read_ready(self: &Rc<Self>, readiness: Readiness) {
        let lp = &self.base.lp;
        let mut more = readiness.has(Readiness::ANY_READ);
        for _ in 0..lp.state.limits.reads_per_turn.get() {
            if !more || !self.is_reading() {
                return;
            }
            lp.call(|lp| {
                let mut buffer = lp.borrow_read_buffer();
                let (result, full) = match self.read_into(&mut buffer) {
                    Ok((len, full, passed)) => (Ok((len, passed)), full),
                    Err(error) => (Err(error), 0),
                };
                more = self.may_read_more(result.as_ref().map(|(len, _)| *len), full);
                self.handle_read(result, &buffer);
                lp.return_read_buffer(buffer);
            });
        }
        if more && self.is_reading() {
            self.base.run_again();
        }
    }

    /// Reads, and says below which length that tells that nothing is left.
    fn read_into(&self, buffer: &mut [u8]) -> io::Result<(usize, usize, Passed)> {
        if !self.takes_descriptors.get() {
            let (len, full) = self.base.with(|fd| self.read(fd, buffer))?;
            return Ok((len, full, Passed::default()));
        }
        let limit = self.base.lp.state.limits.descriptors_per_message;
        let (len, descriptors, truncated) = self.base.with(|fd| rights::receive(fd, buffer, limit))?;
        let passed = Passed { descriptors, truncated };
        // A read that took descriptors stops at their message, so that a short one tells nothing.
        Ok((len, if passed.came() { 0 } else { buffer.len() }, passed))
    }

    fn handle_read(self: &Rc<Self>, result: io::Result<(usize, Passed)>, buffer: &[u8]) {
        match result {
            Ok((0, _)) => self.end_reading(ReadEvent::End),
            Ok((len, passed)) => {
                let call =
                    |on_read: &mut ReadCallback| on_read(self, ReadEvent::Data(&buffer[..len]), passed);
                self.on_read.call(call);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.end_reading(ReadEvent::Failed(error)),
        }
    }

    /// Stops reading, then says why.
    fn end_reading(self: &Rc<Self>, event: ReadEvent<'_>) {
        let on_read = self.on_read.stop();
        self.follow();
        if let Some(mut on_read) = on_read {
            on_read(self, event, Passed::default());
        }
    }

    fn is_reading(&self) -> bool {
        self.on_read.is_on()
    }
}

impl Ready for Core {
    fn ready(self: Rc<Self>, lp: &LoopHandle, readiness: Readiness) {
        // First, so that the reader gets the error of a reset: the system gives it once, and then the end of the stream.
        self.read_ready(readiness);
        if self.has_queued() && self.base.has_ready(Readiness::ANY_WRITE) {
            lp.call(|_| self.flush()); // it may wake a task, or close the stream
        }
    }

    fn forget(&self) {
        let mut writes = self.writes.take();
        if let Some(writes) = &mut writes {
            writes.wake_all();
        }
        drop((self.on_read.stop(), writes)); // while nothing is borrowed: they may own anything
    }
}

impl LoopHandle {
    /// The loop's read buffer, or a fresh one while a callback of another read has it.
    pub(in crate::net) fn borrow_read_buffer(&self) -> Box<[u8]> {
        let lent = self.state.read_buffer.take();
        lent.unwrap_or_else(|| vec![0; self.state.limits.read_buffer_len.get()].into_boxed_slice())
    }

    pub(in crate::net) fn return_read_buffer(&self, buffer: Box<[u8]>) {
        self.state.read_buffer.set(Some(buffer));
    }
}
