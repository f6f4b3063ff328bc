//! Foreign descriptors: the loop tells when they are ready, and somebody else reads and writes.
//!
//! The driver reports edges. Level semantics are made of them by asking it anew, once the poll phase that called back is
//! over: what is still ready then is reported in the next turn.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::BitOr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::driver::{Readiness, TELLS_URGENT, Token};
use crate::state::handles::HandleKind;
use crate::state::sources::{Ready, gone};
use crate::state::{Callback, Closing, LoopHandle};

/// What to wait for on a descriptor, or what was found: a set.
///
/// ```
/// use phaseloop::PollEvents;
///
/// let both = PollEvents::READABLE | PollEvents::WRITABLE;
/// assert!(both.contains(PollEvents::WRITABLE) && !both.contains(PollEvents::PRIORITY));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PollEvents(u8);

impl PollEvents {
    /// A read would not block: there are bytes, or the end, or an error.
    pub const READABLE: Self = Self(1);
    /// A write would not block: there is room, or an error.
    pub const WRITABLE: Self = Self(2);
    /// The peer will send no more, or the descriptor failed.
    pub const DISCONNECT: Self = Self(4);
    /// Urgent data, or what the descriptor's kind calls exceptional. Only on Linux.
    pub const PRIORITY: Self = Self(8);

    /// True if nothing is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if all of `other` is in the set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if something of `other` is in the set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn only_if(self, set: bool) -> Self {
        if set { self } else { Self::default() }
    }

    /// What the driver is to be asked. It tells of a disconnect only together with readability; what was not asked for is
    /// filtered, and does not have the driver asked anew, so unread bytes do not keep the loop busy.
    fn interest(self) -> Readiness {
        let none = Readiness::default();
        let read = self.intersects(Self::READABLE | Self::DISCONNECT);
        none.with(if read { Readiness::READABLE } else { none })
            .with(if self.intersects(Self::WRITABLE) { Readiness::WRITABLE } else { none })
            .with(if self.intersects(Self::PRIORITY) { Readiness::URGENT } else { none })
    }

    fn of(readiness: Readiness) -> Self {
        let closed = Readiness::READ_CLOSED.with(Readiness::WRITE_CLOSED);
        Self::READABLE.only_if(readiness.has(Readiness::ANY_READ))
            | Self::WRITABLE.only_if(readiness.has(Readiness::ANY_WRITE))
            | Self::DISCONNECT.only_if(readiness.has(closed))
            | Self::PRIORITY.only_if(readiness.has(Readiness::URGENT))
    }
}

impl BitOr for PollEvents {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for PollEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "readable"),
            (Self::WRITABLE, "writable"),
            (Self::DISCONNECT, "disconnect"),
            (Self::PRIORITY, "priority"),
        ];
        f.debug_set()
            .entries(names.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| name))
            .finish()
    }
}

/// Watches a descriptor that a library, or anybody else, reads and writes: libuv's `uv_poll_t`.
///
/// `T` owns or borrows the descriptor: a socket of std, an `OwnedFd`, an `Rc` of either that is shared with who uses it, or
/// a `BorrowedFd<'static>` of a C library that vouches for it. It must stay open while it is watched: the number of a
/// descriptor that was closed may be another's the moment after. Should that happen, the new owner is not disturbed, and
/// this one hears no more of it.
///
/// Cheap to clone; clones are the same handle. A started callback keeps the loop alive. `close` stops watching; the
/// descriptor is closed by `T`, when the last clone is dropped.
///
/// # Ordering
/// **Level semantics**: as long as the descriptor is ready and the handle started, the callback runs in the poll phase of
/// each turn, once. Source: libuv, `uv_poll_start`; PROMISES, Poll.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, PollEvents, PollFd, RunMode};
/// # use std::{io::{Read, Write}, os::unix::net::UnixStream};
/// let lp = EventLoop::new()?;
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let poll = PollFd::new(&lp, ours)?;
/// poll.start(PollEvents::READABLE, |poll, events| {
///     assert!(events.expect("it stays open").contains(PollEvents::READABLE));
///     let mut buf = [0; 16];
///     let len = poll.get_ref().read(&mut buf).expect("it is readable");
///     assert_eq!(&buf[..len], b"hello");
///     poll.close();
/// })?;
/// theirs.write_all(b"hello")?;
/// lp.run(RunMode::Default)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct PollFd<T: AsFd + 'static> {
    inner: Rc<Inner<T>>,
}

impl<T: AsFd + 'static> Clone for PollFd<T> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

type OnEvents<T> = Box<dyn FnMut(&PollFd<T>, io::Result<PollEvents>)>;

/// The place in the reactor. INVARIANT order: it is dropped before the descriptor, so declared above it.
struct Registration {
    lp: LoopHandle,
    token: Token,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.lp.close_source(self.token);
    }
}

struct Inner<T: AsFd + 'static> {
    source: Registration,
    closed: Cell<bool>,
    on_events: Cell<Option<OnEvents<T>>>,
    starts: Cell<u32>,
    /// What the callback waits for; empty while it is stopped.
    wanted: Cell<PollEvents>,
    waiters: RefCell<Slab<Waiter>>,
    /// What the driver was last asked to report, for the callback and the waiters together.
    armed: Cell<PollEvents>,
    /// It was called in the running poll phase; when that is over the driver is asked anew.
    settling: Cell<bool>,
    io: T,
}

/// A future that waits.
struct Waiter {
    wanted: PollEvents,
    found: Option<io::Result<PollEvents>>,
    waker: Option<Waker>,
}

impl<T: AsFd + 'static> PollFd<T> {
    /// Makes a handle that watches nothing yet. The descriptor's flags are left alone.
    ///
    /// # Errors
    /// `NotConnected` if the loop is gone.
    #[track_caller]
    pub fn new(lp: &LoopHandle, io: T) -> io::Result<Self> {
        let token = lp.add_source(io.as_fd().as_raw_fd(), HandleKind::PollFd, Location::caller())?;
        let inner = Inner {
            source: Registration { lp: lp.clone(), token },
            closed: Cell::new(false),
            on_events: Cell::new(None),
            starts: Cell::new(0),
            wanted: Cell::default(),
            waiters: RefCell::new(Slab::new()),
            armed: Cell::default(),
            settling: Cell::new(false),
            io,
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Calls `on_events` with what is found of `interest`, in each turn that finds something. If it was started before,
    /// interest and callback are replaced.
    ///
    /// A failed descriptor is reported as all that `interest` names of readable, writable and disconnect, for a read or a
    /// write then tells the error; one that fails while the handle waits for none of these stays unnoticed. `on_events`
    /// gets an error once, and is stopped, if the system no longer knows the descriptor.
    ///
    /// # Errors
    /// `EPERM` for a descriptor that can not be waited for, such as a regular file or a folder: it is always ready.
    /// `EEXIST` if another active handle of this loop watches the same descriptor. `InvalidInput` for an empty interest,
    /// `Unsupported` for priority where the system does not tell of it, `NotConnected` for a closed handle. The callback is
    /// then dropped and the handle stopped.
    pub fn start(
        &self,
        interest: PollEvents,
        on_events: impl FnMut(&Self, io::Result<PollEvents>) + 'static,
    ) -> io::Result<()> {
        check(interest)?;
        if self.is_gone() {
            return Err(gone());
        }
        let inner = &self.inner;
        inner.starts.set(inner.starts.get().wrapping_add(1));
        let old = inner.on_events.replace(Some(Box::new(on_events)));
        self.set_wanted(interest);
        let watched = self.update();
        if watched.is_err() {
            self.stop();
        }
        drop(old);
        watched
    }

    /// Calls back no more, not even in the running poll phase. `start` may follow.
    pub fn stop(&self) {
        let old = self.inner.on_events.take();
        self.set_wanted(PollEvents::default());
        // Asking for less fails only if the descriptor is gone, and then there is nothing to stop.
        let _ = self.update();
        drop(old);
    }

    /// Waits until something of `interest` is found, and gives it.
    ///
    /// Level semantics too: what is ready when it is first polled ends the wait in the next poll phase. A started callback
    /// and any number of tasks may wait at the same time. It does not keep the loop alive; the task does.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// Nothing is lost: it takes nothing from the descriptor.
    pub fn ready(&self, interest: PollEvents) -> impl Future<Output = io::Result<PollEvents>> + use<T> {
        ReadyFuture { poll: self.clone(), interest, key: None }
    }

    /// Tries `attempt` until it does not say `WouldBlock`, waiting for `interest` in between. The descriptor should be
    /// non-blocking.
    ///
    /// # Errors
    /// Those of `attempt` and of [`ready`](Self::ready). An attempt that was interrupted is repeated.
    ///
    /// # Cancel safety
    /// That of `attempt`: it runs whole or not at all.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, PollEvents, PollFd};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream};
    /// let lp = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let poll = PollFd::new(&lp, ours)?;
    /// theirs.write_all(b"hello")?;
    /// let mut buf = [0; 16];
    /// let len = lp.block_on(poll.io(PollEvents::READABLE, |mut socket| socket.read(&mut buf)))??;
    /// assert_eq!(&buf[..len], b"hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn io<R>(
        &self,
        interest: PollEvents,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            match attempt(&self.inner.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready(interest).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// What owns the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.inner.io
    }

    /// Stops watching and gives the owner of the descriptor back.
    ///
    /// # Errors
    /// The handle itself, if it has clones, one of which the loop holds while it is started.
    pub fn into_inner(self) -> Result<T, Self> {
        let inner = Rc::try_unwrap(self.inner).map_err(|inner| Self { inner })?;
        Ok(inner.io)
    }

    /// The loop this handle belongs to.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.source.lp
    }

    /// Stops watching, for good. Tasks that wait get `NotConnected`.
    pub fn close(&self) {
        self.close_now(None);
    }

    /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if the handle
    /// was closed before.
    pub fn close_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> bool {
        let callback = self.inner.source.lp.wrap(on_close);
        self.close_now(Some(callback))
    }

    /// True from `close` on.
    pub fn is_closing(&self) -> bool {
        self.inner.closed.get()
    }

    /// True while the callback is started.
    pub fn is_active(&self) -> bool {
        !self.inner.wanted.get().is_empty()
    }

    /// Lets a started callback keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.inner.source.lp.update_source(self.inner.source.token, |flags| flags.referenced = true);
    }

    /// Lets the loop end while the callback is started.
    pub fn unref(&self) {
        self.inner.source.lp.update_source(self.inner.source.token, |flags| flags.referenced = false);
    }

    fn is_gone(&self) -> bool {
        self.inner.closed.get() || self.inner.source.lp.is_closed()
    }

    fn set_wanted(&self, wanted: PollEvents) {
        self.inner.wanted.set(wanted);
        self.inner
            .source
            .lp
            .update_source(self.inner.source.token, |flags| flags.active = !wanted.is_empty());
    }

    /// Follows a change of what is waited for. In the poll phase that called back it waits for the phase's end, so that no
    /// handle is called twice in one.
    fn update(&self) -> io::Result<()> {
        let inner = &self.inner;
        let wanted = inner.all_wanted();
        if inner.settling.get() || inner.closed.get() || wanted == inner.armed.get() {
            return Ok(());
        }
        self.arm(wanted)
    }

    /// Asks the driver anew.
    fn arm(&self, wanted: PollEvents) -> io::Result<()> {
        let inner = &self.inner;
        let target = (!wanted.is_empty()).then(|| Rc::clone(inner) as Rc<dyn Ready>);
        let watched = inner.source.lp.watch_source(inner.source.token, wanted.interest());
        inner.armed.set(if watched.is_ok() { wanted } else { PollEvents::default() });
        inner.source.lp.state.sources.set_target(inner.source.token, target.filter(|_| watched.is_ok()));
        watched
    }

    fn close_now(&self, callback: Option<Callback>) -> bool {
        let inner = &self.inner;
        if inner.closed.replace(true) {
            return false;
        }
        let old = inner.on_events.take();
        inner.wanted.set(PollEvents::default());
        inner.source.lp.close_source(inner.source.token);
        inner.wake(PollEvents::ALL, || Err(gone()));
        if !inner.source.lp.state.closed.get() {
            inner.source.lp.state.alive.hold();
            inner.source.lp.state.closing.borrow_mut().push(Closing { release: None, callback });
        }
        drop(old);
        true
    }

    fn call_back(&self, found: io::Result<PollEvents>) {
        let inner = &self.inner;
        let mut running = PutBack { inner, start: inner.starts.get(), on_events: inner.on_events.take() };
        if let Some(on_events) = &mut running.on_events {
            on_events(self, found);
        }
    }
}

impl PollEvents {
    const ALL: Self = Self(15);
}

/// Says what is wrong with an interest.
fn check(interest: PollEvents) -> io::Result<()> {
    if interest.is_empty() {
        let message = "an empty interest waits for nothing: name one, or use `stop`";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if interest.intersects(PollEvents::PRIORITY) && !TELLS_URGENT {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "this system does not tell of priority data"));
    }
    Ok(())
}

impl<T: AsFd + 'static> Inner<T> {
    fn all_wanted(&self) -> PollEvents {
        let waiters = self.waiters.borrow();
        let waiting = waiters.iter().map(|(_, waiter)| waiter).filter(|waiter| waiter.found.is_none());
        waiting.fold(self.wanted.get(), |all, waiter| all | waiter.wanted)
    }

    /// Ends the waits that `found` answers. True if there was one.
    fn wake(&self, found: PollEvents, result: impl Fn() -> io::Result<PollEvents>) -> bool {
        let mut waiters = self.waiters.borrow_mut();
        let mut wakers = Vec::new();
        let answered = |waiter: &&mut Waiter| waiter.found.is_none() && waiter.wanted.intersects(found);
        for waiter in waiters.iter_mut().map(|(_, waiter)| waiter).filter(answered) {
            waiter.found = Some(result().map(|found| found.common(waiter.wanted)));
            wakers.extend(waiter.waker.take());
        }
        drop(waiters);
        let woken = !wakers.is_empty();
        if woken {
            self.source.lp.call(|_| wakers.into_iter().for_each(Waker::wake));
        }
        woken
    }
}

/// Puts a callback back after its call, also if it panicked, unless it was stopped or replaced in it.
struct PutBack<'a, T: AsFd + 'static> {
    inner: &'a Inner<T>,
    start: u32,
    on_events: Option<OnEvents<T>>,
}

impl<T: AsFd + 'static> Drop for PutBack<'_, T> {
    fn drop(&mut self) {
        if !self.inner.wanted.get().is_empty() && self.inner.starts.get() == self.start {
            self.inner.on_events.set(self.on_events.take());
        }
    }
}

impl<T: AsFd + 'static> Ready for Inner<T> {
    fn ready(self: Rc<Self>, lp: &LoopHandle, readiness: Readiness) {
        lp.state.sources.clear(self.source.token, Readiness::ALL);
        let found = PollEvents::of(readiness);
        if !found.intersects(self.all_wanted()) {
            return; // not asked anew, so what nobody waits for is reported once
        }
        if !self.settling.replace(true) {
            lp.state.sources.settle_later(self.source.token);
        }
        self.wake(found, || Ok(found));
        let found = found.common(self.wanted.get());
        if !found.is_empty() {
            let poll = PollFd { inner: self };
            lp.call(|_| poll.call_back(Ok(found)));
        }
    }

    fn forget(&self) {
        self.wanted.set(PollEvents::default());
        drop(self.on_events.take());
        let waiters =
            self.waiters.borrow_mut().iter_mut().filter_map(|(_, w)| w.waker.take()).collect::<Vec<_>>();
        waiters.into_iter().for_each(Waker::wake);
    }

    fn settle(self: Rc<Self>, lp: &LoopHandle) {
        self.settling.set(false);
        if self.closed.get() {
            return;
        }
        let poll = PollFd { inner: self };
        if let Err(error) = poll.arm(poll.inner.all_wanted()) {
            let code = error.raw_os_error();
            let failure = move || Err(code.map_or_else(gone, io::Error::from_raw_os_error));
            poll.inner.wake(PollEvents::ALL, failure);
            let on_events = poll.inner.on_events.take();
            poll.set_wanted(PollEvents::default());
            if let Some(mut on_events) = on_events {
                lp.call(|_| on_events(&poll, Err(error)));
            }
        }
    }
}

/// The future of [`PollFd::ready`].
struct ReadyFuture<T: AsFd + 'static> {
    poll: PollFd<T>,
    interest: PollEvents,
    key: Option<usize>,
}

impl<T: AsFd + 'static> Unpin for ReadyFuture<T> {}

impl<T: AsFd + 'static> Future for ReadyFuture<T> {
    type Output = io::Result<PollEvents>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        check(self.interest)?;
        if self.poll.is_gone() && self.key.is_none() {
            return Poll::Ready(Err(gone()));
        }
        let Some(key) = self.key else {
            let waker = Some(cx.waker().clone());
            let waiter = Waiter { wanted: self.interest, found: None, waker };
            let key = self.poll.inner.waiters.borrow_mut().insert(waiter);
            self.key = Some(key);
            self.poll.update()?;
            return Poll::Pending;
        };
        let mut waiters = self.poll.inner.waiters.borrow_mut();
        let waiter = &mut waiters[key];
        if let Some(found) = waiter.found.take() {
            waiters.remove(key);
            drop(waiters);
            self.key = None;
            return Poll::Ready(found);
        }
        if self.poll.inner.source.lp.is_closed() {
            return Poll::Ready(Err(gone()));
        }
        let old = waiter.waker.replace(cx.waker().clone());
        drop(waiters);
        drop(old); // while nothing is borrowed: it may be the last of a task
        Poll::Pending
    }
}

impl<T: AsFd + 'static> Drop for ReadyFuture<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waiter = self.poll.inner.waiters.borrow_mut().try_remove(key);
            drop(waiter); // while nothing is borrowed: its waker may be the last of a task
            // Asking for less fails only if the descriptor is gone.
            let _ = self.poll.update();
        }
    }
}

impl<T: AsFd + 'static> AsFd for PollFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.io.as_fd()
    }
}

impl<T: AsFd + 'static> fmt::Debug for PollFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollFd")
            .field("fd", &self.inner.io.as_fd().as_raw_fd())
            .field("wanted", &self.inner.wanted.get())
            .finish_non_exhaustive()
    }
}
