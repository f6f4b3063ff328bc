//! The pool as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::builder::{Config, check_workers};
use super::metrics::{ClassSnapshot, Snapshot, Times};
use super::shared::{Shared, State};
use super::slot::Gauge;
use super::{BuildError, Cancel, Class, Detach, PoolBuilder, Shutdown, Submitter, Ticket};

/// A pool of threads for work that blocks or computes.
///
/// A value: clones are the same pool, and several pools in one process know nothing of each other. Jobs go in through
/// a [`Submitter`], one for each loop or thread, and their completions come back to it.
///
/// When the last of a pool's clones and submitters is dropped, queued jobs are cancelled, running ones are told so, and
/// the threads end by themselves. To wait for them, or to finish the queue, call [`shutdown`](Self::shutdown).
///
/// ```
/// use fs_pool::pool::{Class, Job, Pool};
///
/// let pool = Pool::builder().workers(2).build()?;
/// let mut submitter = pool.submitter(|| { /* wake the loop */ });
/// submitter.submit(Job::new(Class::FS, |_| std::fs::metadata("Cargo.toml").map(|it| it.is_file())))?;
/// for completed in submitter.wait()? {
///     assert!(completed.into_result::<std::io::Result<bool>>()??);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pool {
    handle: Arc<Handle>,
}

/// What pools and submitters hold, and workers do not: its end is the pool's end.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.shared.is_closed() {
            self.shared.close(Shutdown::Cancel);
        }
    }
}

impl Pool {
    /// Starts setting up a pool.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    pub(crate) fn new(config: Config, workers: usize) -> Self {
        Self { handle: Arc::new(Handle { shared: Arc::new(Shared::new(config, workers)) }) }
    }

    pub(crate) fn from_handle(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// Makes the two-way door of one loop or thread: jobs go in, and their completions come back.
    ///
    /// `bell` rings when completions have arrived since the last take, once for the batch, and when there is room for
    /// late jobs. It is called on worker threads and on threads that cancel, with no lock held; it must not block. A
    /// panic in it is ignored.
    pub fn submitter(&self, bell: impl Fn() + Send + Sync + 'static) -> Submitter {
        Submitter::new(self.handle.clone(), Arc::new(bell))
    }

    /// The class with this name.
    pub fn class(&self, name: &str) -> Option<Class> {
        let place = self.shared().config.classes.iter().position(|spec| spec.name == name)?;
        Some(Class(place as u16)) // below 64, as the builder has checked
    }

    /// How many threads the pool may have.
    pub fn workers(&self) -> usize {
        self.shared().state.lock().target
    }

    /// Changes how many threads the pool may have: 1 to 1024. Returns at once.
    ///
    /// New threads start when there is work for them; superfluous ones end after the bite they are eating. Shares of
    /// the classes are worked out again.
    ///
    /// # Errors
    /// If the number is out of range.
    pub fn resize(&self, workers: usize) -> Result<(), BuildError> {
        self.shared().resize(check_workers(workers)?);
        Ok(())
    }

    /// Cancels a job: it is out of the queue, told so, or over.
    ///
    /// This does not see the jobs that a submitter has staged, or keeps for later, and calls them done: use
    /// [`Submitter::cancel`] where the submitter is at hand.
    ///
    /// # Panics
    /// If the ticket is of another pool.
    #[track_caller]
    pub fn cancel(&self, ticket: Ticket) -> Cancel {
        self.shared().withdraw(ticket, false).deliver().into()
    }

    /// Gives up waiting for a job. As [`Submitter::detach`], with the restriction of [`cancel`](Self::cancel).
    ///
    /// # Panics
    /// If the ticket is of another pool.
    #[track_caller]
    pub fn detach(&self, ticket: Ticket) -> Detach {
        self.shared().withdraw(ticket, true).deliver()
    }

    /// What the pool has done and is doing. It takes the pool's lock for a moment, and adds up some kilobytes of
    /// counts for each worker.
    pub fn snapshot(&self) -> Snapshot {
        let shared = self.shared();
        let mut st = shared.state.lock();
        let classes = (0..shared.gates.len()).map(|class| class_snapshot(shared, &mut st, class)).collect();
        let mut snapshot = Snapshot {
            classes,
            workers: st.live,
            workers_max: st.target,
            idle: st.idle.len(),
            spawn_failures: shared.spawn_failures.load(Ordering::Relaxed),
            slowest: Vec::new(),
        };
        for slot in st.slots() {
            let Gauge { running, waiting } = slot.gauge();
            if let Some((class, detached)) = running {
                snapshot.classes[class.index()].running += 1;
                snapshot.classes[class.index()].detached_running += usize::from(detached);
            }
            if let Some((class, jobs)) = waiting {
                snapshot.classes[class.index()].queued += jobs;
            }
        }
        let stats: Vec<_> = st.seats.iter().map(|seat| seat.stats.clone()).collect();
        drop(st);
        for (index, class) in snapshot.classes.iter_mut().enumerate() {
            for stats in stats.iter().filter_map(|stats| stats.peek(index)) {
                class.completed += stats.completed.load(Ordering::Relaxed);
                class.panicked += stats.panicked.load(Ordering::Relaxed);
                class.detached += stats.detached.load(Ordering::Relaxed);
                stats.wait.add_to(&mut class.wait);
                stats.run.add_to(&mut class.run);
            }
        }
        snapshot.slowest = shared.slow.list();
        snapshot
    }

    /// What tickets of this pool carry.
    pub(crate) fn id(&self) -> u32 {
        self.shared().id
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.shared().config.name).finish_non_exhaustive()
    }
}

/// The class's numbers but for what the workers count.
fn class_snapshot(shared: &Shared, st: &mut State, class: usize) -> ClassSnapshot {
    let gate = &shared.gates[class];
    ClassSnapshot {
        name: gate.spec.name.clone().into_owned(),
        submitted: st.lanes.lane(Class(class as u16)).submitted,
        completed: 0,
        rejected: gate.counts.rejected.load(Ordering::Relaxed),
        cancelled: gate.counts.cancelled.load(Ordering::Relaxed),
        panicked: 0,
        detached: 0,
        detached_running: 0,
        queued: st.lanes.len(class),
        running: 0,
        wait: Times::new(),
        run: Times::new(),
    }
}
