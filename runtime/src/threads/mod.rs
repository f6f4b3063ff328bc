//! Threads with a loop of their own, and the channels between them: for what Node has `worker_threads` and `MessageChannel`.
//!
//! [`spawn_loop`] makes a thread, a loop on it, and a [`Port`] on each side. [`channel`] makes two [`PortEnd`]s that may be sent
//! anywhere, also through another port, and become ports of whichever loop they are opened on. Only what crosses must be `Send`.
//!
//! `channel` is the queue between two threads, `port` what a loop holds of it, `worker` the thread.

mod channel;
mod port;
mod worker;

pub use channel::{PortEnd, PortError, channel};
pub use port::Port;
pub use worker::{Builder, Ended, StillRunning, Worker, WorkerError, spawn_loop};
