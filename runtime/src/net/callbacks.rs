//! The callback front of a stream, in libuv's manner: start and stop reading, queue writes, shut down, close.
//!
//! No callback runs inside the call that caused it. Read callbacks run in poll; what a write, a shutdown or a connect owes
//! runs in *pending*, in the order of submission.
//! Source: libuv, `uv__stream_io`; PROMISES, Streams and callback_stack.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::stream::{Inner, TcpStream};
use super::sys;
use crate::driver::Readiness;
use crate::state::sources::{Ready, gone};
use crate::state::{Callback, Closing, LoopHandle};

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

type OnRead = Box<dyn FnMut(&TcpStream, ReadEvent<'_>)>;
type OnDone = Box<dyn FnOnce(&TcpStream, io::Result<()>)>;

/// Who is called with what arrives.
#[derive(Default)]
pub(super) struct Reader {
    /// Out of its place while it runs.
    on_read: Cell<Option<OnRead>>,
    /// Counts starts, so that a callback that was replaced in its own call is not put back.
    starts: Cell<u32>,
    reading: Cell<bool>,
}

impl Reader {
    /// Takes the callback away, for the caller to drop or to call a last time.
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
    /// Tasks that wait for the queue to empty before they write.
    flushed: Vec<Waker>,
}

struct QueuedWrite {
    bytes: Vec<u8>,
    written: usize,
    on_done: Option<OnDone>,
}

impl TcpStream {
    /// Calls `on_read` with what arrives, from the next poll phase on. Replaces the callback there was.
    ///
    /// It keeps the loop alive, and the stream open, until the end of the stream, a failure, or
    /// [`read_stop`](Self::read_stop).
    ///
    /// # Ordering
    /// In the poll phase, a call for each read, with a checkpoint after each. Source: SEMANTICS W5.
    ///
    /// # Errors
    /// `NotConnected` if the stream was closed. The callback is then dropped.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, RunMode, net::{ReadEvent, TcpListener, TcpStream}};
    /// # let lp = EventLoop::new()?;
    /// let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().expect("an address"))?;
    /// let address = listener.local_addr()?;
    /// listener.on_connection(|listener, connection| {
    ///     let Ok(stream) = connection else { return };
    ///     let echo = stream.read_start(|stream, event| {
    ///         if let ReadEvent::Data(bytes) = event {
    ///             stream.queue_write(bytes).unwrap_or_else(|_| stream.close());
    ///         }
    ///     });
    ///     echo.expect("the stream was just accepted");
    ///     listener.close();
    /// })?;
    /// let client = lp.spawn(async move {
    ///     let stream = TcpStream::connect(&phaseloop::current(), address).await?;
    ///     stream.write_all(b"ping").await?;
    ///     let mut buf = [0; 4];
    ///     stream.read_exact(&mut buf).await?;
    ///     Ok::<_, std::io::Error>(buf)
    /// });
    /// assert_eq!(lp.block_on(client)?.expect("no panic")?, *b"ping");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_start(&self, on_read: impl FnMut(&Self, ReadEvent<'_>) + 'static) -> io::Result<()> {
        if self.is_gone() {
            return Err(gone());
        }
        let reader = &self.inner.reader;
        reader.reading.set(true);
        reader.starts.set(reader.starts.get().wrapping_add(1));
        drop(reader.on_read.replace(Some(Box::new(on_read))));
        self.follow();
        // What came before is there without a new event.
        self.inner.lp.state.sources.run_again(self.inner.token);
        Ok(())
    }

    /// Calls the read callback no more, at once: also in the middle of a poll phase.
    pub fn read_stop(&self) {
        let old = self.inner.reader.stop();
        self.follow();
        drop(old);
    }

    /// Writes `bytes` at once as far as that goes, and queues a copy of the rest.
    ///
    /// # Errors
    /// What the system says, `NotConnected` for a closed stream and `BrokenPipe` after a shutdown. `WouldBlock`, with nothing taken, if `bytes`
    /// and what is queued are together longer than
    /// [`Limits::write_queue_len_max`](crate::Limits::write_queue_len_max). An error of a queued
    /// write closes the stream unless it has a callback: use [`queue_write_with`](Self::queue_write_with) to learn of it.
    pub fn queue_write(&self, bytes: &[u8]) -> io::Result<()> {
        self.enqueue(bytes, None)
    }

    /// As [`queue_write`](Self::queue_write), and calls back when all of `bytes` is written or has failed.
    ///
    /// # Ordering
    /// Callbacks of writes come in the order of the writes, in the pending phase. Source: PROMISES, write_queue_order.
    ///
    /// # Errors
    /// As `queue_write`; the callback is then dropped.
    pub fn queue_write_with(
        &self,
        bytes: &[u8],
        on_written: impl FnOnce(&Self, io::Result<()>) + 'static,
    ) -> io::Result<()> {
        self.enqueue(bytes, Some(Box::new(on_written)))
    }

    /// Writes what the system takes now, and queues nothing.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing, or if earlier writes are queued: bytes are never reordered. `BrokenPipe` after a
    /// shutdown, `NotConnected` for a closed stream, and what the system says.
    #[inline]
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let socket = self.inner.socket.borrow();
        let Some(mut socket) = socket.as_ref().filter(|_| !self.inner.lp.is_closed()) else {
            return Err(gone());
        };
        if self.inner.shut_down.get() {
            return Err(sys::broken_pipe());
        }
        if self.write_queue_len() > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = socket.write(bytes);
        match &written {
            Ok(len) if *len < bytes.len() => self.clear_ready(Readiness::WRITABLE),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.clear_ready(Readiness::ANY_WRITE),
            _ => {}
        }
        written
    }

    /// Bytes that wait to be written.
    pub fn write_queue_len(&self) -> usize {
        self.inner.writes.borrow().as_ref().map_or(0, |writes| writes.len)
    }

    /// Sends the end of the stream when all that is queued is written, and calls back then.
    ///
    /// # Errors
    /// `NotConnected` if it was shut down or closed before. The callback is then dropped.
    pub fn shutdown_with(&self, on_done: impl FnOnce(&Self, io::Result<()>) + 'static) -> io::Result<()> {
        if self.is_gone() || self.inner.shut_down.replace(true) {
            return Err(gone());
        }
        self.inner.lp.state.alive.hold();
        let rest = self.with_writes(|writes| writes.shutdown.replace(Box::new(on_done)));
        debug_assert!(rest.is_none());
        self.follow();
        self.finish_shutdown();
        Ok(())
    }

    /// Closes the connection. What is queued is not written: its callbacks get `ECANCELED`.
    pub fn close(&self) {
        self.close_now(None);
    }

    /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if the
    /// stream was closed before.
    pub fn close_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> bool {
        let callback = self.inner.lp.wrap(on_close);
        self.close_now(Some(callback))
    }

    /// True once the stream was closed.
    pub fn is_closed(&self) -> bool {
        self.inner.socket.borrow().is_none()
    }

    /// Lets a started read callback keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = true);
    }

    /// Lets the loop end while a read callback is started.
    pub fn unref(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = false);
    }

    /// Waits until the callback front has written all it has queued.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut writes = self.inner.writes.borrow_mut();
        match &mut *writes {
            Some(writes) if !writes.queue.is_empty() => {
                if !writes.flushed.iter().any(|known| known.will_wake(cx.waker())) {
                    writes.flushed.push(cx.waker().clone());
                }
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// True if neither the socket nor the loop would ever call back.
    fn is_gone(&self) -> bool {
        self.is_closed() || self.inner.lp.is_closed()
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        let Some(socket) = self.inner.socket.borrow_mut().take() else { return false };
        let lp = &self.inner.lp;
        let writes = self.inner.writes.take();
        let _on_read = self.inner.reader.stop(); // dropped at the end, when all else is in order
        lp.close_source(self.inner.token);
        drop(socket);
        if let Some(mut writes) = writes {
            let queued = writes.queue.drain(..).map(|write| write.on_done);
            let shutdown = writes.shutdown.take().map(Some);
            for on_done in queued.chain(shutdown) {
                lp.state.alive.release(); // the queue's hold; `owe` has its own
                if let Some(on_done) = on_done {
                    self.owe(on_done, Err(sys::cancelled()));
                }
            }
            writes.flushed.drain(..).for_each(Waker::wake);
        }
        if lp.state.closed.get() {
            return true;
        }
        lp.state.alive.hold();
        lp.state.closing.borrow_mut().push(Closing { release: None, callback });
        true
    }

    /// Calls `on_done` in the pending phase.
    fn owe(&self, on_done: OnDone, result: io::Result<()>) {
        let stream = self.clone();
        self.inner.lp.defer(move |_| on_done(&stream, result));
    }

    fn enqueue(&self, bytes: &[u8], on_done: Option<OnDone>) -> io::Result<()> {
        // Asked before anything is written: a write that was begun can not be refused.
        let queued = self.write_queue_len();
        if queued.saturating_add(bytes.len()) > self.inner.lp.state.limits.write_queue_len_max
            && !self.is_gone()
        {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = match self.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            written => written?,
        };
        if written < bytes.len() || queued > 0 {
            self.queue_rest(&bytes[written..], on_done);
        } else if let Some(on_done) = on_done {
            self.owe(on_done, Ok(()));
        }
        Ok(())
    }

    #[inline(never)] // nearly every write goes out whole
    fn queue_rest(&self, rest: &[u8], on_done: Option<OnDone>) {
        self.inner.lp.state.alive.hold();
        self.with_writes(|writes| {
            writes.len += rest.len();
            writes.queue.push_back(QueuedWrite { bytes: rest.to_vec(), written: 0, on_done });
        });
        self.follow();
    }

    fn with_writes<R>(&self, f: impl FnOnce(&mut Writes) -> R) -> R {
        f(self.inner.writes.borrow_mut().get_or_insert_default())
    }

    /// Has the loop hold the stream, and count it, as far as the callback front has something under way.
    fn follow(&self) {
        let lp = &self.inner.lp;
        let reading = self.inner.reader.reading.get();
        let writes = self.inner.writes.borrow();
        let writing = writes.as_ref().is_some_and(|w| !w.queue.is_empty() || w.shutdown.is_some());
        drop(writes);
        lp.update_source(self.inner.token, |flags| flags.active = reading);
        let busy = reading || writing;
        let target = busy.then(|| Rc::clone(&self.inner) as Rc<dyn Ready>);
        lp.state.sources.set_target(self.inner.token, target);
    }

    fn clear_ready(&self, readiness: Readiness) {
        self.inner.lp.state.sources.clear(self.inner.token, readiness);
    }

    fn has_ready(&self, readiness: Readiness) -> bool {
        self.inner.lp.state.sources.readiness(self.inner.token).has(readiness)
    }

    /// Writes what is queued, as far as the system takes it.
    fn flush(&self) {
        while let Some(result) = self.write_first() {
            let (done, flushed) = self.with_writes(|writes| {
                let first = writes.queue.pop_front();
                let rest = first.as_ref().map_or(0, |write| write.bytes.len() - write.written);
                writes.len -= rest;
                let flushed =
                    if writes.queue.is_empty() { std::mem::take(&mut writes.flushed) } else { Vec::new() };
                (first.and_then(|write| write.on_done), flushed)
            });
            flushed.into_iter().for_each(Waker::wake);
            let failed = result.is_err();
            self.inner.lp.state.alive.release();
            match done {
                Some(on_done) => self.owe(on_done, result),
                // Nobody would learn of it otherwise; the read callback, if any, goes with the stream.
                None if failed => self.close(),
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
        self.with_writes(|writes| {
            let write = writes.queue.front_mut()?;
            loop {
                let rest = &write.bytes[write.written..];
                if rest.is_empty() {
                    return Some(Ok(()));
                }
                match self.with_socket(|mut socket| socket.write(rest)) {
                    Ok(0) => return Some(Err(io::ErrorKind::WriteZero.into())),
                    Ok(len) => {
                        write.written += len;
                        writes.len -= len;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.clear_ready(Readiness::ANY_WRITE);
                        return None;
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
        })
    }

    /// Shuts down once the queue is empty.
    fn finish_shutdown(&self) {
        let on_done = self.with_writes(|writes| writes.shutdown.take_if(|_| writes.queue.is_empty()));
        if let Some(on_done) = on_done {
            let result = self.with_socket(|socket| socket.shutdown(Shutdown::Write));
            self.owe(on_done, result);
            self.inner.lp.state.alive.release();
            self.follow();
        }
    }

    /// Reads and calls back until the source is exhausted, reading stops, or the turn's budget is spent.
    fn read_ready(&self, readiness: Readiness) {
        let lp = &self.inner.lp;
        let mut more = readiness.has(Readiness::ANY_READ);
        for _ in 0..lp.state.limits.reads_per_turn.get() {
            if !more || !self.is_reading() {
                return;
            }
            lp.call(|lp| {
                let mut buffer = lp.borrow_read_buffer();
                let result = self.with_socket(|mut socket| socket.read(&mut buffer));
                more = self.may_read_more(&result, buffer.len());
                self.handle_read(result, &buffer);
                lp.return_read_buffer(buffer);
            });
        }
        if more && self.is_reading() {
            lp.state.sources.run_again(self.inner.token);
        }
    }

    /// Notes what a read says of the source: whether the next one may find something too.
    fn may_read_more(&self, result: &io::Result<usize>, full: usize) -> bool {
        let (sources, token) = (&self.inner.lp.state.sources, self.inner.token);
        let left = match result {
            Ok(len) if (1..full).contains(len) => sources.exhaust(token, Readiness::READABLE),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sources.clear(token, Readiness::ANY_READ)
            }
            _ => return true, // the end of the stream stays, and an error is for the next read to confirm
        };
        left.has(Readiness::ANY_READ)
    }

    fn handle_read(&self, result: io::Result<usize>, buffer: &[u8]) {
        match result {
            Ok(0) => self.end_reading(ReadEvent::End),
            Ok(len) => self.call_reader(ReadEvent::Data(&buffer[..len])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
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
    }

    fn call_reader(&self, event: ReadEvent<'_>) {
        let reader = &self.inner.reader;
        let mut running = PutBack { reader, start: reader.starts.get(), on_read: reader.on_read.take() };
        if let Some(on_read) = &mut running.on_read {
            on_read(self, event);
        }
    }

    fn is_reading(&self) -> bool {
        self.inner.reader.reading.get()
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
    fn ready(self: Rc<Self>, lp: &LoopHandle, readiness: Readiness) {
        let stream = TcpStream { inner: self };
        // First, so that the reader gets the error of a reset: the system gives it once, and then the end of the stream.
        stream.read_ready(readiness);
        if stream.write_queue_len() > 0 && stream.has_ready(Readiness::ANY_WRITE) {
            lp.call(|_| stream.flush()); // it may wake a task, or close the stream
        }
    }

    fn forget(&self) {
        let mut writes = self.writes.take();
        if let Some(writes) = &mut writes {
            writes.flushed.drain(..).for_each(Waker::wake);
        }
        drop((self.reader.stop(), writes)); // while nothing is borrowed: they may own anything
    }
}

impl LoopHandle {
    /// The loop's read buffer, or a fresh one while a callback of another read has it.
    fn borrow_read_buffer(&self) -> Box<[u8]> {
        let lent = self.state.read_buffer.take();
        lent.unwrap_or_else(|| vec![0; self.state.limits.read_buffer_len.get()].into_boxed_slice())
    }

    fn return_read_buffer(&self, buffer: Box<[u8]>) {
        self.state.read_buffer.set(Some(buffer));
    }
}
