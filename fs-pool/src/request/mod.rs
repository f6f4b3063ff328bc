//! A pool as one loop sees it: jobs go out, and their completions come back as callbacks or futures.
//!
//! [`LoopPool`] joins a [`Pool`](crate::pool::Pool) with a loop. Several loops may share a pool; each gets its own
//! completions and only them.
//!
//! # Ordering
//! - Completions arrive in the poll phase (or where the loop's schedule says), in the order in which the jobs ended, each
//!   with a checkpoint of its own. Source: SEMANTICS W2, M4.
//! - With a pool of one worker, jobs end in the order in which they were given. Source: SEMANTICS W1.
//! - A job starts at once while the workers have little to do, also if the callback that gave it goes on to block. While
//!   they are busy jobs are gathered and queued together, in the prepare phase at the latest ([`RequestLimits`]).

mod builder;
mod core;
mod error;
mod future;
mod limits;
mod loop_pool;
mod prepared;
mod progress;
mod table;

pub use self::core::JobId;
pub use builder::JobRequest;
pub use error::RequestError;
pub use future::PoolFuture;
pub use limits::RequestLimits;
pub use loop_pool::LoopPool;
pub use prepared::{BoxedWork, PreparedFuture, PreparedJob, Start};
pub use progress::Progress;
