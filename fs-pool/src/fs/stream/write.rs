//! Writing a file as a stream.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Write};
use std::ops::Deref;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_io::AsyncWrite;
use phaseloop::LoopHandle;

use super::slot::Slot;
use crate::fs::front::subject;
use crate::fs::operation::{Subject, Trips};
use crate::fs::target::Target;
use crate::fs::temp::vanish;
use crate::fs::{File, Fs, FsError, Operation, WriteOptions, vectored};
use crate::request::LoopPool;

impl Fs {
    /// Opens a file and writes it piece by piece: as an `AsyncWrite` or with callbacks. Opening begins at once.
    ///
    /// # Examples
    /// ```
    /// # use fs_pool::{fs::{Fs, WriteOptions}, pool::Pool, request::LoopPool};
    /// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
    /// # let fs = Fs::new(&LoopPool::new(&lp, &pool));
    /// # let folder = lp.block_on(fs.temp_folder(std::env::temp_dir().join("phaseloop-")))??;
    /// # let path = folder.path().join("file");
    /// lp.block_on(async {
    ///     let mut stream = fs.write_stream(&path, WriteOptions::new().atomic(true));
    ///     stream.write_chunk("not seen before it is whole").await?;
    ///     stream.finish().await
    /// })??;
    /// # assert_eq!(std::fs::read(&path)?.len(), 27);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn write_stream(&self, path: impl AsRef<Path>, options: WriteOptions) -> WriteStream {
        let core = Core::new(self.pool(), Arc::from(path.as_ref()), options);
        let (opening, path) = (Rc::clone(&core), Arc::clone(&core.path));
        let open =
            Operation::single(&self.trips, subject("open", &path), move |_| Target::open(&path, &options));
        open.on_done(move |lp, opened| opening.opened(lp, opened));
        WriteStream { control: WriteControl { core } }
    }
}

impl File {
    /// Writes to the file from its position on, piece by piece. The stream's end closes the file.
    pub fn into_write_stream(mut self) -> WriteStream {
        let core = Core::new(self.loop_pool(), Arc::from(self.path()), WriteOptions::new());
        core.target.replace(self.take_shared().map(Target::opened));
        core.phase.set(Phase::Idle);
        WriteStream { control: WriteControl { core } }
    }
}

/// A file that is written piece by piece. Made by [`Fs::write_stream`].
///
/// Its callbacks and what else can be done to it from inside them are [`WriteControl`]'s, which it derefs to.
///
/// Dropping it before its [`end`](WriteControl::end) destroys the stream: what is queued is not written, and an atomic file is
/// not seen. See [`into_control`](Self::into_control) for programs of callbacks.
///
/// # Ordering
/// One job is under way at a time; what is queued meanwhile is written by the next one, together. `open` and `ready` come in the
/// completion of opening, `drain`, `finish` and `close` in a tick after a completion. `finish` comes when the file is closed
/// and has its name. Source: Node, `lib/internal/fs/streams.js`, where it comes before the file is closed.
///
/// # Errors
/// The first one ends the stream and closes the file. With futures it is the result of a write, flush or close, once; with
/// callbacks [`on_error`](WriteControl::on_error) gets it. One that nobody asks for is dropped.
///
/// # Cancel safety
/// Dropping the future of a write, flush or close loses nothing.
pub struct WriteStream {
    control: WriteControl,
}

impl WriteStream {
    /// Waits for room, and queues all of the bytes without copying them.
    ///
    /// # Errors
    /// What went wrong before; or `BrokenPipe` if the stream has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is done, nothing was queued.
    pub async fn write_chunk(&mut self, bytes: impl Into<Vec<u8>>) -> Result<(), FsError> {
        let core = &self.control.core;
        std::future::poll_fn(|cx| core.poll_room(cx)).await?;
        core.push(bytes.into());
        Ok(())
    }

    /// Writes what is queued, and closes the file.
    ///
    /// # Errors
    /// What went wrong, now or before.
    pub async fn finish(&mut self) -> Result<(), FsError> {
        std::future::poll_fn(|cx| self.control.core.poll_closed(cx)).await
    }

    /// Lets the stream live as long as a control of it does, or something is queued.
    pub fn into_control(self) -> WriteControl {
        self.control.clone_kept()
    }
}

impl Deref for WriteStream {
    type Target = WriteControl;

    fn deref(&self) -> &WriteControl {
        &self.control
    }
}

impl AsyncWrite for WriteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let core = &self.control.core;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        core.poll_room(cx).map(|room| {
            let len = buf.len().min(room?);
            core.push(buf[..len].to_vec());
            Ok(len)
        })
    }

    /// Done once all is handed to the system; see [`WriteOptions::sync`] for the device.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.core.poll_flushed(cx).map_err(io::Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.core.poll_closed(cx).map_err(io::Error::from)
    }
}

impl Drop for WriteStream {
    fn drop(&mut self) {
        let core = &self.control.core;
        if !core.is_ended.get() && !core.is_kept.get() {
            self.control.destroy();
        }
    }
}

impl fmt::Debug for WriteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.control.fmt_as("WriteStream", f)
    }
}

/// Why bytes were not taken. They are given back.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// They and what is queued are together longer than [`WriteControl::QUEUE_LEN_MAX`]. Wait for `drain`.
    Full(Vec<u8>),
    /// The stream has ended or was destroyed.
    Closed(Vec<u8>),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "no room for {} bytes behind those that are queued", bytes.len()),
            Self::Closed(bytes) => write!(f, "the stream has ended: {} bytes came too late", bytes.len()),
        }
    }
}

impl std::error::Error for StreamError {}

/// What can be done to a [`WriteStream`], also from inside its callbacks, which get it. Cheap to clone.
#[derive(Clone)]
pub struct WriteControl {
    core: Rc<Core>,
}

impl WriteControl {
    /// Queued bytes above which a writer is told to pause: 64 KiB. Source: Node 22, `highWaterMark`.
    pub const HIGH_WATER_MARK: usize = 64 * 1024;

    /// Queued bytes above which a write is refused: 16 MiB. Only who does not pause when told to comes there.
    pub const QUEUE_LEN_MAX: usize = 16 << 20;

    /// Queues bytes. False tells to pause until [`on_drain`](Self::on_drain).
    ///
    /// # Errors
    /// Gives the bytes back: see [`StreamError`].
    pub fn queue_write(&self, bytes: impl Into<Vec<u8>>) -> Result<bool, StreamError> {
        let (core, bytes) = (&self.core, bytes.into());
        if core.is_over() {
            return Err(StreamError::Closed(bytes));
        }
        if core.queued.get() + bytes.len() > Self::QUEUE_LEN_MAX {
            return Err(StreamError::Full(bytes));
        }
        core.push(bytes);
        let has_room = core.queued.get() < Self::HIGH_WATER_MARK;
        if !has_room {
            core.needs_drain.set(true);
        }
        Ok(has_room)
    }

    /// Takes no more, and closes the file when all is written. A second call does nothing.
    pub fn end(&self) {
        self.core.end();
    }

    /// Writes no more and closes the file; an atomic one is removed. Only `close` is still told. A file that is just being closed
    /// and named keeps its name.
    pub fn destroy(&self) {
        self.core.destroy();
    }

    /// Has `on_open` called when the file is open.
    pub fn on_open(&self, mut on_open: impl FnMut(&Self) + 'static) {
        self.core.open.set(self.core.lp(), move |control, ()| on_open(control));
    }

    /// Has `on_ready` called right after [`on_open`](Self::on_open).
    pub fn on_ready(&self, mut on_ready: impl FnMut(&Self) + 'static) {
        self.core.ready.set(self.core.lp(), move |control, ()| on_ready(control));
    }

    /// Has `on_drain` called when nothing is queued, after a write that told to pause.
    pub fn on_drain(&self, mut on_drain: impl FnMut(&Self) + 'static) {
        self.core.drain.set(self.core.lp(), move |control, ()| on_drain(control));
    }

    /// Has `on_finish` called when all is written and the file has its name.
    pub fn on_finish(&self, mut on_finish: impl FnMut(&Self) + 'static) {
        self.core.finish.set(self.core.lp(), move |control, ()| on_finish(control));
    }

    /// Has `on_error` called with what went wrong, once.
    pub fn on_error(&self, on_error: impl FnMut(&Self, FsError) + 'static) {
        self.core.failed.set(self.core.lp(), on_error);
    }

    /// Has `on_close` called when the file is closed: the last event.
    pub fn on_close(&self, mut on_close: impl FnMut(&Self) + 'static) {
        self.core.close.set(self.core.lp(), move |control, ()| on_close(control));
    }

    /// Bytes that are queued or on their way.
    pub fn queued(&self) -> usize {
        self.core.queued.get()
    }

    /// How many bytes were written.
    pub fn bytes_written(&self) -> u64 {
        self.core.bytes_written.get()
    }

    /// The path that the file has, or is to have.
    pub fn path(&self) -> &Path {
        &self.core.path
    }

    /// The loop.
    pub fn lp(&self) -> &LoopHandle {
        self.core.lp()
    }

    fn clone_kept(&self) -> Self {
        self.core.is_kept.set(true);
        self.clone()
    }

    fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.core;
        let mut out = f.debug_struct(name);
        out.field("path", &core.path).field("phase", &core.phase.get()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WriteControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("WriteControl", f)
    }
}

/// The state behind both fronts. Kept alive by what is under way, and by whoever holds the stream or a control.
struct Core {
    pool: LoopPool,
    path: Arc<Path>,
    options: WriteOptions,
    phase: Cell<Phase>,
    is_ended: Cell<bool>,
    is_destroyed: Cell<bool>,
    is_kept: Cell<bool>,
    needs_drain: Cell<bool>,
    /// Not here while a job has it.
    target: RefCell<Option<Target>>,
    queue: RefCell<Vec<Vec<u8>>>,
    /// Bytes in the queue and in the job under way.
    queued: Cell<usize>,
    bytes_written: Cell<u64>,
    error: RefCell<Option<FsError>>,
    waker: RefCell<Option<Waker>>,
    open: Slot<WriteControl, ()>,
    ready: Slot<WriteControl, ()>,
    drain: Slot<WriteControl, ()>,
    finish: Slot<WriteControl, ()>,
    failed: Slot<WriteControl, FsError>,
    close: Slot<WriteControl, ()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Idle,
    Writing,
    Closing,
    Closed,
}

impl Core {
    fn new(pool: &LoopPool, path: Arc<Path>, options: WriteOptions) -> Rc<Self> {
        Rc::new(Self {
            pool: pool.clone(),
            path,
            options,
            phase: Cell::new(Phase::Opening),
            is_ended: Cell::new(false),
            is_destroyed: Cell::new(false),
            is_kept: Cell::new(false),
            needs_drain: Cell::new(false),
            target: RefCell::default(),
            queue: RefCell::default(),
            queued: Cell::new(0),
            bytes_written: Cell::new(0),
            error: RefCell::default(),
            waker: RefCell::default(),
            open: Slot::default(),
            ready: Slot::default(),
            drain: Slot::default(),
            finish: Slot::default(),
            failed: Slot::default(),
            close: Slot::default(),
        })
    }

    fn lp(&self) -> &LoopHandle {
        self.pool.lp()
    }

    fn control(self: &Rc<Self>) -> WriteControl {
        WriteControl { core: Rc::clone(self) }
    }

    /// Gives the pool a job, whose result comes to `then`.
    fn run<T: Send + 'static>(
        self: &Rc<Self>,
        operation: &'static str,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
        then: impl FnOnce(&Rc<Self>, Result<T, FsError>) + 'static,
    ) {
        let (core, path) = (Rc::clone(self), Arc::clone(&self.path));
        let subject = Subject { operation, path, to: None };
        let running = Operation::single(&Trips::single(&self.pool), subject, move |_| job());
        running.on_done(move |_, result| then(&core, result));
    }

    // --- what comes back from the pool ---

    fn opened(self: &Rc<Self>, _lp: &LoopHandle, opened: Result<Target, FsError>) {
        match opened {
            Ok(target) => {
                self.phase.set(Phase::Idle);
                self.target.replace(Some(target));
                if !self.is_destroyed.get() {
                    self.open.call(&self.control(), ());
                    self.ready.call(&self.control(), ());
                }
                self.pump();
            }
            Err(error) => self.fail(error),
        }
    }

    fn written(self: &Rc<Self>, len: usize, written: Result<Target, FsError>) {
        match written {
            Ok(target) => {
                self.phase.set(Phase::Idle);
                self.target.replace(Some(target));
                self.queued.set(self.queued.get() - len);
                self.bytes_written.set(self.bytes_written.get() + len as u64);
                self.wake();
                self.pump();
                if self.queued.get() == 0 && self.needs_drain.take() {
                    let core = Rc::clone(self);
                    self.lp().next_tick(move |_| {
                        if !core.is_over() {
                            core.drain.call(&core.control(), ());
                        }
                    });
                }
            }
            Err(error) => self.fail(error),
        }
    }

    // --- what goes on ---

    fn push(self: &Rc<Self>, bytes: Vec<u8>) {
        self.queued.set(self.queued.get() + bytes.len());
        self.queue.borrow_mut().push(bytes);
        self.pump();
    }

    fn end(self: &Rc<Self>) {
        if !self.is_ended.replace(true) {
            self.pump();
        }
    }

    /// Gives the pool what is due.
    fn pump(self: &Rc<Self>) {
        if self.phase.get() != Phase::Idle {
            return;
        }
        let has_work = self.is_destroyed.get() || self.is_ended.get() || !self.queue.borrow().is_empty();
        if !has_work {
            return;
        }
        let Some(target) = self.target.take() else { return };
        let (path, options, bufs) = (Arc::clone(&self.path), self.options, self.queue.take());
        if self.is_destroyed.get() {
            self.phase.set(Phase::Closing);
            let close = move || {
                drop(target);
                Ok(())
            };
            return self.run("close", close, |core, _| core.tell_closed(false));
        }
        if bufs.is_empty() {
            self.phase.set(Phase::Closing);
            let finish = move || target.finish(&path, &options);
            return self.run("close", finish, |core, finished| match finished {
                Ok(()) => core.tell_closed(true),
                Err(error) => core.fail(error),
            });
        }
        self.phase.set(Phase::Writing);
        let len = bufs.iter().map(Vec::len).sum();
        let write = move || {
            vectored::write_all(&bufs, |group, _| (&*target.file).write_vectored(group))?;
            Ok(target) // after an error it is dropped here, on the worker
        };
        self.run("write", write, move |core, written| core.written(len, written));
    }

    fn fail(self: &Rc<Self>, error: FsError) {
        if !self.is_destroyed.replace(true) {
            self.error.replace(Some(error));
        }
        self.tell_closed(false);
    }

    fn destroy(self: &Rc<Self>) {
        if self.phase.get() != Phase::Closed && !self.is_destroyed.replace(true) {
            drop(self.queue.take());
            self.wake();
            self.pump();
        }
    }

    fn tell_closed(self: &Rc<Self>, is_finished: bool) {
        self.phase.set(Phase::Closed);
        drop(self.queue.take());
        self.queued.set(0);
        self.wake();
        let core = Rc::clone(self);
        self.lp().next_tick(move |_| {
            let control = core.control();
            if is_finished && !core.is_destroyed.get() {
                core.finish.call(&control, ());
            }
            if core.failed.is_set()
                && let Some(error) = core.error.take()
            {
                core.failed.call(&control, error);
            }
            core.close.call(&control, ());
            core.let_go();
        });
    }

    /// Drops the callbacks, which may hold what holds this.
    fn let_go(&self) {
        for slot in [&self.open, &self.ready, &self.drain, &self.finish, &self.close] {
            slot.clear();
        }
        self.failed.clear();
    }

    /// Whether nothing more is taken.
    fn is_over(&self) -> bool {
        self.is_ended.get() || self.is_destroyed.get() || self.phase.get() == Phase::Closed
    }

    // --- what the futures ask ---

    /// How many bytes there is room for, once there is some.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<usize, FsError>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        if self.is_over() || self.lp().is_closed() {
            return Poll::Ready(Err(self.broken()));
        }
        match WriteControl::HIGH_WATER_MARK.saturating_sub(self.queued.get()) {
            0 => self.wait(cx),
            room => Poll::Ready(Ok(room)),
        }
    }

    fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<(), FsError>> {
        match self.error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None if self.is_destroyed.get() || self.lp().is_closed() => Poll::Ready(Err(self.broken())),
            None if self.queued.get() == 0 => Poll::Ready(Ok(())),
            None => self.wait(cx),
        }
    }

    fn poll_closed(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<(), FsError>> {
        self.end();
        match self.error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None if self.is_destroyed.get() => Poll::Ready(Err(self.broken())),
            None if self.phase.get() == Phase::Closed => Poll::Ready(Ok(())),
            None if self.lp().is_closed() => Poll::Ready(Err(self.broken())),
            None => self.wait(cx),
        }
    }

    fn wait<T>(&self, cx: &mut Context<'_>) -> Poll<T> {
        let old = self.waker.replace(Some(cx.waker().clone()));
        drop(old);
        Poll::Pending
    }

    fn wake(&self) {
        let waker = self.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn broken(&self) -> FsError {
        let source = io::Error::new(io::ErrorKind::BrokenPipe, "the stream has ended");
        FsError { operation: "write", path: self.path.to_path_buf(), to: None, source }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Nobody ended it: all controls are gone.
        if let Some(target) = self.target.take() {
            vanish(&self.pool, target);
        }
    }
}
