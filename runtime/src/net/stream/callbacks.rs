//! The callback front of a stream's core, in libuv's manner: start and stop reading, and close.
//!
//! No callback runs inside the call that caused it. Read callbacks run in poll; what a write, a shutdown or a connect owes
//! runs in *pending*, in the order of submission.
//! Source: libuv, `uv__stream_io`; PROMISES, Streams and callback_stack.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::core::Core;
use crate::driver::Readiness;
use crate::net::sys;
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

pub(super) type OnRead = Box<dyn FnMut(&Rc<Core>, ReadEvent<'_>, Passed)>;

/// Who is called with what arrives.
#[derive(Default)]
pub(super) struct Reader {
    /// Out of its place while it runs.
    on_read: Cell<Option<OnRead>>,
    /// Counts starts, so that a callback that was replaced in its own call is not put back.
    starts: Cell<u32>,
    reading: Cell<bool>,
    /// Descriptors that are passed are taken, and not left to the system to close.
    takes_descriptors: Cell<bool>,
}

impl Reader {
    /// Takes the callback away, for the caller to drop or to call a last time.
    fn stop(&self) -> Option<OnRead> {
        self.reading.set(false);
        self.on_read.take()
    }
}

impl Core {
    pub(super) fn read_start(self: &Rc<Self>, takes_descriptors: bool, on_read: OnRead) -> io::Result<()> {
        if self.base.is_gone() {
            return Err(gone());
        }
        let reader = &self.reader;
        reader.reading.set(true);
        reader.takes_descriptors.set(takes_descriptors);
        reader.starts.set(reader.starts.get().wrapping_add(1));
        drop(reader.on_read.replace(Some(on_read)));
        self.follow();
        // What came before is there without a new event.
        self.base.run_again();
        Ok(())
    }

    pub(super) fn read_stop(self: &Rc<Self>) {
        let old = self.reader.stop();
        self.follow();
        drop(old);
    }

    pub(in crate::net) fn close_now(self: &Rc<Self>, callback: Option<Callback>) -> bool {
        if self.base.is_closed() {
            return false;
        }
        let writes = self.writes.take();
        let _on_read = self.reader.stop(); // dropped at the end, when all else is in order
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
                let result = self.read_into(&mut buffer);
                more = self.may_read_more(result.as_ref().map(|(len, _)| *len), buffer.len());
                self.handle_read(result, &buffer);
                lp.return_read_buffer(buffer);
            });
        }
        if more && self.is_reading() {
            self.base.run_again();
        }
    }

    fn read_into(&self, buffer: &mut [u8]) -> io::Result<(usize, Passed)> {
        if !self.reader.takes_descriptors.get() {
            return self.base.with(|fd| sys::read(fd, buffer)).map(|len| (len, Passed::default()));
        }
        let limit = self.base.lp.state.limits.descriptors_per_message;
        let (len, descriptors, truncated) = self.base.with(|fd| rights::receive(fd, buffer, limit))?;
        Ok((len, Passed { descriptors, truncated }))
    }

    fn handle_read(self: &Rc<Self>, result: io::Result<(usize, Passed)>, buffer: &[u8]) {
        match result {
            Ok((0, _)) => self.end_reading(ReadEvent::End),
            Ok((len, passed)) => self.call_reader(ReadEvent::Data(&buffer[..len]), passed),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.end_reading(ReadEvent::Failed(error)),
        }
    }

    /// Stops reading, then says why.
    fn end_reading(self: &Rc<Self>, event: ReadEvent<'_>) {
        let on_read = self.reader.stop();
        self.follow();
        if let Some(mut on_read) = on_read {
            on_read(self, event, Passed::default());
        }
    }

    fn call_reader(self: &Rc<Self>, event: ReadEvent<'_>, passed: Passed) {
        let reader = &self.reader;
        let mut running = PutBack { reader, start: reader.starts.get(), on_read: reader.on_read.take() };
        if let Some(on_read) = &mut running.on_read {
            on_read(self, event, passed);
        }
    }

    fn is_reading(&self) -> bool {
        self.reader.reading.get()
    }
}

/// Puts a read callback back after its call, also if it panicked, unless it was stopped or replaced in it.
struct PutBack<'a> {
    reader: &'a Reader,
    start: u32,
    on_read: Option<OnRead>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if self.reader.reading.get() && self.reader.starts.get() == self.start {
            self.reader.on_read.set(self.on_read.take());
        }
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
        drop((self.reader.stop(), writes)); // while nothing is borrowed: they may own anything
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
