//! One worker's place: the bite it has taken, the job it runs, and the flag that asks the job to stop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::metrics::WorkerStats;
use super::park::Parker;
use super::sync::{AtomicBool, Mutex};
use super::{Class, Job};

/// What others can see of a worker. Lock order: the pool's state before a slot.
pub(crate) struct Slot {
    pub(crate) index: usize,
    pub(crate) parker: Parker,
    pub(crate) stats: Arc<WorkerStats>,
    bite: Mutex<Bite>,
    /// The running job is no longer wanted. Written under the lock of `bite`, so that it cannot reach the next job;
    /// read by the job without it. Relaxed: it is a hint and publishes nothing.
    cancelled: AtomicBool,
    /// The length of `bite.jobs`, written under its lock, for who looks for work to take over.
    len: AtomicUsize,
}

/// INVARIANT one-place: a job is in a stage, a lane, a bite, running, or completed, and moves between the last three
/// under this lock. Who removes it from a bite decides its outcome.
struct Bite {
    jobs: VecDeque<Job>,
    running: Option<Running>,
}

struct Running {
    seq: u64,
    class: Class,
    detached: bool,
}

/// What the slot answers when the worker is done with one job and wants the next.
pub(crate) struct Advance {
    /// Nobody waits for the job that has just ended.
    pub(crate) detached: bool,
    pub(crate) next: Option<Job>,
}

/// What a slot holds.
pub(crate) struct Gauge {
    /// The class of the running job, and whether it is detached.
    pub(crate) running: Option<(Class, bool)>,
    /// How many jobs wait in the bite, and their class.
    pub(crate) waiting: Option<(Class, usize)>,
}

/// Where a job was when it was to be cancelled.
pub(crate) enum Found {
    /// It had not started; here it is.
    Waiting(Job),
    /// It is running, and its flag is set.
    Running,
    Nowhere,
}

impl Slot {
    pub(crate) fn new(index: usize, stats: Arc<WorkerStats>) -> Self {
        Self {
            index,
            parker: Parker::new(),
            stats,
            bite: Mutex::new(Bite { jobs: VecDeque::new(), running: None }),
            cancelled: AtomicBool::new(false),
            len: AtomicUsize::new(0),
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Jobs that wait in the bite. A hint unless the state's lock is held, under which it can only shrink.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Ends the running job, if there is one, and starts the next if `more`.
    pub(crate) fn advance(&self, more: bool) -> Advance {
        let mut bite = self.bite.lock();
        let detached = bite.running.take().is_some_and(|it| it.detached);
        let next = if more { bite.jobs.pop_front() } else { None };
        if let Some(job) = &next {
            let header = job.header();
            bite.running = Some(Running { seq: header.seq, class: header.class, detached: false });
            self.cancelled.store(false, Ordering::Relaxed);
            self.len.store(bite.jobs.len(), Ordering::Relaxed);
        }
        Advance { detached, next }
    }

    /// Puts a bite in: `fill` appends to the jobs it is given.
    pub(crate) fn fill<R>(&self, fill: impl FnOnce(&mut VecDeque<Job>) -> R) -> R {
        let mut bite = self.bite.lock();
        let answer = fill(&mut bite.jobs);
        self.len.store(bite.jobs.len(), Ordering::Relaxed);
        answer
    }

    /// Takes the later half of the waiting jobs, rounded up.
    pub(crate) fn take_half(&self) -> VecDeque<Job> {
        self.fill(|jobs| jobs.split_off(jobs.len() / 2))
    }

    /// Takes all waiting jobs.
    pub(crate) fn take_all(&self) -> VecDeque<Job> {
        if self.len() == 0 {
            return VecDeque::new(); // the worker's own bite is mostly eaten up
        }
        self.fill(std::mem::take)
    }

    /// Looks for the job `seq`: takes it out if it waits, flags it if it runs, and detaches it if `detach`.
    pub(crate) fn cancel(&self, seq: u64, detach: bool) -> Found {
        let mut bite = self.bite.lock();
        if let Some(place) = bite.jobs.iter().position(|job| job.header().seq == seq) {
            let job = bite.jobs.remove(place).expect("`position` found it");
            self.len.store(bite.jobs.len(), Ordering::Relaxed);
            return Found::Waiting(job);
        }
        match &mut bite.running {
            Some(running) if running.seq == seq => {
                running.detached |= detach;
                self.cancelled.store(true, Ordering::Relaxed);
                Found::Running
            }
            _ => Found::Nowhere,
        }
    }

    /// Flags whatever is running.
    pub(crate) fn cancel_running(&self) {
        let bite = self.bite.lock();
        if bite.running.is_some() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// What the slot holds at the moment.
    pub(crate) fn gauge(&self) -> Gauge {
        let bite = self.bite.lock();
        Gauge {
            running: bite.running.as_ref().map(|it| (it.class, it.detached)),
            waiting: bite.jobs.front().map(|job| (job.class(), bite.jobs.len())),
        }
    }
}
