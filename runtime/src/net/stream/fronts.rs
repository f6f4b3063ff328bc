//! What users type: the futures and the callbacks of a stream.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::ByteStream;
use super::callbacks::{OnRead, Passed, ReadEvent};
use super::writes::OnDone;
use crate::net::family::StreamFamily;
use crate::net::sys;
use crate::state::sources::Direction;

/// Reading and writing with futures.
impl<K: StreamFamily> ByteStream<K> {
    /// Reads what is there into `buf` and gives the number of bytes; zero is the end of the stream.
    ///
    /// # Cancel safety
    /// Nothing is lost: bytes are taken only when the future is done.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// Fills `buf`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the stream ends before that.
    ///
    /// # Cancel safety
    /// What was read so far is lost to whoever drops the future.
    pub async fn read_exact(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read(&mut buf[filled..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => filled += len,
            }
        }
        Ok(())
    }

    /// Writes some of `buf` and gives the number of bytes.
    ///
    /// # Cancel safety
    /// Nothing was written if the future is dropped before it is done.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, buf)).await
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// `WriteZero` if the system takes nothing more.
    ///
    /// # Cancel safety
    /// An unknown part was written if the future is dropped.
    pub async fn write_all(&self, buf: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < buf.len() {
            match self.write(&buf[written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => written += len,
            }
        }
        Ok(())
    }

    /// Looks at what is there without taking it.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.core.poll_peek(cx, buf)).await
    }

    /// Waits until a read would not block, the end of the stream included.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.core.poll_ready(cx, Direction::Read)).await
    }

    /// Waits until a write would not block.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.core.poll_ready(cx, Direction::Write)).await
    }

    /// Wakes the tasks that wait for this stream, to look again. For a stream that goes from one task to another: until it is ready, it
    /// keeps the wakers of those who waited, and so the memory of a task that has ended.
    pub fn wake_waiting(&self) {
        self.core.base.wake_all();
    }

    /// Waits until all that callbacks queued is written, or the stream is closed.
    pub async fn flushed(&self) {
        poll_fn(|cx| self.core.poll_flushed(cx)).await;
    }

    /// Sends the end of the stream; what the peer still sends can be read.
    ///
    /// # Errors
    /// `NotConnected` if it was shut down or closed before.
    pub async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// As [`read`](Self::read), for use in a `poll` function.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.core.poll_read(cx, buf)
    }

    /// As [`poll_read`](Self::poll_read), into several buffers.
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.core.poll_read_vectored(cx, bufs)
    }

    /// As [`write`](Self::write), for use in a `poll` function.
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.core.poll_write(cx, buf)
    }

    /// As [`poll_write`](Self::poll_write), from several buffers in one system call.
    pub fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.core.poll_write_vectored(cx, bufs)
    }

    /// As [`shutdown`](Self::shutdown), for use in a `poll` function.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.core.poll_shutdown(cx)
    }
}

/// Reading and writing without waiting, and with callbacks.
impl<K: StreamFamily> ByteStream<K> {
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
    pub fn read_start(&self, mut on_read: impl FnMut(&Self, ReadEvent<'_>) + 'static) -> io::Result<()> {
        let on_read: OnRead = match self.lp().captured_context() {
            None => Box::new(move |core, event, _| on_read(&Self::of(core), event)),
            context => Box::new(move |core, event, _| {
                core.base.lp.in_context(context.clone(), || on_read(&Self::of(core), event));
            }),
        };
        self.core.read_start(false, on_read)
    }

    /// As `read_start`, for families that pass descriptors.
    pub(in crate::net) fn read_start_with_passed(
        &self,
        mut on_read: impl FnMut(&Self, ReadEvent<'_>, Passed) + 'static,
    ) -> io::Result<()> {
        let context = self.lp().captured_context();
        let on_read: OnRead = Box::new(move |core, event, passed| {
            core.base.lp.in_context(context.clone(), || on_read(&Self::of(core), event, passed));
        });
        self.core.read_start(true, on_read)
    }

    /// Calls the read callback no more, at once: also in the middle of a poll phase.
    pub fn read_stop(&self) {
        self.core.read_stop();
    }

    /// Reads what is there now into `buf`; zero is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there, `NotConnected` for a closed stream, and what the system says.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.core.read_now(buf.len(), |len| *len, |fd| sys::read(fd, buf))
    }

    /// Writes `bytes` at once as far as that goes, and queues a copy of the rest.
    ///
    /// If the rest fails later, [`on_write_error`](Self::on_write_error) is told; without it, the stream is closed. Use
    /// [`queue_write_with`](Self::queue_write_with) to learn of each write.
    ///
    /// # Errors
    /// What the system says, `NotConnected` for a closed stream and `BrokenPipe` after a shutdown. With nothing taken, a
    /// [`WriteRefused`](crate::net::WriteRefused): `WouldBlock` if `bytes` and what is queued are together longer than
    /// [`Limits::write_queue_len_max`](crate::Limits::write_queue_len_max), `InvalidInput` if `bytes` alone are. `WouldBlock` too if
    /// [`Limits::queued_writes_max`](crate::Limits::queued_writes_max) writes wait.
    pub fn queue_write(&self, bytes: &[u8]) -> io::Result<()> {
        self.core.enqueue(bytes, None)
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
        self.core.enqueue(bytes, Some(self.bind_done(on_written)))
    }

    /// Writes what the system takes now, and queues nothing.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing, or if earlier writes are queued: bytes are never reordered. `BrokenPipe` after a
    /// shutdown, `NotConnected` for a closed stream, and what the system says.
    #[inline]
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.core.try_write(bytes)
    }

    /// Bytes that wait to be written.
    pub fn write_queue_len(&self) -> usize {
        self.core.write_queue_len()
    }

    /// Writes that wait, however short.
    pub(crate) fn queued_writes(&self) -> usize {
        self.core.queued_writes()
    }

    /// True from the write that brought the queue to the high water mark until the queue is empty: a hint to pause whoever
    /// produces what is written.
    pub fn is_write_queue_high(&self) -> bool {
        self.core.is_write_queue_high()
    }

    /// Sets the high water mark of this stream, in bytes. Holds for writes from now on.
    ///
    /// The default is [`Limits::write_high_water_mark`](crate::Limits::write_high_water_mark).
    pub fn set_write_high_water_mark(&self, len: usize) {
        self.core.with_writes(|writes| writes.high_water_mark = Some(len));
    }

    /// Calls `on_drain` whenever the queue is empty again after it had reached the high water mark. Replaces the callback there
    /// was.
    ///
    /// # Ordering
    /// In the pending phase, behind the callback of the last write. Source: Node, the event `drain`.
    pub fn on_drain(&self, on_drain: impl Fn(&Self) + 'static) {
        let context = self.lp().captured_context();
        let on_drain = move |core: &Rc<super::Core>| {
            core.base.lp.in_context(context.clone(), || on_drain(&Self::of(core)));
        };
        let old = self.core.with_writes(|writes| writes.on_drain.replace(Rc::new(on_drain)));
        drop(old);
    }

    /// Calls `on_error` when a queued write without a callback of its own has failed, instead of closing the stream. Replaces
    /// the callback there was.
    ///
    /// # Ordering
    /// In the pending phase, in line with the callbacks of other writes.
    pub fn on_write_error(&self, on_error: impl Fn(&Self, io::Error) + 'static) {
        let context = self.lp().captured_context();
        let on_error = move |core: &Rc<super::Core>, error| {
            core.base.lp.in_context(context.clone(), || on_error(&Self::of(core), error));
        };
        let old = self.core.with_writes(|writes| writes.on_error.replace(Rc::new(on_error)));
        drop(old);
    }

    /// Sends the end of the stream when all that is queued is written, and calls back then.
    ///
    /// # Errors
    /// `NotConnected` if it was shut down or closed before. The callback is then dropped.
    pub fn shutdown_with(&self, on_done: impl FnOnce(&Self, io::Result<()>) + 'static) -> io::Result<()> {
        self.core.shutdown_with(self.bind_done(on_done))
    }

    /// The callback as the core keeps it, with the context that is in force now.
    pub(in crate::net) fn bind_done(&self, on_done: impl FnOnce(&Self, io::Result<()>) + 'static) -> OnDone {
        match self.lp().captured_context() {
            None => Box::new(move |core, result| on_done(&Self::of(core), result)),
            context => Box::new(move |core, result| {
                core.base.lp.in_context(context, || on_done(&Self::of(core), result));
            }),
        }
    }
}
