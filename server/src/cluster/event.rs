//! What a primary tells of its workers.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use phaseloop::ipc::Message;

/// The number of a worker: from 1 on, and never used again by the same primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub(super) u32);

impl WorkerId {
    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happened in a cluster.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A worker was started: Node's `fork`.
    Started {
        /// Who.
        worker: WorkerId,
        /// Whose place it takes, from 0 on.
        slot: usize,
        /// Its process; `None` for a thread.
        pid: Option<u32>,
    },
    /// A worker could not be started. It counts as one that ended at once.
    StartFailed {
        /// Who.
        worker: WorkerId,
        /// Why.
        error: io::Error,
    },
    /// A worker runs and speaks.
    Online {
        /// Who.
        worker: WorkerId,
    },
    /// A worker serves a listener.
    Listening {
        /// Who.
        worker: WorkerId,
        /// The listener's name; for Node's workers, the address and port they asked for.
        listener: String,
    },
    /// A worker serves all that it is to serve.
    Ready {
        /// Who.
        worker: WorkerId,
    },
    /// A worker sent a message.
    Message {
        /// Who.
        worker: WorkerId,
        /// JSON: [`Message::parse`] reads it.
        message: Message,
    },
    /// What a worker sent is no message.
    BadMessage {
        /// Who.
        worker: WorkerId,
        /// What is wrong with it.
        problem: String,
    },
    /// The channel to a worker ended. All that it sent was told before.
    Disconnected {
        /// Who.
        worker: WorkerId,
    },
    /// A worker has ended.
    Exited(WorkerEnd),
    /// A worker owes too many answers. It is killed.
    Unresponsive {
        /// Who.
        worker: WorkerId,
        /// How many.
        unanswered: u32,
    },
    /// A worker was not ready in time. It is killed.
    TooSlow {
        /// Who.
        worker: WorkerId,
    },
    /// A worker ended that was not told to: the next one is started after this time.
    Restarting {
        /// The place, from 0 on.
        slot: usize,
        /// How long it stays empty.
        delay: Duration,
    },
    /// Workers of a place ended too often: it stays empty until the next rolling restart.
    GaveUp {
        /// The place, from 0 on.
        slot: usize,
        /// How often.
        exits: usize,
        /// Within this time.
        within: Duration,
    },
    /// In a rolling restart, a worker's successor is ready, and the worker was told to end.
    Replaced {
        /// Who ends.
        old: WorkerId,
        /// Who takes its place.
        new: WorkerId,
    },
    /// A rolling restart is over.
    RollingRestart(Result<RestartReport, RestartError>),
    /// A connection could not be accepted or handed over.
    ConnectionFailed {
        /// The listener's name.
        listener: String,
        /// Why.
        error: io::Error,
    },
    /// Connections that the primary had accepted were closed, since no worker took them: each refused, or all are to end and none is left.
    Unserved {
        /// The listener's name.
        listener: String,
        /// How many.
        count: usize,
    },
    /// So many events were dropped from a stream that nobody polled. Only streams tell of it.
    Missed(u64),
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Its process ended like this.
    Process(ExitStatus),
    /// Its thread ended by itself.
    Thread,
    /// Its thread panicked, with this message.
    Panicked(String),
    /// Its thread does not come back to its loop, and can not be ended from outside: it was given up.
    Abandoned,
    /// It could not be started, or how it ended is not known.
    Unknown(String),
}

/// A worker that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerEnd {
    /// Who.
    pub worker: WorkerId,
    /// Its place.
    pub slot: usize,
    /// How.
    pub ending: Ending,
    /// It was told to, and so is no loss.
    pub was_told: bool,
    /// It was killed by the primary: it was stuck, too slow to start or too slow to end.
    pub was_killed: bool,
    /// What became of its connections, if it had the time to tell.
    pub drained: Option<Drained>,
}

/// What became of the connections of a worker that finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Came to their end.
    pub finished: usize,
    /// Were cut, since the time was up.
    pub cut: usize,
}

impl WorkerEnd {
    pub(super) fn not_started(worker: WorkerId, slot: usize, ending: Ending) -> Self {
        Self { worker, slot, ending, was_told: false, was_killed: false, drained: None }
    }
}

impl fmt::Display for WorkerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} ended: ", self.worker)?;
        match &self.ending {
            Ending::Process(status) => write!(f, "{status}")?,
            Ending::Thread => f.write_str("its thread is done")?,
            Ending::Panicked(message) => write!(f, "its thread panicked: {message}")?,
            Ending::Abandoned => f.write_str("its thread is stuck and was given up")?,
            Ending::Unknown(why) => f.write_str(why)?,
        }
        if let Some(Drained { finished, cut }) = self.drained {
            write!(f, ", {finished} connections finished, {cut} cut")?;
        }
        if self.was_killed {
            f.write_str(", it was killed")?;
        }
        Ok(())
    }
}

/// How the workers of a cluster ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndReport {
    /// Each worker that was there when it was told to end, in the order of their ends.
    pub workers: Vec<WorkerEnd>,
    /// The places that were given up before.
    pub given_up: Vec<usize>,
    /// Connections that the primary had accepted, in all its life, and closed since no worker took them.
    pub unserved: usize,
}

/// How a rolling restart went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestartReport {
    /// How each worker that was replaced ended.
    pub replaced: Vec<WorkerEnd>,
}

/// Why a rolling restart did not replace all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestartError {
    /// One is under way.
    UnderWay,
    /// The cluster is told to end.
    Ending,
    /// The successors of this place did not become ready. Its worker stays, and so do those of the places behind.
    SuccessorsFailed {
        /// The place.
        slot: usize,
    },
}

impl fmt::Display for RestartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnderWay => f.write_str("a rolling restart is under way"),
            Self::Ending => f.write_str("the cluster is told to end"),
            Self::SuccessorsFailed { slot } => {
                write!(f, "the new workers of place {slot} did not become ready: the old one stays")
            }
        }
    }
}

impl Error for RestartError {}
