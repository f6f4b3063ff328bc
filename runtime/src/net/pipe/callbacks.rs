//! The callback front of a stream: start and stop reading, queue writes, shut down, close. The rules are those of
//! [`TcpStream`](crate::net::TcpStream)'s.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::super::ReadEvent;
use super::super::refused::check_room;
use super::stream::{Inner, PipeStream};
use super::sys::{self, Access};
use crate::driver::Readiness;
use crate::state::sources::{Ready, gone};
use crate::state::{Callback, Closing, LoopHandle};
use crate::task::waiters::Waiters;

type OnRead = Box<dyn FnMut(&PipeStream, ReadEvent<'_>)>;
type OnDone = Box<dyn FnOnce(&PipeStream, io::Result<()>)>;

/// Who is called with what arrives.
#[derive(Default)]
pub(super) struct Reader {
    /// Out of its place while it runs.
    on_read: Cell<Option<OnRead>>,
    starts: Cell<u32>,
    reading: Cell<bool>,
}

impl Reader {
    fn stop(&self) -> Option<OnRead> {
        self.reading.set(false);
        self.on_read.take()
    }
}

/// What waits to be written, and who waits for that.
#[derive(Default)]
pub(super) struct Writes {
    queue: VecDeque<QueuedWrite>,
    /// Bytes in the queue.
    len: usize,
    shutdown: Option<OnDone>,
    flushed: Waiters,
}

struct QueuedWrite {
    bytes: Vec<u8>,
    written: usize,
    on_done: Option<OnDone>,
}

impl PipeStream {
    /// Calls `on_read` with what arrives, from the next poll phase on. Replaces the callback there was. It keeps the loop
    /// alive, and the stream open, until the end, a failure, or [`read_stop`](Self::read_stop).
    ///
    /// # Ordering
    /// In the poll phase, a call for each read, with a checkpoint after each.
    ///
    /// # Errors
    /// `NotConnected` if the stream was closed. The callback is then dropped.
    pub fn read_start(&self, mut on_read: impl FnMut(&Self, ReadEvent<'_>) + 'static) -> io::Result<()> {
        if self.is_gone() {
            return Err(gone());
        }
        let on_read: OnRead = match self.inner.lp.captured_context() {
            None => Box::new(on_read),
            context => Box::new(move |stream, event| {
                stream.lp().in_context(context.clone(), || on_read(stream, event));
            }),
        };
        let reader = &self.inner.reader;
        reader.reading.set(true);
        reader.starts.set(reader.starts.get().wrapping_add(1));
        let old = reader.on_read.replace(Some(on_read));
        self.follow();
        // What came before is there without a new event.
        self.inner.lp.state.sources.run_again(self.inner.token);
        drop(old);
        Ok(())
    }

    /// Calls the read callback no more, at once.
    pub fn read_stop(&self) {
        let old = self.inner.reader.stop();
        self.follow();
        drop(old);
    }

    /// Writes `bytes` at once as far as that goes, and queues a copy of the rest. An error of a queued write closes the
    /// stream.
    ///
    /// # Errors
    /// What the system says, `NotConnected` for a closed stream and `BrokenPipe` after a shutdown. With nothing taken, what a
    /// [`TcpStream`](crate::net::TcpStream) says of a queue that is full.
    pub fn queue_write(&self, bytes: &[u8]) -> io::Result<()> {
        self.enqueue(bytes, None)
    }

    /// As [`queue_write`](Self::queue_write), and calls back in the pending phase when all of `bytes` is written or has
    /// failed, in the order of the writes.
    ///
    /// # Errors
    /// As `queue_write`; the callback is then dropped.
    pub fn queue_write_with(
        &self,
        bytes: &[u8],
        on_written: impl FnOnce(&Self, io::Result<()>) + 'static,
    ) -> io::Result<()> {
        self.enqueue(bytes, Some(self.bind_done(on_written)))
    }

    /// Writes what the system takes now, and queues nothing.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing or earlier writes are queued, `BrokenPipe` after a shutdown, `NotConnected` for a
    /// closed stream, and what the system says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_gone() {
            return Err(gone());
        }
        if self.inner.shut_down.get() {
            return Err(sys::broken_pipe());
        }
        if self.write_queue_len() > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.write_now(bytes)
    }

    /// Bytes that wait to be written.
    pub fn write_queue_len(&self) -> usize {
        self.inner.writes.borrow().len
    }

    /// Sends the end when all that is queued is written, and calls back then, in the pending phase. See
    /// [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    /// `NotConnected` if it was shut down or closed before. The callback is then dropped.
    pub fn shutdown_with(&self, on_done: impl FnOnce(&Self, io::Result<()>) + 'static) -> io::Result<()> {
        if self.is_gone() || self.inner.shut_down.replace(true) {
            return Err(gone());
        }
        self.inner.lp.state.alive.hold();
        self.inner.writes.borrow_mut().shutdown = Some(self.bind_done(on_done));
        self.follow();
        self.finish_shutdown();
        Ok(())
    }

    /// Closes the stream. What is queued is not written: its callbacks get `ECANCELED`.
    pub fn close(&self) {
        self.close_now(None);
    }

    /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if the stream
    /// was closed before.
    pub fn close_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> bool {
        let callback = self.inner.lp.wrap(on_close);
        self.close_now(Some(callback))
    }

    /// True once the stream was closed, also by the shutdown of a pipe.
    pub fn is_closed(&self) -> bool {
        self.inner.fd.borrow().is_none()
    }

    /// Lets a started read callback keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = true);
    }

    /// Lets the loop end while a read callback is started.
    pub fn unref(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = false);
    }

    /// The callback as it is kept, with the context that is in force now.
    fn bind_done(&self, on_done: impl FnOnce(&Self, io::Result<()>) + 'static) -> OnDone {
        match self.inner.lp.captured_context() {
            None => Box::new(on_done),
            context => Box::new(move |stream, result| {
                stream.lp().in_context(context, || on_done(stream, result));
            }),
        }
    }

    /// Waits until the callback front has written all it has queued.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut writes = self.inner.writes.borrow_mut();
        if writes.queue.is_empty() {
            return Poll::Ready(());
        }
        let asked = writes.flushed.join(cx.waker(), self.inner.lp.turn());
        drop(writes);
        asked.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    fn is_gone(&self) -> bool {
        self.is_closed() || self.inner.lp.is_closed()
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        let Some(fd) = self.inner.fd.take() else { return false };
        let lp = &self.inner.lp;
        let mut writes = self.inner.writes.take();
        let _on_read = self.inner.reader.stop(); // dropped at the end, when all else is in order
        lp.close_source(self.inner.token);
        drop(fd);
        let queued = writes.queue.drain(..).map(|write| write.on_done);
        for on_done in queued.chain(writes.shutdown.take().map(Some)) {
            lp.state.alive.release(); // the queue's hold; `owe` has its own
            if let Some(on_done) = on_done {
                self.owe(on_done, Err(sys::cancelled()));
            }
        }
        writes.flushed.take().for_each(Waker::wake);
        if !lp.state.closed.get() {
            lp.state.alive.hold();
            lp.state.closing.borrow_mut().push(Closing { release: None, callback });
        }
        self.inner.read_ended();
        true
    }

    /// Calls `on_done` in the pending phase.
    fn owe(&self, on_done: OnDone, result: io::Result<()>) {
        let stream = self.clone();
        self.inner.lp.defer(move |_| on_done(&stream, result));
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let access = self.inner.access;
        loop {
            match self.with_fd(|fd| sys::write(fd, access, bytes)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.inner.lp.state.sources.clear(self.inner.token, Readiness::ANY_WRITE);
                    return Err(error);
                }
                written => return written,
            }
        }
    }

    fn enqueue(&self, bytes: &[u8], on_done: Option<OnDone>) -> io::Result<()> {
        let lp = &self.inner.lp;
        let queued = self.write_queue_len();
        if !self.is_gone() {
            let count = self.inner.writes.borrow().queue.len();
            check_room(&lp.state.limits, bytes.len(), count, queued)?;
        }
        let mut written = 0;
        // More than once: what is shared is written in small pieces.
        while written < bytes.len() {
            match self.try_write(&bytes[written..]) {
                Ok(0) => break,
                Ok(len) => written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if bytes.is_empty() && self.is_gone() {
            return Err(gone());
        }
        if written < bytes.len() || queued > 0 {
            lp.state.alive.hold();
            let mut writes = self.inner.writes.borrow_mut();
            writes.len += bytes.len() - written;
            writes.queue.push_back(QueuedWrite { bytes: bytes[written..].to_vec(), written: 0, on_done });
            drop(writes);
            self.follow();
        } else if let Some(on_done) = on_done {
            self.owe(on_done, Ok(()));
        }
        Ok(())
    }

    /// Has the loop hold the stream, and count it, as far as the callback front has something under way.
    fn follow(&self) {
        let lp = &self.inner.lp;
        let reading = self.inner.reader.reading.get();
        let writes = self.inner.writes.borrow();
        let writing = !writes.queue.is_empty() || writes.shutdown.is_some();
        drop(writes);
        lp.update_source(self.inner.token, |flags| flags.active = reading);
        let target = (reading || writing).then(|| Rc::clone(&self.inner) as Rc<dyn Ready>);
        lp.state.sources.set_target(self.inner.token, target);
    }

    /// Writes what is queued, as far as the system takes it.
    fn flush(&self) {
        while let Some(result) = self.write_first() {
            let mut writes = self.inner.writes.borrow_mut();
            let Some(first) = writes.queue.pop_front() else { break };
            writes.len -= first.bytes.len() - first.written;
            let empty = writes.queue.is_empty();
            let mut flushed = if empty { std::mem::take(&mut writes.flushed) } else { Waiters::default() };
            drop(writes);
            flushed.take().for_each(Waker::wake);
            self.inner.lp.state.alive.release();
            match first.on_done {
                Some(on_done) => self.owe(on_done, result),
                None if result.is_err() => self.close(), // nobody would learn of it otherwise
                None => {}
            }
            if self.is_closed() {
                return;
            }
        }
        self.follow();
        self.finish_shutdown();
    }

    /// Writes of the first queued write: `None` while it is not done or there is none.
    fn write_first(&self) -> Option<io::Result<()>> {
        let mut writes = self.inner.writes.borrow_mut();
        let writes = &mut *writes;
        let write = writes.queue.front_mut()?;
        while write.written < write.bytes.len() {
            match self.write_now(&write.bytes[write.written..]) {
                Ok(0) => return Some(Err(io::ErrorKind::WriteZero.into())),
                Ok(len) => {
                    write.written += len;
                    writes.len -= len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(()))
    }

    /// Sends the end once the queue is empty.
    fn finish_shutdown(&self) {
        let mut writes = self.inner.writes.borrow_mut();
        let on_done = if writes.queue.is_empty() { writes.shutdown.take() } else { None };
        drop(writes);
        if let Some(on_done) = on_done {
            let result = self.end_writing();
            self.owe(on_done, result);
            self.inner.lp.state.alive.release();
            self.follow();
        }
    }

    /// Reads and calls back until nothing is left, reading stops, or the turn's budget is spent.
    fn read_ready(&self) {
        let (lp, token) = (&self.inner.lp, self.inner.token);
        for _ in 0..lp.state.limits.reads_per_turn.get() {
            if !self.has_ready(Readiness::ANY_READ) || !self.inner.reader.reading.get() {
                return;
            }
            lp.call(|lp| {
                let len = lp.state.limits.read_buffer_len.get();
                let mut buffer =
                    lp.state.read_buffer.take().unwrap_or_else(|| vec![0; len].into_boxed_slice());
                let result =
                    self.with_fd(|fd| sys::read(fd, self.inner.kind, self.inner.access, &mut buffer));
                self.handle_read(result, &buffer);
                lp.state.read_buffer.set(Some(buffer));
            });
        }
        if self.has_ready(Readiness::ANY_READ) && self.inner.reader.reading.get() {
            lp.state.sources.run_again(token);
        }
    }

    fn handle_read(&self, result: io::Result<usize>, buffer: &[u8]) {
        match result {
            Ok(0) => self.end_reading(ReadEvent::End),
            Ok(len) => self.call_reader(ReadEvent::Data(&buffer[..len])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.inner.lp.state.sources.clear(self.inner.token, Readiness::ANY_READ);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.end_reading(ReadEvent::Failed(error)),
        }
    }

    /// Stops reading, then says why.
    fn end_reading(&self, event: ReadEvent<'_>) {
        let on_read = self.inner.reader.stop();
        self.follow();
        if let Some(mut on_read) = on_read {
            on_read(self, event);
        }
        self.inner.read_ended();
    }

    fn call_reader(&self, event: ReadEvent<'_>) {
        let reader = &self.inner.reader;
        let mut running = PutBack { reader, start: reader.starts.get(), on_read: reader.on_read.take() };
        if let Some(on_read) = &mut running.on_read {
            on_read(self, event);
        }
    }

    fn has_ready(&self, readiness: Readiness) -> bool {
        self.inner.lp.state.sources.readiness(self.inner.token).has(readiness)
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

impl Ready for Inner {
    fn ready(self: Rc<Self>, lp: &LoopHandle, _readiness: Readiness) {
        let stream = PipeStream { inner: self };
        stream.read_ready();
        if stream.write_queue_len() > 0 && stream.has_ready(Readiness::ANY_WRITE) {
            lp.call(|_| stream.flush()); // it may wake a task, or close the stream
            if stream.write_queue_len() > 0 && stream.inner.access == Access::AlwaysReady {
                lp.state.sources.run_again(stream.inner.token);
            }
        }
    }

    fn forget(&self) {
        let mut writes = self.writes.take();
        writes.flushed.take().for_each(Waker::wake);
        drop((self.reader.stop(), writes)); // while nothing is borrowed: they may own anything
    }
}
