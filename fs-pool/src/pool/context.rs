//! What a running job can ask.

use std::fmt;

use super::slot::Slot;
use super::{Class, Ticket};

/// What a job is told while it runs: whether it is still wanted, and where it is.
///
/// ```
/// use fs_pool::pool::{Cancelled, Class, Job, Pool};
///
/// let pool = Pool::builder().build()?;
/// let mut submitter = pool.submitter(|| {});
/// submitter.submit(Job::new(Class::CPU, |cx| {
///     let mut sum = 0_u64;
///     for chunk in 0..1000_u64 {
///         cx.check()?; // leaves early once the job was cancelled
///         sum += chunk;
///     }
///     Ok::<u64, Cancelled>(sum)
/// }))?;
/// assert_eq!(submitter.wait()?[0].take(), Some(Ok::<u64, Cancelled>(499_500)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JobContext<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) ticket: Ticket,
}

impl JobContext<'_> {
    /// True once the job was cancelled or detached, or the pool is being shut down without finishing its jobs.
    ///
    /// One load; a long job should ask between chunks.
    pub fn is_cancelled(&self) -> bool {
        self.slot.is_cancelled()
    }

    /// An error once the job was cancelled, to leave early with `?`.
    ///
    /// # Errors
    /// [`Cancelled`] whenever [`is_cancelled`](Self::is_cancelled) is true.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// The job's class.
    pub fn class(&self) -> Class {
        self.ticket.class
    }

    /// The job's ticket.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Which worker runs it: from 0, below the number of workers. The index is in the thread's name.
    pub fn worker(&self) -> usize {
        self.slot.index
    }
}

impl fmt::Debug for JobContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("JobContext");
        out.field("ticket", &self.ticket).field("worker", &self.worker()).finish_non_exhaustive()
    }
}

/// The job was cancelled while it ran, and noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job was cancelled while it ran")
    }
}

impl std::error::Error for Cancelled {}
