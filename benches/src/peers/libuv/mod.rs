//! libuv, used as its C users do: handles in blocks of memory that they own, plain callbacks, one read buffer.
//!
//! `sys.rs` holds every call into C; this is what the questions may use of it.

#[path = "echo/sys.rs"]
mod local;
mod sys;

pub(crate) use local::{udp_echo, unix_echo};
pub(crate) use sys::{Loop, Timers, echo, run_with_waker, turn_by_idle};
