//! What comes back: one `Completed` for each job that was accepted and not detached.

use std::any::Any;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::port::Port;
use super::{Class, Job, Ticket};

/// How a job ended. Each job has exactly one outcome.
#[non_exhaustive]
pub enum Outcome {
    /// It ran and returned.
    Done,
    /// It was cancelled before it started, and never ran.
    Cancelled,
    /// It panicked with this payload. The worker lives on.
    Panicked(Box<dyn Any + Send>),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Cancelled => "Cancelled",
            Self::Panicked(_) => "Panicked",
        })
    }
}

/// Why a job has no result.
#[non_exhaustive]
pub enum JobError {
    /// It was cancelled before it started.
    Cancelled,
    /// It panicked with this payload.
    Panicked(Box<dyn Any + Send>),
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the job was cancelled before it started"),
            Self::Panicked(payload) => write!(f, "the job panicked: {}", panic_message(payload.as_ref())),
        }
    }
}

impl std::error::Error for JobError {}

/// A job that is over, on its way back to its submitter.
#[derive(Debug)]
pub struct Completed {
    job: Job,
}

impl Completed {
    pub(crate) fn new(mut job: Job, outcome: Outcome) -> Self {
        job.header_mut().outcome = Some(outcome);
        Self { job }
    }

    /// How it ended.
    pub fn outcome(&self) -> &Outcome {
        self.job.header().outcome.as_ref().expect("`new` has set it, and only `into_result` takes it")
    }

    /// The ticket that submitting gave.
    pub fn ticket(&self) -> Ticket {
        self.job.ticket()
    }

    /// The number that [`Job::token`] set.
    pub fn token(&self) -> u64 {
        self.job.header().token
    }

    /// The job's class.
    pub fn class(&self) -> Class {
        self.job.class()
    }

    /// The line that made the job.
    pub fn site(&self) -> &'static Location<'static> {
        self.job.header().site
    }

    /// How long it was queued, from the flush to its start; zero if it never started.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.job.header().wait_ns)
    }

    /// How long it ran; zero if it never started.
    pub fn ran(&self) -> Duration {
        Duration::from_nanos(self.job.header().run_ns)
    }

    /// Takes what the closure returned. `None` if there is nothing, it was taken before, or `T` is another type.
    pub fn take<T: 'static>(&mut self) -> Option<T> {
        self.job.output()?.downcast_mut::<Option<T>>()?.take()
    }

    /// Where a [`Work`](super::Work) of one's own keeps its result.
    pub fn output(&mut self) -> Option<&mut dyn Any> {
        self.job.output()
    }

    /// What the closure returned, or why it did not.
    ///
    /// # Panics
    /// If the job is done but its result is not a `T`, or was taken before.
    #[track_caller]
    pub fn into_result<T: 'static>(mut self) -> Result<T, JobError> {
        match self.job.header_mut().outcome.take() {
            Some(Outcome::Cancelled) => Err(JobError::Cancelled),
            Some(Outcome::Panicked(payload)) => Err(JobError::Panicked(payload)),
            Some(Outcome::Done) | None => {
                Ok(self.take().expect("ask for the type that the job returned, once"))
            }
        }
    }

    /// The way back, which a job that is over no longer needs.
    pub(crate) fn take_port(&mut self) -> Option<Arc<Port>> {
        self.job.header_mut().port.take()
    }

    pub(crate) fn job(&self) -> &Job {
        &self.job
    }
}

/// The text of a panic, as far as it has one.
fn panic_message(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("(no message)", String::as_str),
    }
}
