//! An embeddable event loop and async runtime: phases, queues, timers, tasks.

mod driver;
mod emitter;
mod error;
mod event_loop;
mod free;
mod handle;
mod limits;
pub mod net;
mod node;
mod phase;
mod remote;
pub mod request;
mod schedule;
mod state;
mod task;
#[cfg(feature = "test-util")]
mod test_loop;
mod time;

pub use emitter::{Event, EventEmitter, ListenerId, ListenerOptions};
pub use error::{AgainError, Closing, Elapsed, JoinError, RemoteError};
pub use event_loop::{Builder, Busy, EventLoop, PreparedLoop};
pub use free::{
    interval, next_tick, queue_microtask, set_immediate, set_interval, set_timeout, sleep, spawn, timeout,
};
pub use handle::context_key::ContextKey;
pub use handle::sleep::{Interval, Sleep, yield_now};
pub use handle::spawn::JoinHandle;
pub use handle::timer::{Timer, TimerId};
pub use handle::wakeup::{Wakeup, WakeupSender};
pub use handle::walk::HandleInfo;
pub use handle::watcher::{Check, Idle, Prepare, Watcher};
pub use limits::Limits;
pub use remote::Remote;
pub use schedule::{Drain, FileHops, Phase, Schedule, TimerBatch};
pub use state::LoopHandle;
pub use state::call::Uncaught;
pub use state::current::{current, try_current};
pub use state::handles::{HandleKind, MissedTicks};
pub use state::immediates::ImmediateId;
pub use state::metrics::{Metrics, MetricsReader};
pub use state::mode::{Outcome, RunMode};
#[cfg(feature = "test-util")]
pub use test_loop::{ScriptedSource, TestLoop};
pub use time::lists::TimeoutId;
