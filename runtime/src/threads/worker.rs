//! A thread with a loop of its own.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use super::channel::{PortEnd, channel};
use super::port::Port;
use crate::event_loop::{Builder as LoopBuilder, EventLoop, PreparedLoop};
use crate::remote::Remote;
use crate::request::Port as Completions;
use crate::state::LoopHandle;
use crate::state::mode::{Outcome, RunMode};
use crate::task::waiters::Waiters;

/// Runs `main` on a thread with a loop of its own, and then the loop, until nothing keeps it alive. With the defaults of
/// [`Builder`].
///
/// # Errors
/// The system's, when no thread or no descriptor is left.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, threads};
/// let lp = EventLoop::new()?;
/// let worker = threads::spawn_loop(&lp, |_lp, port: threads::Port<u64, u64>| {
///     port.on_message(|port, number| port.send(number * number).expect("there is room"));
/// })?;
/// let squared = lp.block_on(async {
///     worker.port().send(12).expect("there is room");
///     worker.port().recv().await
/// })?;
/// assert_eq!(squared, Some(144));
/// worker.port().close(); // nothing keeps the other loop alive any more
/// lp.block_on(worker.join())?.expect("it does not panic");
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn spawn_loop<S: Send + 'static, R: Send + 'static>(
    lp: &LoopHandle,
    main: impl FnOnce(&LoopHandle, Port<R, S>) + Send + 'static,
) -> io::Result<Worker<S, R>> {
    Builder::default().spawn(lp, main)
}

/// Makes a thread with a loop that differs from the default.
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: String,
    stack_len: Option<usize>,
    queue_len_max: NonZeroUsize,
    event_loop: LoopBuilder,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            name: "phaseloop".to_owned(),
            stack_len: None,
            queue_len_max: NonZeroUsize::new(1024).expect("not zero"),
            event_loop: EventLoop::builder(),
        }
    }
}

impl Builder {
    /// The thread's name, `phaseloop` if nothing is said. Linux shows its first 15 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Bytes of its stack. The default is std's, 2 MiB.
    pub fn stack_len(mut self, len: usize) -> Self {
        self.stack_len = Some(len);
        self
    }

    /// Messages that may wait, each way: 1024 by default.
    pub fn queue_len_max(mut self, len: NonZeroUsize) -> Self {
        self.queue_len_max = len;
        self
    }

    /// What its loop is to be: its schedule, its limits.
    pub fn event_loop(mut self, builder: LoopBuilder) -> Self {
        self.event_loop = builder;
        self
    }

    /// Spawns the thread: `main` runs on it, and then its loop, until nothing keeps that alive or it is stopped. The thread keeps
    /// `lp` alive until it ends, unless it is [`unref`](Worker::unref)'d.
    ///
    /// # Errors
    /// The system's, when no thread or no descriptor is left; `InvalidInput` for a name with a zero byte.
    #[track_caller]
    pub fn spawn<S: Send + 'static, R: Send + 'static>(
        self,
        lp: &LoopHandle,
        main: impl FnOnce(&LoopHandle, Port<R, S>) + Send + 'static,
    ) -> io::Result<Worker<S, R>> {
        if self.name.contains('\0') {
            let problem = format!("a thread can not be called {:?}", self.name);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let prepared = self.event_loop.prepare()?;
        let remote = prepared.remote();
        let (ours, theirs) = channel::<S, R>(self.queue_len_max);
        let state = Rc::new(State::default());
        let told = Rc::clone(&state);
        let exit = Completions::new(lp, move |lp, exit| told.ended(lp, exit));
        exit.ref_();
        let sender = exit.sender();
        let mut thread = thread::Builder::new().name(self.name);
        if let Some(len) = self.stack_len {
            thread = thread.stack_size(len);
        }
        let spawned = thread.spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| run(prepared, theirs, main)));
            // A loop that is gone has nobody to tell.
            let _ = sender.send(ended.unwrap_or_else(|payload| Err(WorkerError::Panicked(payload))));
        });
        match spawned {
            Ok(thread) => state.thread.set(Some(thread)),
            Err(error) => {
                exit.close();
                return Err(error);
            }
        }
        state.exit.replace(Some(exit));
        Ok(Worker { port: ours.open(lp), remote, state, stop_sent: Arc::default() })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All that happens on the thread.
fn run<S: Send + 'static, R: Send + 'static>(
    prepared: PreparedLoop,
    end: PortEnd<R, S>,
    main: impl FnOnce(&LoopHandle, Port<R, S>),
) -> Exit {
    let lp = prepared.into_loop();
    main(&lp, end.open(&lp));
    match lp.run(RunMode::Default).map_err(WorkerError::Io)? {
        Outcome::Finished => Ok(Ended::Finished),
        _ => Ok(Ended::Stopped),
    }
}

type Exit = Result<Ended, WorkerError>;

/// How a thread's loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Nothing kept it alive any more.
    Finished,
    /// It was stopped, from here or by itself.
    Stopped,
}

/// Why a thread ended before its loop did.
#[non_exhaustive]
pub enum WorkerError {
    /// It panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
    /// Its loop failed.
    Io(io::Error),
    /// How it ended was told before, to another join.
    AlreadyTold,
}

impl WorkerError {
    fn message(&self) -> Option<&str> {
        let Self::Panicked(payload) = self else { return None };
        let text = payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }
}

impl fmt::Debug for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerError({self})")
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(_) => write!(f, "the thread panicked: {}", self.message().unwrap_or("..")),
            Self::Io(error) => write!(f, "the thread's loop failed: {error}"),
            Self::AlreadyTold => f.write_str("how the thread ended was told before"),
        }
    }
}

impl Error for WorkerError {}

/// The thread did not end in time. It runs on: code that does not return to its loop can not be ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillRunning;

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the thread did not come back to its loop in time, and runs on")
    }
}

impl Error for StillRunning {}

/// A thread with a loop of its own, as the loop that spawned it sees it.
///
/// Dropping it closes the port and leaves the thread alone: it ends when its own loop does.
pub struct Worker<S, R> {
    port: Port<S, R>,
    remote: Remote,
    state: Rc<State>,
    /// A stop is on its way, so that the next one need not be sent.
    stop_sent: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    thread: Cell<Option<thread::JoinHandle<()>>>,
    exit: RefCell<Option<Completions<Exit>>>,
    has_ended: Cell<bool>,
    ended: Cell<Option<Exit>>,
    on_exit: Cell<Option<OnExit>>,
    waiting: RefCell<Waiters>,
}

type OnExit = Box<dyn FnOnce(&LoopHandle, Exit)>;

impl State {
    fn ended(&self, lp: &LoopHandle, exit: Exit) {
        if let Some(thread) = self.thread.take() {
            // All it had left to do was to tell us, and to leave; its panic, if any, is in `exit`.
            let _ = thread.join();
        }
        self.has_ended.set(true);
        if let Some(port) = self.exit.take() {
            port.close();
        }
        let exit = match self.on_exit.take() {
            Some(on_exit) => Some((on_exit, exit)),
            None => {
                self.ended.set(Some(exit));
                None
            }
        };
        self.waiting.take().take().for_each(Waker::wake); // before the callback, which may panic
        if let Some((on_exit, exit)) = exit {
            on_exit(lp, exit);
        }
    }
}

impl<S: Send + 'static, R: Send + 'static> Worker<S, R> {
    /// The port to the thread.
    pub fn port(&self) -> &Port<S, R> {
        &self.port
    }

    /// The door into its loop.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// True once it has ended and this loop knows.
    pub fn has_ended(&self) -> bool {
        self.state.has_ended.get()
    }

    /// Asks its loop to stop, as [`LoopHandle::stop`] does on its thread: after the turn that is under way. A callback that does not
    /// return, or ticks without an end, keep it from that.
    pub fn stop(&self) {
        if !self.stop_sent.swap(true, Ordering::AcqRel) {
            let sent = Arc::clone(&self.stop_sent);
            self.remote.post_at_any_rate(move |lp| {
                sent.store(false, Ordering::Release);
                lp.stop();
            });
        }
    }

    /// Waits until it has ended, and says how. A panic of it is an error here, and nothing else happens for it.
    ///
    /// # Errors
    /// [`WorkerError`]; `AlreadyTold` if another join or [`on_exit`](Self::on_exit) was told.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn join(&self) -> impl Future<Output = Result<Ended, WorkerError>> + use<S, R> {
        let (state, lp) = (Rc::clone(&self.state), self.port.lp().clone());
        poll_fn(move |cx| {
            if state.has_ended.get() {
                return Poll::Ready(state.ended.take().unwrap_or(Err(WorkerError::AlreadyTold)));
            }
            lp.wait_among(&state.waiting, cx.waker());
            Poll::Pending
        })
    }

    /// Stops it, now, and waits for its end up to `deadline` from now.
    ///
    /// # Errors
    /// [`StillRunning`] if it has not ended by then. It may end later: `join` still tells.
    ///
    /// # Cancel safety
    /// It was asked to stop when this was called; dropping the future only ends the wait.
    pub fn terminate(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = Result<Result<Ended, WorkerError>, StillRunning>> + use<S, R> {
        self.stop();
        let joined = self.port.lp().timeout(deadline, self.join());
        async move { joined.await.map_err(|_elapsed| StillRunning) }
    }

    /// Calls `on_exit` once it has ended, in the poll phase. One that has ended is told in the pending phase. Replaces the
    /// callback there was.
    pub fn on_exit(&self, on_exit: impl FnOnce(&LoopHandle, Result<Ended, WorkerError>) + 'static) {
        if !self.has_ended() {
            let on_exit = self.port.lp().bind_context_once(on_exit);
            drop(self.state.on_exit.replace(Some(Box::new(on_exit))));
            return;
        }
        let ended = self.state.ended.take().unwrap_or(Err(WorkerError::AlreadyTold));
        self.port.lp().defer(move |lp| on_exit(lp, ended));
    }

    /// Has it keep this loop alive until it ends, as it does by default.
    pub fn ref_(&self) {
        self.state.exit.borrow().iter().for_each(Completions::ref_);
    }

    /// Lets this loop end while it runs.
    pub fn unref(&self) {
        self.state.exit.borrow().iter().for_each(Completions::unref);
    }
}

impl<S, R> fmt::Debug for Worker<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("ended", &self.state.has_ended.get()).finish_non_exhaustive()
    }
}
