//! What users hold: queues, timers, watchers, wakeups, tasks. All of it changes the loop's state and returns.

pub(crate) mod context_key;
pub(crate) mod poll_fd;
pub(crate) mod queues;
pub(crate) mod sleep;
pub(crate) mod spawn;
pub(crate) mod timer;
pub(crate) mod wakeup;
pub(crate) mod walk;
pub(crate) mod watcher;
