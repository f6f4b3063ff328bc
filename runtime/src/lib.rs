//! An embeddable event loop and async runtime in the family of libuv and Node.js.
//!
//! One loop runs on one thread, in phases. Callbacks and futures share it, and the order in which it runs them is
//! specified, selectable ([`Schedule`]) and tested against the real Node.js.
//!
//! # A first program
//!
//! ```
//! use phaseloop::{EventLoop, RunMode};
//! use std::time::Duration;
//!
//! fn main() -> std::io::Result<()> {
//!     let lp = EventLoop::new()?;
//!     lp.set_timeout(Duration::from_millis(50), |_| println!("6: a timeout"));
//!     lp.set_immediate(|_| println!("5: an immediate"));
//!     lp.spawn(async {
//!         println!("3: a task is a microtask");
//!         phaseloop::sleep(Duration::from_millis(100)).await;
//!         println!("7: the task goes on");
//!     });
//!     lp.queue_microtask(|_| println!("4: a microtask"));
//!     lp.next_tick(|_| println!("2: a tick"));
//!     println!("1: the main program");
//!     lp.run(RunMode::Default)?; // until nothing keeps the loop alive
//!     Ok(())
//! }
//! ```
//!
//! # The turn
//!
//! A run takes turns until nothing keeps the loop alive. A turn is one pass through the phases; in the default order:
//!
//! ```text
//!                ticks and microtasks     what the main program queued
//!                       |
//!                     timers              once, before the first turn
//!                       |
//!                       v
//!        +--------> pending               callbacks that an operation owes: a write that is done
//!        |          idle                  idle handles; while there is one, poll does not wait
//!        |          prepare               prepare handles, just before poll
//!        |          poll                  waits for I/O, other threads or the next timer; runs what came
//!        |          check                 check handles, immediates, tasks that yielded
//!        |          close                 callbacks of what was closed, last closed first
//!        +--------- timers                timers, timeouts and sleeping tasks that are due
//!
//!     After each callback, in every phase, comes the checkpoint:
//!
//!        +--------> ticks                 next_tick, until there are none
//!        |          microtasks            queue_microtask and tasks that were woken, until there are none
//!        +--------- again, unless both are empty
//! ```
//!
//! - What is queued to a phase while it runs waits for the next turn, so no phase starves the others. Ticks and
//!   microtasks do not wait: those that queue themselves again and again keep the loop from everything else.
//! - A task that was woken by a callback runs at the checkpoint right after it; one that yields runs in the next check
//!   phase, behind I/O.
//! - The loop is alive while it has an active and referenced handle or timer, a referenced immediate or task, a
//!   request, or a handle that is closing. [`LoopHandle::why_alive`] lists them, handles and tasks with the line that
//!   made them.
//! - A panic of a callback leaves [`EventLoop::run`], or goes to the hook set with [`LoopHandle::on_uncaught`]. Either
//!   way the loop can go on. A panic of a task is its [`JoinError`].
//!
//! # What there is
//!
//! | to | use |
//! | --- | --- |
//! | make, run, embed and close a loop | [`EventLoop`], [`Builder`], [`RunMode`] |
//! | queue work | [`next_tick`](LoopHandle::next_tick), [`queue_microtask`](LoopHandle::queue_microtask), [`set_immediate`](LoopHandle::set_immediate) |
//! | wait for time, by Node's rules | [`set_timeout`](LoopHandle::set_timeout), [`set_interval`](LoopHandle::set_interval) |
//! | wait for time, by libuv's rules | [`timer`](LoopHandle::timer), [`Timer`] |
//! | run futures | [`spawn`](LoopHandle::spawn), [`block_on`](EventLoop::block_on), [`sleep`](LoopHandle::sleep), [`timeout`](LoopHandle::timeout), [`yield_now`] |
//! | run something in every turn | [`Idle`], [`Prepare`], [`Check`] |
//! | talk over TCP, UDP and Unix sockets, with futures or callbacks | [`net`] |
//! | wait for a descriptor that a library reads and writes | [`PollFd`] |
//! | read and write pipes and standard streams | [`net::pipe`] |
//! | put a terminal into raw mode, learn its size | [`tty`] |
//! | run other programs | [`process`] |
//! | exchange messages with them, also with Node | [`ipc`] |
//! | learn of signals | [`signal`] |
//! | run more loops on threads of their own, and talk to them | [`threads`] |
//! | come in from other threads | [`Remote`], [`Wakeup`], [`request`] |
//! | see where the loop is, and what it did | [`place`](LoopHandle::place), [`metrics`](LoopHandle::metrics), [`why_alive`](LoopHandle::why_alive) |
//! | see how busy and how late it is, and what its callbacks cost | [`observe`] |
//! | tell listeners, carry values along | [`EventEmitter`], [`ContextKey`] |
//! | satisfy libraries that ask for `Send` | [`LoopBound`] |
//!
//! Callbacks get a [`LoopHandle`], on which all of this is a method. The functions of this crate, such as [`spawn`] and
//! [`sleep`], are the same for the loop that runs on this thread.
//!
//! # What it is not
//!
//! It is not multi-threaded: for more threads, run more loops. It has no files and no DNS: they need a blocking pool, which
//! is the crate `phaseloop-fs-pool`. Today there is no Windows.
//!
//! # Limits
//!
//! Queues, batches and budgets are bounded by [`Limits`], which the [`Builder`] takes. Timers are kept in
//! nanoseconds; the system's wait is counted in milliseconds, so a timer may be late by up to one, and is never early.
//! Timeouts and intervals count whole milliseconds from 1 to 2^31 - 1, as Node's do, so one may be early by a fraction.
//!
//! # Features
//!
//! - `ipc-json`: messages between processes as serde's values, and Node's own channel: [`ipc`].
//! - `test-util`: `TestLoop`, a loop for tests: virtual time, scripted events, a log.
//! - `tokio-host`: `Builder::with_tokio` has the loop sleep in a tokio runtime on its own thread, so that libraries made for
//!   tokio run on it.
//! - `tokio-io`: tokio's stream traits on our streams, without a runtime of tokio.
//!
//! None is on by default.
//!
//! # Where to read on
//!
//! [`LoopHandle`] for all that a callback can do, [`Schedule`] for the orders to choose from, [`net`] for sockets. In the
//! repository: `README.md` lists the examples, `ARCHITECTURE.md` every rule of order with its source.

pub mod channel;
mod driver;
mod emitter;
mod error;
mod event_loop;
mod free;
mod handle;
pub mod ipc;
mod limits;
mod loop_bound;
pub mod net;
mod node;
pub mod observe;
mod parker;
mod phase;
pub mod process;
mod remote;
pub mod request;
mod schedule;
pub mod signal;
mod state;
mod task;
#[cfg(feature = "test-util")]
mod test_loop;
pub mod threads;
mod time;
#[cfg(feature = "tokio-host")]
pub mod tokio_host;
#[cfg(feature = "tokio-io")]
pub mod tokio_io;
pub mod tty;
mod warning;

pub use emitter::{Event, EventEmitter, ListenerId, ListenerOptions};
pub use error::{AgainError, Closing, Elapsed, JoinError, RealTime, RemoteError};
pub use event_loop::{Builder, Busy, EventLoop, PreparedLoop};
pub use free::{
    interval, next_tick, queue_microtask, set_immediate, set_interval, set_timeout, sleep, spawn, spawn_now,
    timeout,
};
pub use handle::context_key::ContextKey;
pub use handle::poll_fd::{PollEvents, PollFd};
pub use handle::sleep::{Interval, Sleep, yield_now};
pub use handle::spawn::JoinHandle;
pub use handle::timer::{Timer, TimerId};
pub use handle::wakeup::{Wakeup, WakeupSender};
pub use handle::walk::HandleInfo;
pub use handle::watcher::{Check, Idle, Prepare, Watcher};
pub use limits::Limits;
pub use loop_bound::LoopBound;
pub use parker::Parker;
pub use remote::Remote;
pub use schedule::{
    Drain, FileHops, ImmediateBatch, IntervalBeats, ListTimers, NestedClamp, Phase, Schedule, TimerBatch,
};
pub use state::LoopHandle;
pub use state::call::Uncaught;
pub use state::current::{current, try_current};
pub use state::handles::{HandleKind, MissedTicks};
pub use state::immediates::ImmediateId;
pub use state::metrics::{Metrics, MetricsReader};
pub use state::mode::{Outcome, RunMode};
pub use state::place::{Place, QueueKind};
#[cfg(feature = "test-util")]
pub use test_loop::{ScriptedSource, TestLoop};
pub use time::lists::TimeoutId;
pub use warning::Warning;
