//! Files by io_uring: the kernel does what workers of the pool do elsewhere.
//!
//! `sys.rs` is the kernel's ring: calls go in, answers come out. `core.rs` is what a loop has of it: jobs, each of which is
//! a future that awaits one call after the other and nothing else; they are polled where their answers are fetched, in the
//! poll phase, and their ends are delivered as a pool's completions are. `calls.rs` are the calls as futures, `jobs.rs` what
//! `Fs` and `File` have done by them, `whole.rs` whole files by the hops of the schedule.

mod calls;
mod core;
mod jobs;
mod options;
#[allow(unsafe_code)]
mod sys;
mod whole;

pub use options::{IoUring, IoUringLimits, IoUringStats};

pub(super) use self::core::{Ring, RingId};
pub(super) use jobs::RingJob;
pub(super) use options::RingSettings;
