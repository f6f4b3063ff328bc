//! A loop that sleeps in a tokio runtime on its own thread, so that tokio's libraries run on the loop unchanged.
//!
//! In callbacks and tasks of such a loop `tokio::spawn`, `tokio::time`, `tokio::net` and what is built on them (database
//! drivers, HTTP clients) work as they do in `#[tokio::main]`. There is no further thread, but for those that tokio starts
//! for blocking work. A future of tokio's can be awaited in a task of the loop, and wakes it at a checkpoint of the
//! poll phase.
//!
//! # Examples
//! ```
//! use phaseloop::EventLoop;
//! use std::time::Duration;
//!
//! let lp = EventLoop::builder().with_tokio()?.build()?;
//! let answer = lp.block_on(async {
//!     let task = tokio::spawn(async {
//!         tokio::time::sleep(Duration::from_millis(1)).await;
//!         42
//!     });
//!     phaseloop::sleep(Duration::from_millis(1)).await; // both kinds of time, one thread
//!     task.await
//! })?;
//! assert_eq!(answer?, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to know
//!
//! - It is on per loop, and never by default: a loop that does not ask for it pays nothing for the feature.
//! - A task that tokio spawned runs in the poll phase, in line with tokio's other tasks, not with ticks and microtasks. It
//!   reaches the loop by waking tasks (any channel), by [`Remote`](crate::Remote), or by [`current`](crate::current).
//! - Neither side starves the other: every turn gives tokio a slice (its `event_interval` of 61 tasks, and one look at its
//!   descriptors), and tokio lets the loop turn after as many.
//! - What `tokio::task::spawn_local` needs is a `LocalSet`: `LocalSet::run_until`, awaited in a task of the loop.
//! - The budget by which tokio's sockets make a tokio task yield does not exist in the loop's own tasks: one that reads a
//!   socket that is always ready should [yield](crate::yield_now) by itself.
//! - Dropping the loop drops tokio's tasks, and does not wait for blocking work that has begun.
//! - A loop that was made [on the parent's side of a fork](EventLoop::after_fork_child) can not go on in the child: tokio can
//!   not.
//!
//! A loop inside of `#[tokio::main]` is the other way round: there tokio is the host, and drives the loop by its
//! [`backend_fd`](EventLoop::backend_fd), [`backend_timeout`](crate::LoopHandle::backend_timeout) and
//! `run(RunMode::NoWait)`.

mod sys;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};

use crate::event_loop::Builder;
#[cfg(doc)]
use crate::event_loop::EventLoop;
use crate::parker::Parker;

impl Builder {
    /// Has the loop sleep in a tokio runtime of its own: see [`tokio_host`](crate::tokio_host).
    ///
    /// # Errors
    /// `InvalidInput` on a thread on which a tokio runtime runs already, as in `#[tokio::main]`; the system's, when no
    /// descriptor is left.
    pub fn with_tokio(self) -> io::Result<Self> {
        Ok(self.parker(TokioParker::new()?))
    }
}

/// Sleeps in a tokio runtime of one thread.
pub struct TokioParker {
    /// There until the parker is dropped.
    runtime: Option<Runtime>,
    /// The loop's descriptor, nested in tokio's reactor.
    fd: Option<AsyncFd<OwnedFd>>,
    /// Wakes the future that a park blocks on.
    waker: RefCell<Option<Waker>>,
    unparked: Cell<bool>,
}

impl TokioParker {
    /// With a runtime of its own, with I/O and time.
    ///
    /// # Errors
    /// As [`Builder::with_tokio`].
    pub fn new() -> io::Result<Self> {
        // Before the runtime is made: one that exists could not be dropped there.
        outside_of_tokio()?;
        Self::with_runtime(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
    }

    /// With a runtime that was built with settings of its own. It needs I/O and time, and is driven only while the loop runs.
    ///
    /// # Errors
    /// `InvalidInput` for a runtime that has threads of its own, and as [`new`](Self::new).
    ///
    /// # Panics
    /// In the loop's `prepare` if the runtime was built without I/O, and at the first timer without time.
    pub fn with_runtime(runtime: Runtime) -> io::Result<Self> {
        if runtime.handle().runtime_flavor() != RuntimeFlavor::CurrentThread {
            runtime.shutdown_background(); // which, unlike dropping it, is allowed anywhere
            return Err(invalid("a loop sleeps in a tokio runtime of the current-thread flavor only"));
        }
        if let Err(error) = outside_of_tokio() {
            runtime.shutdown_background();
            return Err(error);
        }
        Ok(Self { runtime: Some(runtime), fd: None, waker: RefCell::new(None), unparked: Cell::new(false) })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is there until the parker is dropped")
    }

    /// Waits until the descriptor is readable or the loop was given something. True for the descriptor.
    fn poll_park(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let unparked = self.unparked.replace(false);
        match self.poll_readable(cx) {
            Poll::Pending if unparked => Poll::Ready(Ok(false)),
            Poll::Pending => {
                let mut waker = self.waker.borrow_mut();
                if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            ready => ready,
        }
    }

    /// Takes the edge: the loop then takes all that is there, or comes back with a timeout of zero.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let fd = self.fd.as_ref().expect("the loop attaches its descriptor when it is built");
        fd.poll_read_ready(cx).map_ok(|mut guard| {
            guard.clear_ready();
            true
        })
    }
}

impl Parker for TokioParker {
    fn attach(&mut self, fd: OwnedFd) -> io::Result<()> {
        if self.fd.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a tokio runtime does not survive a fork: build the loop in the child",
            ));
        }
        let _context = self.runtime().enter();
        self.fd = Some(sys::watch(fd)?);
        Ok(())
    }

    fn park(&self, timeout: Option<Duration>) -> io::Result<bool> {
        self.runtime().block_on(async {
            if timeout == Some(Duration::ZERO) {
                tokio::task::yield_now().await; // a slice: some tasks, and one look at tokio's descriptors
                return poll_fn(|cx| match self.poll_park(cx) {
                    Poll::Pending => Poll::Ready(Ok(false)),
                    ready => ready,
                })
                .await;
            }
            match timeout {
                None => poll_fn(|cx| self.poll_park(cx)).await,
                Some(timeout) => {
                    let mut over = pin!(tokio::time::sleep(timeout));
                    poll_fn(|cx| match self.poll_park(cx) {
                        Poll::Pending => over.as_mut().poll(cx).map(|()| Ok(false)),
                        ready => ready,
                    })
                    .await
                }
            }
        })
    }

    fn unpark(&self) {
        self.unparked.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn around(&self, run: &mut dyn FnMut()) {
        let _context = self.runtime().enter();
        run();
    }
}

impl Drop for TokioParker {
    fn drop(&mut self) {
        self.fd = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for TokioParker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioParker").finish_non_exhaustive()
    }
}

fn outside_of_tokio() -> io::Result<()> {
    if Handle::try_current().is_err() {
        return Ok(());
    }
    Err(invalid(
        "a tokio runtime runs on this thread already, as in `#[tokio::main]`, and a loop can not sleep in a second one: \
         build the loop on a thread of its own, or drive it as a guest by `backend_fd` and `backend_timeout`",
    ))
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
