//! A pool of threads for work that blocks or computes, which knows no event loop.
//!
//! A [`Pool`] is a value with up to 1024 workers. Each [`Job`] belongs to a [`Class`], which has a queue of its own with
//! a bound, a weight and a share of the workers. A [`Submitter`] is the two-way door of one loop or thread: jobs go in,
//! each comes back as one [`Completed`], and a bell rings once for a batch. Queued jobs can be cancelled, running ones
//! can be told, and all of it is measured ([`Snapshot`]).
//!
//! What it is not: a work-stealing scheduler for computing in parallel (jobs do not split), nor an executor of futures.
//!
//! # Ordering
//! - Workers take the jobs of one class in the order they were submitted, high before normal. With several workers they
//!   may start, and end, in another: short jobs are taken some at a time.
//! - With exactly one worker, jobs start and end in the order they were submitted, whatever their class
//!   ([`Order::Submission`]). Source: Node.js with `UV_THREADPOOL_SIZE=1`.
//! - A completion is delivered before its worker starts the next job, unless the class is [brief](ClassSpec::brief).
//! - A job has exactly one outcome: done, cancelled or panicked, or it was detached and has none.
//!
//! # Limits
//! Every queue is bounded: by its class ([`ClassSpec::queue_len_max`]) or by [`Limits`].
//!
//! README.md in this folder explains how the queue works.
//!
//! # Examples
//! ```
//! use fs_pool::pool::{Cancel, Class, Job, Pool};
//!
//! let pool = Pool::builder().workers(1).build()?;
//! let mut submitter = pool.submitter(|| {});
//! let (open, gate) = std::sync::mpsc::channel::<()>();
//! submitter.submit(Job::new(Class::USER, move |_| gate.recv().is_ok()))?;
//! let second = submitter.submit(Job::new(Class::USER, |_| unreachable!("it is cancelled")))?;
//! assert_eq!(submitter.cancel(second), Cancel::Cancelled);
//! open.send(())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod builder;
mod class;
mod completed;
mod context;
mod error;
mod gate;
mod guard;
mod job;
mod lane;
mod lanes;
mod limits;
mod metrics;
mod order;
mod park;
#[allow(clippy::module_inception)] // the file is named after its subject, as all are
mod pool;
mod port;
mod shared;
mod shutdown;
mod slot;
mod spin;
mod submitter;
mod sync;
mod ticket;
mod worker;

#[cfg(all(test, loom))]
mod loom_tests;

pub use builder::{BuildError, PoolBuilder};
pub use class::{Class, ClassSpec, Priority, Share, WhenFull};
pub use completed::{Completed, JobError, Outcome};
pub use context::{Cancelled, JobContext};
pub use error::SubmitError;
pub use job::{Job, Work};
pub use limits::Limits;
pub use metrics::{ClassSnapshot, SlowJob, Snapshot, Times};
pub use order::Order;
pub use pool::Pool;
pub(crate) use shared::Withdrawn;
pub use shutdown::{Shutdown, ShutdownReport};
pub use submitter::Submitter;
pub use ticket::{Cancel, Detach, Ticket};
