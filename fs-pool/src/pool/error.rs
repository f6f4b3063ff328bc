//! Why a job was not accepted. Each error gives the job back.

use std::{fmt, io};

use super::Job;

/// A job was not accepted; nothing is left behind, and no completion will come.
///
/// ```
/// use fs_pool::pool::{Class, Job, Pool, Shutdown, SubmitError};
///
/// let pool = Pool::builder().build()?;
/// let mut submitter = pool.submitter(|| {});
/// pool.shutdown(Shutdown::Finish);
/// let refused = submitter.submit(Job::new(Class::USER, |_| ()));
/// assert!(matches!(refused, Err(SubmitError::Closed(_))));
/// # Ok::<(), fs_pool::pool::BuildError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SubmitError {
    /// The queue of its class is full, and so is what the class's policy adds to it.
    Full(Job),
    /// The pool has been shut down.
    Closed(Job),
    /// The pool has no thread yet, and the system refused to start one.
    NoThread(Job, io::Error),
}

impl SubmitError {
    /// The job that was not accepted.
    pub fn into_job(self) -> Job {
        match self {
            Self::Full(job) | Self::Closed(job) | Self::NoThread(job, _) => job,
        }
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(job) => write!(f, "the queue of class {} is full", job.class().index()),
            Self::Closed(_) => f.write_str("the pool has been shut down"),
            Self::NoThread(_, error) => write!(f, "no worker could be started: {error}"),
        }
    }
}

impl std::error::Error for SubmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoThread(_, error) => Some(error),
            _ => None,
        }
    }
}
