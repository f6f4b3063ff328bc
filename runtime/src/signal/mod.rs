//! Signals of the operating system, as callbacks, streams and futures of a loop.
//!
//! A signal's handler belongs to the process, not to a loop. While any loop of the process watches a signal, this crate's
//! handler stands in for whatever was there; with the last watcher the process gets back what it had. The handler counts
//! the signal for each loop that watches it and writes a byte to that loop's socket; all else happens on the loop.
//!
//! What the system forces to be global, and nothing else, is global: the handler, the note of what it replaced, and a list of
//! the loops that watch. A loop costs two descriptors while it watches a signal.
//!
//! `number` names signals, `watcher` is the handle, `stream` the futures, `hub` brings a loop its signals.

mod hub;
mod number;
mod stream;
mod sys;
mod watcher;

pub(crate) use hub::{Started, Watches, after_fork_child};
pub use number::{Signal, UnknownSignal};
pub use stream::{SecondSignal, ShutdownSignal, Signals, shutdown_signal};
pub use watcher::SignalWatcher;
