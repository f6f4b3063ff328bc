//! Reading a file as a stream.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::{Bound, Deref, RangeBounds};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use futures_io::AsyncRead;
use phaseloop::LoopHandle;

use super::slot::Slot;
use crate::fs::{File, Fs, FsError};
use crate::request::LoopPool;

/// How a file is read as a stream: see [`Fs::read_stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// `None` reads from the file's position on.
    start: Option<u64>,
    len_max: u64,
    high_water_mark: usize,
    auto_close: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { start: None, len_max: u64::MAX, high_water_mark: 64 * 1024, auto_close: true }
    }
}

impl ReadOptions {
    /// From the file's position to its end, in chunks of 64 KiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads these bytes only. (Node's `end` is the last byte to be read; a Rust range says which.)
    pub fn range(mut self, range: impl RangeBounds<u64>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&start) => Some(start),
            Bound::Excluded(&start) => Some(start.saturating_add(1)),
            Bound::Unbounded => None,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        self.start = start;
        self.len_max = end.saturating_sub(start.unwrap_or(0));
        self
    }

    /// Bytes that are read at a time, and above which no more are read ahead; at least 1. Default: 64 KiB. So a stream holds
    /// less than twice as much. Source: Node, `highWaterMark`.
    pub fn high_water_mark(mut self, len: usize) -> Self {
        self.high_water_mark = len.max(1);
        self
    }

    /// Whether the file is closed at the end or after an error. Default: yes. If not, see [`ReadStream::into_file`].
    pub fn auto_close(mut self, auto_close: bool) -> Self {
        self.auto_close = auto_close;
        self
    }
}

impl Fs {
    /// Opens a file and reads it piece by piece: as a `Stream` of chunks, as an `AsyncRead`, or with callbacks.
    ///
    /// Opening begins at once; reading when the first chunk is asked for, by a poll or by
    /// [`on_data`](ReadControl::on_data).
    ///
    /// # Examples
    /// ```
    /// # use fs_pool::{fs::{Fs, ReadOptions}, pool::Pool, request::LoopPool};
    /// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
    /// # let fs = Fs::new(&LoopPool::new(&lp, &pool));
    /// lp.block_on(async {
    ///     let mut stream = fs.read_stream("Cargo.toml", ReadOptions::new().range(1..8));
    ///     assert_eq!(stream.next_chunk().await.expect("it is long enough")?, b"package");
    ///     assert!(stream.next_chunk().await.is_none());
    ///     Ok::<(), fs_pool::fs::FsError>(())
    /// })??;
    ///
    /// // With callbacks:
    /// let stream = fs.read_stream("Cargo.toml", ReadOptions::new());
    /// stream.on_data(|_, chunk| assert!(chunk.starts_with(b"[package]")));
    /// stream.on_error(|_, error| panic!("{error}"));
    /// drop(stream); // it goes on by itself
    /// lp.run(phaseloop::RunMode::Default)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_stream(&self, path: impl AsRef<Path>, options: ReadOptions) -> ReadStream {
        let core = Core::new(self.pool(), Arc::from(path.as_ref()), options);
        let opening = Rc::clone(&core);
        self.open(path).on_done(move |lp, opened| opening.opened(lp, opened));
        ReadStream { control: ReadControl { core } }
    }
}

impl File {
    /// Reads what is left of the file, or a range of it, piece by piece. The file is closed as the options say.
    #[track_caller]
    pub fn into_read_stream(self, options: ReadOptions) -> ReadStream {
        let core = Core::new(self.loop_pool(), Arc::from(self.path()), options);
        core.file.replace(Some(self));
        core.phase.set(Phase::Idle);
        ReadStream { control: ReadControl { core } }
    }
}

/// A file that is read piece by piece. Made by [`Fs::read_stream`].
///
/// Its callbacks and what else can be done to it from inside them are [`ReadControl`]'s, which it derefs to.
///
/// Dropping it destroys the stream, unless it has an [`on_data`](ReadControl::on_data) callback: then it goes on to its end.
///
/// # Ordering
/// A chunk is one job, and its callback runs in the poll phase, with a checkpoint of its own. `open` and `ready` come in the
/// completion of opening; `end` in a tick after the completion that found the end; `close` in a tick after the completion
/// of closing. Source: Node, `lib/internal/fs/streams.js`.
///
/// # Errors
/// The first one ends the stream. With futures it is an item, or the result of a read, once; with callbacks
/// [`on_error`](ReadControl::on_error) gets it. One that nobody asks for is dropped.
///
/// # Cancel safety
/// Dropping the future of a chunk or of a read loses nothing.
pub struct ReadStream {
    control: ReadControl,
}

impl ReadStream {
    /// The next chunk, or `None` at the end or once it is destroyed.
    pub async fn next_chunk(&mut self) -> Option<Result<Vec<u8>, FsError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// As [`next_chunk`](Self::next_chunk), for a future of one's own.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, FsError>>> {
        let core = &self.control.core;
        if let Some(chunk) = core.take_chunk() {
            core.pump();
            return Poll::Ready(Some(Ok(chunk)));
        }
        core.poll_none(cx).map(|error| error.map(Err))
    }

    /// Stops here, and gives the file if it is open and no read is under way.
    pub fn into_file(self) -> Option<File> {
        let core = &self.control.core;
        if core.phase.get() == Phase::Reading { None } else { core.file.take() }
    }
}

impl Deref for ReadStream {
    type Target = ReadControl;

    fn deref(&self) -> &ReadControl {
        &self.control
    }
}

impl Stream for ReadStream {
    type Item = Result<Vec<u8>, FsError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx)
    }
}

impl AsyncRead for ReadStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let core = &self.control.core;
        let len = core.copy_to(buf);
        if len > 0 || buf.is_empty() {
            core.pump();
            return Poll::Ready(Ok(len));
        }
        match ready!(core.poll_none(cx)) {
            Some(error) => Poll::Ready(Err(error.into())),
            None => Poll::Ready(Ok(0)),
        }
    }
}

impl Drop for ReadStream {
    fn drop(&mut self) {
        if !self.control.core.data.is_set() {
            self.control.destroy();
        }
    }
}

impl fmt::Debug for ReadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.control.fmt_as("ReadStream", f)
    }
}

/// What can be done to a [`ReadStream`], also from inside its callbacks, which get it. Cheap to clone.
#[derive(Clone)]
pub struct ReadControl {
    core: Rc<Core>,
}

impl ReadControl {
    /// Has `on_data` called with each chunk, and starts the flow.
    pub fn on_data(&self, on_data: impl FnMut(&Self, Vec<u8>) + 'static) {
        self.core.data.set(self.core.lp(), on_data);
        self.resume();
    }

    /// Has `on_end` called when all was read and given out.
    pub fn on_end(&self, mut on_end: impl FnMut(&Self) + 'static) {
        self.core.end.set(self.core.lp(), move |control, ()| on_end(control));
    }

    /// Has `on_error` called with what went wrong, once.
    pub fn on_error(&self, on_error: impl FnMut(&Self, FsError) + 'static) {
        self.core.failed.set(self.core.lp(), on_error);
    }

    /// Has `on_close` called when the file is closed: the last event.
    pub fn on_close(&self, mut on_close: impl FnMut(&Self) + 'static) {
        self.core.close.set(self.core.lp(), move |control, ()| on_close(control));
    }

    /// Has `on_open` called when the file is open.
    pub fn on_open(&self, mut on_open: impl FnMut(&Self) + 'static) {
        self.core.open.set(self.core.lp(), move |control, ()| on_open(control));
    }

    /// Has `on_ready` called right after [`on_open`](Self::on_open).
    pub fn on_ready(&self, mut on_ready: impl FnMut(&Self) + 'static) {
        self.core.ready.set(self.core.lp(), move |control, ()| on_ready(control));
    }

    /// Calls `on_data` no more, at once. What is read ahead waits, up to the high water mark. A paused stream that reads nothing
    /// does not keep the loop alive.
    pub fn pause(&self) {
        self.core.flow.set(Flow::Paused);
    }

    /// Goes on, in a tick.
    pub fn resume(&self) {
        self.core.flow.set(Flow::Flowing);
        let core = Rc::clone(&self.core);
        self.core.lp().next_tick(move |lp| core.give_out(lp));
    }

    /// Whether [`pause`](Self::pause) was the last that was said.
    pub fn is_paused(&self) -> bool {
        self.core.flow.get() == Flow::Paused
    }

    /// Reads no more, forgets what was read ahead and closes the file. Only `close` is still told.
    pub fn destroy(&self) {
        self.core.destroy(None);
    }

    /// How many bytes were read so far, those ahead included.
    pub fn bytes_read(&self) -> u64 {
        self.core.bytes_read.get()
    }

    /// The path with which the file was or is to be opened.
    pub fn path(&self) -> &Path {
        &self.core.path
    }

    /// The loop.
    pub fn lp(&self) -> &LoopHandle {
        self.core.lp()
    }

    fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.core;
        let mut out = f.debug_struct(name);
        out.field("path", &core.path).field("phase", &core.phase.get()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ReadControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("ReadControl", f)
    }
}

/// The state behind both fronts. Kept alive by what is under way, and by whoever holds the stream or a control.
struct Core {
    pool: LoopPool,
    path: Arc<Path>,
    options: ReadOptions,
    phase: Cell<Phase>,
    flow: Cell<Flow>,
    /// Wanted while a job is under way: then its completion does it.
    is_destroyed: Cell<bool>,
    file: RefCell<Option<File>>,
    left: Cell<u64>,
    bytes_read: Cell<u64>,
    /// What was read ahead, of which `consumed` bytes of the first chunk are given out.
    chunks: RefCell<VecDeque<Vec<u8>>>,
    buffered: Cell<usize>,
    consumed: Cell<usize>,
    error: RefCell<Option<FsError>>,
    waker: RefCell<Option<Waker>>,
    open: Slot<ReadControl, ()>,
    ready: Slot<ReadControl, ()>,
    data: Slot<ReadControl, Vec<u8>>,
    end: Slot<ReadControl, ()>,
    failed: Slot<ReadControl, FsError>,
    close: Slot<ReadControl, ()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Idle,
    Reading,
    /// All was read, and may wait to be given out.
    Read,
    /// All was given out.
    Ended,
    Closing,
    Closed,
}

/// Who takes the chunks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Nobody,
    Polled,
    Flowing,
    Paused,
}

impl Core {
    fn new(pool: &LoopPool, path: Arc<Path>, options: ReadOptions) -> Rc<Self> {
        Rc::new(Self {
            pool: pool.clone(),
            path,
            options,
            phase: Cell::new(Phase::Opening),
            flow: Cell::new(Flow::Nobody),
            is_destroyed: Cell::new(false),
            file: RefCell::default(),
            left: Cell::new(options.len_max),
            bytes_read: Cell::new(0),
            chunks: RefCell::default(),
            buffered: Cell::new(0),
            consumed: Cell::new(0),
            error: RefCell::default(),
            waker: RefCell::default(),
            open: Slot::default(),
            ready: Slot::default(),
            data: Slot::default(),
            end: Slot::default(),
            failed: Slot::default(),
            close: Slot::default(),
        })
    }

    fn lp(&self) -> &LoopHandle {
        self.pool.lp()
    }

    fn control(self: &Rc<Self>) -> ReadControl {
        ReadControl { core: Rc::clone(self) }
    }

    // --- what comes back from the pool ---

    fn opened(self: &Rc<Self>, lp: &LoopHandle, opened: Result<File, FsError>) {
        self.phase.set(Phase::Idle);
        match opened {
            Ok(file) => {
                self.file.replace(Some(file));
                if self.is_destroyed.get() {
                    return self.close_file(lp);
                }
                self.open.call(&self.control(), ());
                self.ready.call(&self.control(), ());
                self.pump();
            }
            Err(error) => self.destroy(Some(error)),
        }
    }

    fn read(self: &Rc<Self>, lp: &LoopHandle, read: Result<Vec<u8>, FsError>) {
        self.phase.set(Phase::Idle);
        if self.is_destroyed.get() {
            return self.close_file(lp);
        }
        match read {
            Err(error) => self.destroy(Some(error)),
            Ok(chunk) if chunk.is_empty() => self.all_read(),
            Ok(chunk) => {
                self.bytes_read.set(self.bytes_read.get() + chunk.len() as u64);
                self.left.set(self.left.get() - chunk.len() as u64);
                self.buffered.set(self.buffered.get() + chunk.len());
                self.chunks.borrow_mut().push_back(chunk);
                self.wake();
                self.give_out(lp);
            }
        }
    }

    // --- what goes on ---

    /// Calls `on_data` with what is there, as long as it flows, and sees that more comes.
    fn give_out(self: &Rc<Self>, _lp: &LoopHandle) {
        while self.flow.get() == Flow::Flowing && self.data.is_set() && !self.is_destroyed.get() {
            let Some(chunk) = self.take_chunk() else { break };
            self.data.call(&self.control(), chunk);
        }
        self.pump();
    }

    /// Starts the next read, if somebody wants it and there is room; or finds that all is given out.
    fn pump(self: &Rc<Self>) {
        if self.is_destroyed.get() || self.flow.get() == Flow::Nobody {
            return;
        }
        if self.phase.get() == Phase::Read && self.buffered.get() == 0 && self.flow.get() != Flow::Paused {
            return self.all_given_out();
        }
        if self.phase.get() != Phase::Idle || self.buffered.get() >= self.options.high_water_mark {
            return;
        }
        let wanted = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(self.options.high_water_mark);
        if wanted == 0 {
            return self.all_read();
        }
        let file = self.file.borrow();
        let Some(file) = file.as_ref() else { return };
        let read = match self.options.start {
            Some(start) => file.read_at(wanted, start.saturating_add(self.bytes_read.get())),
            None => file.read(wanted),
        };
        self.phase.set(Phase::Reading);
        let core = Rc::clone(self);
        read.on_done(move |lp, read| core.read(lp, read));
    }

    fn all_read(self: &Rc<Self>) {
        self.phase.set(Phase::Read);
        self.wake();
        self.pump();
    }

    fn all_given_out(self: &Rc<Self>) {
        self.phase.set(Phase::Ended);
        let core = Rc::clone(self);
        self.lp().next_tick(move |_| {
            if core.phase.get() == Phase::Ended && !core.is_destroyed.get() {
                core.end.call(&core.control(), ());
                if core.options.auto_close {
                    core.destroy(None);
                }
            }
        });
    }

    fn destroy(self: &Rc<Self>, error: Option<FsError>) {
        if self.is_destroyed.get() {
            return;
        }
        let keeps_file = error.is_some() && !self.options.auto_close;
        self.is_destroyed.set(true);
        if error.is_some() {
            self.error.replace(error);
        }
        drop(self.chunks.take());
        self.buffered.set(0);
        self.wake();
        match self.phase.get() {
            Phase::Opening | Phase::Reading => {} // its completion closes
            _ if keeps_file => self.tell_closed(),
            _ => self.close_file(self.lp()),
        }
    }

    fn close_file(self: &Rc<Self>, _lp: &LoopHandle) {
        let core = Rc::clone(self);
        let file = self.file.take();
        self.phase.set(Phase::Closing);
        match file {
            Some(file) => file.close().on_done(move |_, _| core.tell_closed()),
            None => self.tell_closed(),
        }
    }

    fn tell_closed(self: &Rc<Self>) {
        let core = Rc::clone(self);
        self.lp().next_tick(move |_| {
            core.phase.set(Phase::Closed);
            let control = core.control();
            if core.failed.is_set()
                && let Some(error) = core.error.take()
            {
                core.failed.call(&control, error);
            }
            core.close.call(&control, ());
            core.wake();
            core.let_go();
        });
    }

    /// Drops the callbacks, which may hold what holds this.
    fn let_go(&self) {
        for slot in [&self.open, &self.ready, &self.end, &self.close] {
            slot.clear();
        }
        self.data.clear();
        self.failed.clear();
    }

    // --- what the futures ask ---

    fn take_chunk(&self) -> Option<Vec<u8>> {
        let mut chunk = self.chunks.borrow_mut().pop_front()?;
        let consumed = self.consumed.take();
        self.buffered.set(self.buffered.get() - (chunk.len() - consumed));
        if consumed > 0 {
            chunk.drain(..consumed);
        }
        Some(chunk)
    }

    /// Moves as much as there is of the first chunk.
    fn copy_to(&self, buf: &mut [u8]) -> usize {
        let mut chunks = self.chunks.borrow_mut();
        let Some(chunk) = chunks.front() else { return 0 };
        let rest = &chunk[self.consumed.get()..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.buffered.set(self.buffered.get() - len);
        self.consumed.set(self.consumed.get() + len);
        if self.consumed.get() == chunk.len() {
            self.consumed.set(0);
            chunks.pop_front();
        }
        len
    }

    /// There is no chunk: is there an error, or is it over?
    fn poll_none(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Option<FsError>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(error));
        }
        if self.flow.get() == Flow::Nobody {
            self.flow.set(Flow::Polled);
        }
        self.pump();
        let is_over = matches!(self.phase.get(), Phase::Ended | Phase::Closing | Phase::Closed);
        if is_over || self.is_destroyed.get() || self.lp().is_closed() {
            return Poll::Ready(None);
        }
        let old = self.waker.replace(Some(cx.waker().clone()));
        drop(old);
        Poll::Pending
    }

    fn wake(&self) {
        let waker = self.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}
