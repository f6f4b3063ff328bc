//! The readout of a pool's numbers.

use super::{SlowJob, Times};
use crate::pool::Class;

/// What a pool has done and is doing: counts since it was made, and gauges of the moment.
///
/// Made by [`Pool::snapshot`](crate::pool::Pool::snapshot) from any thread. Numbers of jobs that are just moving may
/// be counted a moment apart; when nothing moves, `submitted` is the sum of the outcomes, the queued and the running.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Each class, by index.
    pub classes: Vec<ClassSnapshot>,
    /// Threads that exist.
    pub workers: usize,
    /// Threads that the pool may have.
    pub workers_max: usize,
    /// Threads that sleep because there is nothing to do.
    pub idle: usize,
    /// How often the system refused to start a thread.
    pub spawn_failures: u64,
    /// The slowest jobs, slowest first.
    pub slowest: Vec<SlowJob>,
}

impl Snapshot {
    /// The numbers of one class.
    ///
    /// # Panics
    /// If the class is of another pool, and has an index that this pool does not know.
    #[track_caller]
    pub fn class(&self, class: Class) -> &ClassSnapshot {
        self.classes.get(class.index()).expect("ask for a class of the pool that made the snapshot")
    }

    /// Jobs that wait for a worker, in all classes.
    pub fn queued(&self) -> usize {
        self.classes.iter().map(|class| class.queued).sum()
    }

    /// Jobs that run, in all classes.
    pub fn running(&self) -> usize {
        self.classes.iter().map(|class| class.running).sum()
    }
}

/// The numbers of one class.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClassSnapshot {
    /// The class's name.
    pub name: String,
    /// Jobs accepted and flushed to the queue.
    pub submitted: u64,
    /// Jobs that ran and returned.
    pub completed: u64,
    /// Jobs given back because the class was full.
    pub rejected: u64,
    /// Jobs cancelled before they started.
    pub cancelled: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs whose waiter gave up while they ran, and that have ended. They are not counted as completed or panicked.
    pub detached: u64,
    /// Jobs that wait: in the queue, or taken by a worker and not started.
    pub queued: usize,
    /// Jobs that run, detached ones included.
    pub running: usize,
    /// Of those, the detached ones: workers that do work nobody waits for.
    pub detached_running: usize,
    /// From flush to start, of jobs that started.
    pub wait: Times,
    /// From start to end, detached jobs included.
    pub run: Times,
}
