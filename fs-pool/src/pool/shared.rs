//! What the handles and the workers of one pool share: the state under its lock, and how it changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use std::{io, thread};

use crossbeam_utils::CachePadded;

use super::builder::Config;
use super::gate::Gate;
use super::lanes::{Bite, Lanes, Report};
use super::metrics::{SlowList, WorkerStats};
use super::park::IdleList;
use super::port::{Port, deliver_cancelled};
use super::slot::{Found, Gauge, Slot};
use super::sync::{Condvar, Mutex};
use super::worker::Worker;
use super::{Class, Detach, Job, Priority, Shutdown, Ticket};

/// Everything of a pool but its handles. No user code runs, and no job is dropped, under the lock of `state`.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) gates: Box<[CachePadded<Gate>]>,
    pub(crate) config: Config,
    /// Tells tickets of this pool from those of another.
    pub(crate) id: u32,
    pub(crate) slow: SlowList,
    /// The last place in the order of submission. Relaxed: unique is enough.
    seq: CachePadded<AtomicU64>,
    /// Jobs in the lanes, for the worker that spins. Written under the lock; relaxed, since the reader then locks.
    pub(crate) queued: CachePadded<AtomicUsize>,
    /// Set once, under the lock. Relaxed: a hint that saves a submitter the work; the lock decides.
    closed: AtomicBool,
    pub(crate) spawn_failures: AtomicU64,
    /// A thread has ended; used with the state's lock.
    pub(crate) ended: Condvar,
    pub(crate) clock: Instant,
}

/// The state under the lock.
pub(crate) struct State {
    pub(crate) lanes: Lanes,
    /// By worker index; longer than `live` when threads have ended.
    pub(crate) seats: Vec<Seat>,
    pub(crate) idle: IdleList,
    /// INVARIANT searching: workers that will lock the state and look for work before they sleep or end: started,
    /// woken or spinning ones. While it is not zero nobody else need be woken; who finds work wakes the next.
    pub(crate) searching: usize,
    /// One of the searching spins.
    pub(crate) spinning: bool,
    /// INVARIANT withheld: all that is queued is little, and of submitters that have promised to call `notify` soon. Workers
    /// that are awake take it without waking others.
    pub(crate) withheld: bool,
    /// Workers that have a seat, and how many there may be.
    pub(crate) live: usize,
    pub(crate) target: usize,
    /// Threads that have not ended; one that has given up its seat may still run its last hook.
    pub(crate) threads: Vec<thread::ThreadId>,
    /// Threads that gave up their seat to a new one.
    pub(crate) retired: Vec<thread::JoinHandle<()>>,
    pub(crate) closing: Option<Shutdown>,
}

/// A worker index: its numbers, which stay, and who sits on it.
pub(crate) struct Seat {
    pub(crate) slot: Option<Arc<Slot>>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) thread: Option<thread::JoinHandle<()>>,
}

/// What is to be done once the lock is released.
#[must_use = "fire it after the lock is released"]
#[derive(Default)]
pub(crate) struct Wake {
    worker: Option<Arc<Slot>>,
    ports: Vec<Arc<Port>>,
}

impl Wake {
    pub(crate) fn fire(self) {
        if let Some(slot) = self.worker {
            slot.parker.wake();
        }
        self.ports.iter().for_each(|port| port.ring());
    }
}

impl Shared {
    pub(crate) fn new(config: Config, workers: usize) -> Self {
        let order = config.order_for(workers);
        let state = State {
            lanes: Lanes::new(&config.classes, workers, order, &config.limits),
            seats: Vec::new(),
            idle: IdleList::default(),
            searching: 0,
            spinning: false,
            withheld: false,
            live: 0,
            target: workers,
            threads: Vec::new(),
            retired: Vec::new(),
            closing: None,
        };
        Self {
            state: Mutex::new(state),
            gates: config.classes.iter().map(|spec| CachePadded::new(Gate::new(spec.clone()))).collect(),
            id: random_id(),
            slow: SlowList::new(config.limits.slow_len_max),
            config,
            seq: CachePadded::new(AtomicU64::new(0)),
            queued: CachePadded::new(AtomicUsize::new(0)),
            closed: AtomicBool::new(false),
            spawn_failures: AtomicU64::new(0),
            ended: Condvar::new(),
            clock: Instant::now(),
        }
    }

    /// Time since the pool was made: enough for 584 years.
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.seq.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn gate(&self, class: Class) -> &Gate {
        &self.gates[class.index()]
    }

    /// Queues the jobs, which hold their places already, under one lock and with one wake.
    ///
    /// With `may_withhold` there may be no wake: the caller then owes one, and calls `pay_wake` soon. True if it does.
    ///
    /// An error leaves them in `stage`: there is no thread, and none could be started.
    pub(crate) fn enqueue(self: &Arc<Self>, stage: &mut Vec<Job>, may_withhold: bool) -> io::Result<bool> {
        let now_ns = self.now_ns();
        let mut st = self.state.lock();
        if st.closing.is_some() {
            drop(st);
            stage.iter().for_each(|job| self.leave(job.class()));
            self.refuse(stage.drain(..));
            return Ok(false);
        }
        if st.live == 0 {
            self.spawn(&mut st)?;
        }
        let may_withhold = may_withhold && (st.withheld || st.lanes.queued() == 0);
        for mut job in stage.drain(..) {
            job.header_mut().queued_ns = now_ns;
            let (class, high) = (job.class(), job.header().priority == Priority::High);
            st.lanes.insert(job);
            let lane = st.lanes.lane(class);
            lane.submitted += 1;
            if high {
                self.gate(class).set_high(lane.high_len());
            }
        }
        let withholds = may_withhold && st.lanes.backlog_ns() <= self.config.bite_ns();
        let wake = if withholds && st.awake() > 0 {
            self.queued.store(st.lanes.queued(), Ordering::Relaxed);
            Wake::default()
        } else {
            self.notify(&mut st, Vec::new())
        };
        st.withheld = withholds;
        drop(st);
        wake.fire();
        Ok(withholds)
    }

    /// Wakes whoever `enqueue` did not wake.
    pub(crate) fn pay_wake(self: &Arc<Self>) {
        let mut st = self.state.lock();
        let wake = self.notify(&mut st, Vec::new());
        drop(st);
        wake.fire();
    }

    /// Ends jobs that were accepted but never queued: the pool closed meanwhile, or they were cancelled.
    pub(crate) fn refuse(&self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            self.count_refused(job.class());
            deliver_cancelled(job);
        }
    }

    /// Counts a job that was accepted and never queued.
    pub(crate) fn count_refused(&self, class: Class) {
        self.gate(class).counts.cancelled.fetch_add(1, Ordering::Relaxed);
        self.state.lock().lanes.lane(class).submitted += 1;
    }

    /// Frees the place of a job that was not queued.
    pub(crate) fn leave(&self, class: Class) {
        let mut st = self.state.lock();
        self.gate(class).leave(1);
        let ports = self.tell_room(&mut st, class);
        drop(st);
        Wake { worker: None, ports }.fire();
    }

    /// Says which worker to wake, if a job could start and nobody is about to look; starts a thread if all are busy.
    pub(crate) fn notify(self: &Arc<Self>, st: &mut State, ports: Vec<Arc<Port>>) -> Wake {
        self.queued.store(st.lanes.queued(), Ordering::Relaxed);
        let mut wake = Wake { worker: None, ports };
        st.withheld = false;
        if st.searching > 0 {
            return wake;
        }
        let may_start = st.lanes.may_start();
        let may_grow = st.live > 0 && st.live < st.target && st.closing.is_none();
        if !may_start && ((st.idle.len() == 0 && !may_grow) || st.victim(None).is_none()) {
            return wake;
        }
        if let Some(index) = st.idle.pop() {
            st.searching += 1;
            wake.worker = st.seats[index].slot.clone();
        } else if may_grow {
            // Counted in `spawn`. The workers there are will do the work, if with less company.
            let _ = self.spawn(st);
        }
        wake
    }

    /// As `notify`, by a worker that has just taken a bite: it wakes nobody while a submitter owes the wake.
    pub(crate) fn notify_after_bite(self: &Arc<Self>, st: &mut State, ports: Vec<Arc<Port>>) -> Wake {
        if st.withheld {
            self.queued.store(st.lanes.queued(), Ordering::Relaxed);
            return Wake { worker: None, ports };
        }
        self.notify(st, ports)
    }

    /// Starts a worker. Done under the lock: it is rare, and so nobody can rely on a thread that then fails to start.
    fn spawn(self: &Arc<Self>, st: &mut State) -> io::Result<()> {
        let index = st.free_seat(self.gates.len());
        let slot = Arc::new(Slot::new(index, st.seats[index].stats.clone()));
        let worker = Worker::new(self.clone(), slot.clone());
        let builder = thread::Builder::new().name(format!("{}-{index}", self.config.name));
        let builder = match self.config.stack_size {
            Some(bytes) => builder.stack_size(bytes),
            None => builder,
        };
        let thread = builder.spawn(move || worker.run());
        let thread = thread.inspect_err(|_| _ = self.spawn_failures.fetch_add(1, Ordering::Relaxed))?;
        st.live += 1;
        st.threads.push(thread.thread().id());
        st.searching += 1; // it looks for work first of all
        let seat = &mut st.seats[index];
        seat.slot = Some(slot);
        let before = seat.thread.replace(thread);
        st.retired.retain(|thread| !thread.is_finished());
        st.retired.extend(before);
        Ok(())
    }

    /// Gives the worker its next bite: from the queue, or from a worker that has taken more than it can eat.
    pub(crate) fn take(&self, st: &mut State, slot: &Slot) -> Option<(Bite, Vec<Arc<Port>>)> {
        let workers = if st.withheld { st.awake() } else { st.target };
        let Some(bite) = slot.fill(|jobs| st.lanes.take(workers, jobs)) else {
            return st.take_over(slot).map(|bite| (bite, Vec::new()));
        };
        let gate = self.gate(bite.class);
        gate.leave(bite.from_queue);
        if bite.high {
            gate.set_high(st.lanes.lane(bite.class).high_len());
        }
        let ports = self.tell_room(st, bite.class);
        Some((bite, ports))
    }

    /// Ends a bite: what is left of it goes back to its place in the queue.
    pub(crate) fn settle(&self, st: &mut State, slot: &Slot, report: Report) {
        let rest = slot.take_all();
        let gate = self.gate(report.bite.class);
        if !rest.is_empty() {
            gate.enter_again(rest.len());
            rest.into_iter().for_each(|job| st.lanes.insert(job));
            gate.set_high(st.lanes.lane(report.bite.class).high_len());
        }
        st.lanes.settle(report);
    }

    /// Wakes blocked submitters of a class, and names those with late jobs if there is room enough for them.
    fn tell_room(&self, st: &mut State, class: Class) -> Vec<Arc<Port>> {
        let gate = self.gate(class);
        let lane = st.lanes.lane(class);
        if lane.blocked > 0 {
            gate.room.notify_all();
        }
        if lane.late.is_empty() || gate.room() < gate.room_worth_telling() {
            return Vec::new();
        }
        std::mem::take(&mut lane.late)
    }

    /// Cancels or detaches a job that has been queued. One that had not started is given to the caller, who delivers it.
    ///
    /// # Panics
    /// If the ticket is of another pool.
    #[track_caller]
    pub(crate) fn withdraw(&self, ticket: Ticket, detach: bool) -> Withdrawn {
        assert_eq!(ticket.pool, self.id, "cancel a job at the pool that gave the ticket");
        let mut st = self.state.lock();
        let mut wake = Wake::default();
        let found = match st.lanes.remove(ticket) {
            Some(job) => {
                let gate = self.gate(ticket.class);
                gate.leave(1);
                gate.set_high(st.lanes.lane(ticket.class).high_len());
                wake.ports = self.tell_room(&mut st, ticket.class);
                Found::Waiting(job)
            }
            None => st.cancel_taken(ticket.seq, detach),
        };
        drop(st);
        wake.fire();
        match found {
            Found::Waiting(job) => {
                self.gate(ticket.class).counts.cancelled.fetch_add(1, Ordering::Relaxed);
                Withdrawn { detach: Detach::Cancelled, job: Some(job) }
            }
            Found::Running => Withdrawn { detach: Detach::Detached, job: None },
            Found::Nowhere => Withdrawn { detach: Detach::Done, job: None },
        }
    }

    /// Blocks until a place in the class is free, and takes it.
    pub(crate) fn wait_for_room(&self, class: Class, deadline: Option<Instant>) -> Result<(), NoRoom> {
        let gate = self.gate(class);
        let mut st = self.state.lock();
        st.lanes.lane(class).blocked += 1;
        let answer = loop {
            if st.closing.is_some() {
                break Err(NoRoom::Closed);
            }
            if gate.try_enter() {
                break Ok(());
            }
            match deadline {
                None => gate.room.wait(&mut st),
                Some(deadline) if Instant::now() >= deadline => break Err(NoRoom::TimedOut),
                Some(deadline) => _ = gate.room.wait_until(&mut st, deadline),
            }
        };
        st.lanes.lane(class).blocked -= 1;
        answer
    }

    /// Asks for the port's bell when there is room for late jobs. False if there is room already.
    pub(crate) fn ask_for_room(&self, class: Class, port: &Arc<Port>) -> bool {
        let mut st = self.state.lock();
        let gate = self.gate(class);
        if st.closing.is_some() {
            drop(st);
            port.ring(); // as `close` does for those that asked in time
            return true;
        }
        if gate.room() >= gate.room_worth_telling() {
            return false;
        }
        let late = &mut st.lanes.lane(class).late;
        if !late.iter().any(|it| Arc::ptr_eq(it, port)) {
            late.push(port.clone());
        }
        true
    }

    /// Refuses new jobs from now on, cancels the queued ones if `how` says so, and wakes whoever sleeps.
    /// Returns the number of jobs cancelled.
    pub(crate) fn close(&self, how: Shutdown) -> usize {
        let mut st = self.state.lock();
        self.closed.store(true, Ordering::Relaxed);
        st.closing = Some(how);
        let jobs = if how == Shutdown::Cancel { self.drain(&mut st) } else { Vec::new() };
        let mut ports = Vec::new();
        for class in 0..self.gates.len() {
            self.gates[class].room.notify_all();
            ports.append(&mut st.lanes.lane(Class(class as u16)).late);
        }
        let mut sleepers = Vec::new();
        while let Some(index) = st.idle.pop() {
            st.searching += 1;
            sleepers.extend(st.seats[index].slot.clone());
        }
        drop(st);
        sleepers.iter().for_each(|slot| slot.parker.wake());
        Wake { worker: None, ports }.fire();
        let count = jobs.len();
        for job in jobs {
            self.gate(job.class()).counts.cancelled.fetch_add(1, Ordering::Relaxed);
            deliver_cancelled(job);
        }
        count
    }

    /// Takes out all jobs that have not started, and flags those that run.
    fn drain(&self, st: &mut State) -> Vec<Job> {
        let mut jobs = st.lanes.drain();
        for job in &jobs {
            self.gate(job.class()).leave(1);
        }
        self.gates.iter().for_each(|gate| gate.set_high(0));
        self.queued.store(0, Ordering::Relaxed);
        for slot in st.slots() {
            jobs.extend(slot.take_all());
            slot.cancel_running();
        }
        jobs.sort_by_key(|job| job.header().seq);
        jobs
    }

    /// Changes the number of workers; superfluous ones end after what they are doing.
    pub(crate) fn resize(self: &Arc<Self>, workers: usize) {
        let mut st = self.state.lock();
        st.target = workers;
        let order = self.config.order_for(workers);
        st.lanes.resize(&self.config.classes, workers, order);
        let mut sleepers = Vec::new();
        while st.live > st.target + sleepers.len() {
            let Some(index) = st.idle.pop() else { break };
            st.searching += 1;
            sleepers.extend(st.seats[index].slot.clone());
        }
        let wake = self.notify(&mut st, Vec::new());
        drop(st);
        sleepers.iter().for_each(|slot| slot.parker.wake());
        wake.fire();
    }
}

/// What became of a job that is no longer wanted.
#[must_use = "what was withdrawn has to be delivered"]
pub(crate) struct Withdrawn {
    pub(crate) detach: Detach,
    /// It had not started.
    pub(crate) job: Option<Job>,
}

impl Withdrawn {
    /// Delivers a job that had not started, as cancelled. This runs the user's code: its closure is dropped.
    pub(crate) fn deliver(self) -> Detach {
        self.job.into_iter().for_each(deliver_cancelled);
        self.detach
    }
}

/// Why a blocked submitter got no place.
pub(crate) enum NoRoom {
    TimedOut,
    Closed,
    NoThread(io::Error),
}

impl State {
    /// A worker gives up its seat. The caller is about to end its thread.
    pub(crate) fn retire(&mut self, index: usize) {
        self.live -= 1;
        self.seats[index].slot = None;
    }

    /// Workers that neither sleep nor have ended: they look for work when they are through with what they do.
    pub(crate) fn awake(&self) -> usize {
        self.live.saturating_sub(self.idle.len())
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.seats.iter().filter_map(|seat| seat.slot.as_ref())
    }

    fn free_seat(&mut self, classes: usize) -> usize {
        if let Some(free) = self.seats.iter().position(|seat| seat.slot.is_none()) {
            return free;
        }
        let stats = Arc::new(WorkerStats::new(classes));
        self.seats.push(Seat { slot: None, stats, thread: None });
        self.seats.len() - 1
    }

    /// The worker with the most jobs in its bite that another could start now.
    fn victim(&mut self, me: Option<usize>) -> Option<(Arc<Slot>, Class)> {
        let Self { seats, lanes, .. } = self;
        let slots = seats.iter().filter_map(|seat| seat.slot.as_ref());
        let others = slots.filter(|slot| slot.len() > 0 && Some(slot.index) != me);
        let open = others.filter_map(|slot| {
            let Gauge { running, waiting } = slot.gauge();
            let (class, jobs) = waiting?;
            // The owner is about to start the first, if it is not held up by one already.
            let spare = jobs - usize::from(running.is_none());
            let lane = lanes.lane(class);
            (spare > 0 && lane.holders < lane.share).then_some((spare, slot, class))
        });
        open.max_by_key(|(spare, ..)| *spare).map(|(_, slot, class)| (slot.clone(), class))
    }

    /// Takes over half of the largest bite: its owner may be held up by one long job.
    fn take_over(&mut self, me: &Slot) -> Option<Bite> {
        let (victim, class) = self.victim(Some(me.index))?;
        let jobs = victim.take_half();
        let high = jobs.front()?.header().priority == Priority::High;
        let count = jobs.len();
        me.fill(|mine| *mine = jobs);
        Some(self.lanes.take_over(class, high, count))
    }

    fn cancel_taken(&self, seq: u64, detach: bool) -> Found {
        for slot in self.slots() {
            match slot.cancel(seq, detach) {
                Found::Nowhere => {}
                found => return found,
            }
        }
        Found::Nowhere
    }
}

/// Any number will do that another pool is unlikely to have.
fn random_id() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() as u32
}
