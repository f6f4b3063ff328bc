//! The two-way door of one loop or thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{fmt, io, mem};

use super::pool::Handle;
use super::port::{Bell, Port};
use super::shared::{NoRoom, Shared, Withdrawn};
use super::{Cancel, Class, Completed, Detach, Job, Pool, Priority, SubmitError, Ticket, WhenFull};

/// Takes the jobs of one loop or thread, and gives back their completions: all of them and only them.
///
/// It can be moved to another thread, but is used by one at a time; whoever wants to submit from several makes several.
/// Completions come in the order in which the jobs ended, but for those of [brief](super::ClassSpec::brief) classes,
/// which come a bite at a time.
///
/// Dropping it queues what is staged and lets its jobs go on; late ones are cancelled. Their results are dropped by the
/// workers.
///
/// ```
/// use fs_pool::pool::{Class, Job, Pool};
///
/// let pool = Pool::builder().build()?;
/// let mut submitter = pool.submitter(|| {});
/// for number in 0..100_u64 {
///     submitter.stage(Job::new(Class::CPU, move |_| number * number).token(number))?;
/// }
/// submitter.flush()?; // one lock, one wake
/// let mut seen = 0;
/// while seen < 100 {
///     for mut completed in submitter.wait()? {
///         assert_eq!(completed.take(), Some(completed.token() * completed.token()));
///         seen += 1;
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Submitter {
    handle: Arc<Handle>,
    port: Arc<Port>,
    /// References to the port that completed jobs have brought back, for the next ones: counting them anew would cost two
    /// atomic operations a job.
    spare_ports: Vec<Arc<Port>>,
    /// Jobs with a place in their class, to be queued at the next flush.
    stage: Vec<Job>,
    /// What was queued last woke nobody: the next flush does.
    owes_wake: bool,
    /// Jobs without a place, by class index, oldest first. INVARIANT late: while a class has late jobs, new ones of it
    /// join them, so that none overtakes.
    late: Vec<VecDeque<Job>>,
    late_count: usize,
}

/// References to the port that are kept at most: 8 KiB. Beyond it jobs are so many at a time that they wait for memory.
const SPARE_PORTS_MAX: usize = 1024;

impl Submitter {
    pub(crate) fn new(handle: Arc<Handle>, bell: Bell) -> Self {
        let late = handle.shared.gates.iter().map(|_| VecDeque::new()).collect();
        Self {
            handle,
            port: Arc::new(Port::new(bell)),
            spare_ports: Vec::new(),
            stage: Vec::new(),
            owes_wake: false,
            late,
            late_count: 0,
        }
    }

    /// Submits one job: [`stage`](Self::stage) and [`flush`](Self::flush).
    ///
    /// # Errors
    /// As `stage`; and `NoThread` if the pool has no thread and cannot start one.
    ///
    /// # Panics
    /// As `stage`.
    #[track_caller]
    pub fn submit(&mut self, job: Job) -> Result<Ticket, SubmitError> {
        let ticket = self.stage(job)?;
        match self.flush() {
            Ok(()) => Ok(ticket),
            Err(error) => match self.unstage(ticket) {
                Some(job) => Err(SubmitError::NoThread(job, error)),
                None => Ok(ticket), // it is late, and was not to be queued yet
            },
        }
    }

    /// Accepts a job, to be queued at the next flush. The jobs of one turn are so queued under one lock with one wake.
    ///
    /// A staged job counts for its class's bound. After 256 of them ([`Limits`](super::Limits)) they are flushed.
    ///
    /// # Errors
    /// `Full` if the class is full and its policy does not help, `Closed` if the pool was shut down, `NoThread` if it
    /// would have to wait for room and no thread can be started to make some. Each gives the job back.
    ///
    /// # Panics
    /// If the class is not one of this pool's.
    #[track_caller]
    pub fn stage(&mut self, job: Job) -> Result<Ticket, SubmitError> {
        let ticket = job.ticket();
        let seq = self.stage_for_seq(job)?;
        Ok(self.ticket(seq, ticket.class, ticket.priority))
    }

    /// The ticket of an accepted job.
    fn ticket(&self, seq: u64, class: Class, priority: Priority) -> Ticket {
        Ticket { seq, pool: self.shared().id, class, priority }
    }

    /// As `stage`, for the place in the order of submission alone: a ticket that was just put together is slow to move.
    #[track_caller]
    pub(crate) fn stage_for_seq(&mut self, job: Job) -> Result<u64, SubmitError> {
        let class = job.class();
        assert!(class.index() < self.late.len(), "submit a job of a class that this pool has");
        if self.handle.shared.is_closed() {
            return Err(SubmitError::Closed(job));
        }
        let gate = self.handle.shared.gate(class);
        if !self.late[class.index()].is_empty() || !gate.try_enter() {
            match gate.when_full() {
                WhenFull::Late => return self.keep_late(job),
                WhenFull::Reject => return Err(self.reject(job)),
                WhenFull::Wait(limit) => {
                    if let Err(reason) = self.wait_for_room(class, limit) {
                        return Err(match reason {
                            NoRoom::TimedOut => self.reject(job),
                            NoRoom::Closed => SubmitError::Closed(job),
                            NoRoom::NoThread(error) => SubmitError::NoThread(job, error),
                        });
                    }
                }
            }
        }
        let job = self.accept(job);
        let seq = job.header().seq;
        self.stage.push(job);
        if self.stage.len() >= self.handle.shared.config.limits.stage_len_max {
            // Without a thread they stay staged, and the caller's own flush says why.
            let _ = self.flush();
        }
        Ok(seq)
    }

    /// Queues all staged jobs, and as many late ones as there is room for.
    ///
    /// # Errors
    /// If the pool has no thread and the system refuses to start one. The jobs stay staged, and a later flush tries
    /// again.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.late_count > 0 {
            self.admit_late();
        }
        if !self.stage.is_empty() {
            self.handle.shared.enqueue(&mut self.stage, false)?;
        } else if self.owes_wake {
            self.handle.shared.pay_wake();
        }
        self.owes_wake = false;
        Ok(())
    }

    /// As `flush`, but if there is little to do and a worker is awake, it alone does it until the next `flush`, which the
    /// caller promises to come soon.
    pub(crate) fn flush_quietly(&mut self) -> io::Result<()> {
        if self.late_count > 0 || self.stage.is_empty() {
            return self.flush();
        }
        self.owes_wake = self.handle.shared.enqueue(&mut self.stage, true)?;
        Ok(())
    }

    /// Moves the completions that have arrived to the end of `into`. Does not block, and flushes only
    /// if there are late jobs.
    ///
    /// Giving the emptied buffer of the last time saves an allocation.
    pub fn take(&mut self, into: &mut Vec<Completed>) {
        let before = into.len();
        self.port.take(into);
        self.keep_ports(&mut into[before..]);
        if self.late_count > 0 {
            // Room may have been what the bell rang for. Without a thread the jobs stay staged until the next flush.
            let _ = self.flush();
        }
    }

    /// Flushes, and blocks until completions arrive. For programs without a loop: with nothing under way it never
    /// returns.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn wait(&mut self) -> io::Result<Vec<Completed>> {
        self.wait_until(None)
    }

    /// As [`wait`](Self::wait), but returns an empty list if `timeout` passes first.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Vec<Completed>> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// Cancels a job of this submitter, wherever it is.
    ///
    /// # Ordering
    /// The completion of a cancelled job is delivered at once, before those of jobs that end later. What its closure holds is
    /// dropped at once, too, inside this call.
    ///
    /// # Panics
    /// If the ticket is of another pool.
    #[track_caller]
    pub fn cancel(&mut self, ticket: Ticket) -> Cancel {
        self.withdraw(ticket, false).deliver().into()
    }

    /// Gives up waiting for a job of this submitter: cancels it if it has not started, and otherwise lets it end
    /// alone. This is what a deadline does.
    ///
    /// # Panics
    /// If the ticket is of another pool.
    #[track_caller]
    pub fn detach(&mut self, ticket: Ticket) -> Detach {
        self.withdraw(ticket, true).deliver()
    }

    /// How many jobs are staged, and how many late.
    pub fn held_back(&self) -> (usize, usize) {
        (self.stage.len(), self.late_count)
    }

    /// The pool behind it.
    pub fn pool(&self) -> Pool {
        Pool::from_handle(self.handle.clone())
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Takes the references to the port out of jobs that are over, as many as there is use for.
    fn keep_ports(&mut self, done: &mut [Completed]) {
        let room = SPARE_PORTS_MAX.saturating_sub(self.spare_ports.len());
        self.spare_ports.extend(done.iter_mut().take(room).filter_map(Completed::take_port));
    }

    /// Gives the job its place in the order of submission.
    fn accept(&mut self, mut job: Job) -> Job {
        let port = self.spare_ports.pop().unwrap_or_else(|| self.port.clone());
        let header = job.header_mut();
        header.seq = self.handle.shared.next_seq();
        header.pool = self.handle.shared.id;
        header.port = Some(port);
        job
    }

    fn reject(&self, job: Job) -> SubmitError {
        self.shared().gate(job.class()).counts.rejected.fetch_add(1, Ordering::Relaxed);
        SubmitError::Full(job)
    }

    fn keep_late(&mut self, job: Job) -> Result<u64, SubmitError> {
        let class = job.class().index();
        if self.late[class].len() >= self.shared().config.limits.late_len_max {
            return Err(self.reject(job));
        }
        let job = self.accept(job);
        let seq = job.header().seq;
        self.late[class].push_back(job);
        self.late_count += 1;
        Ok(seq)
    }

    /// Blocks for a place. What is staged goes first, as it may be what fills the class.
    fn wait_for_room(&mut self, class: Class, limit: Option<Duration>) -> Result<(), NoRoom> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.flush().map_err(NoRoom::NoThread)?; // without a thread nothing makes room
        self.shared().wait_for_room(class, deadline)
    }

    /// Stages late jobs as far as there is room, and asks to be told of more.
    fn admit_late(&mut self) {
        let shared = self.shared().clone();
        if shared.is_closed() {
            self.late_count = 0;
            shared.refuse(self.late.iter_mut().flat_map(|jobs| jobs.drain(..)));
            return;
        }
        for (class, jobs) in self.late.iter_mut().enumerate() {
            let class = Class(class as u16);
            let gate = shared.gate(class);
            while !jobs.is_empty() {
                let worth = gate.room_worth_telling().min(jobs.len());
                if gate.room() < worth && shared.ask_for_room(class, &self.port) {
                    break;
                }
                while !jobs.is_empty() && gate.try_enter() {
                    self.stage.extend(jobs.pop_front());
                    self.late_count -= 1;
                }
            }
        }
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Completed>> {
        let mut done = Vec::new();
        loop {
            self.flush()?;
            let rung = self.port.wait(&mut done, deadline);
            if !rung || !done.is_empty() {
                return Ok(done);
            }
        }
    }

    /// Cancels or detaches a job, and leaves it to the caller to deliver it: that runs the user's code.
    #[track_caller]
    pub(crate) fn withdraw(&mut self, ticket: Ticket, detach: bool) -> Withdrawn {
        match self.unstage(ticket).or_else(|| self.remove_late(ticket)) {
            Some(job) => {
                self.shared().count_refused(ticket.class);
                Withdrawn { detach: Detach::Cancelled, job: Some(job) }
            }
            None => self.handle.shared.withdraw(ticket, detach),
        }
    }

    fn unstage(&mut self, ticket: Ticket) -> Option<Job> {
        // Staged in the order of submission, but for late jobs that were admitted: those are few, and so is the stage.
        let place = self.stage.iter().position(|job| job.ticket() == ticket)?;
        let job = self.stage.remove(place);
        self.shared().leave(ticket.class);
        Some(job)
    }

    fn remove_late(&mut self, ticket: Ticket) -> Option<Job> {
        let jobs = self.late.get_mut(ticket.class.index())?;
        let place = jobs.binary_search_by_key(&ticket.seq, |job| job.header().seq).ok()?;
        if jobs[place].ticket() != ticket {
            return None;
        }
        self.late_count -= 1;
        jobs.remove(place)
    }
}

impl Drop for Submitter {
    fn drop(&mut self) {
        // Without a thread they cannot run: they are dropped below, as cancelled.
        let _ = self.flush();
        self.port.close();
        let stage = mem::take(&mut self.stage);
        stage.iter().for_each(|job| self.shared().leave(job.class()));
        let late = mem::take(&mut self.late).into_iter().flatten();
        self.shared().refuse(stage.into_iter().chain(late));
    }
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Submitter");
        out.field("staged", &self.stage.len()).field("late", &self.late_count).finish_non_exhaustive()
    }
}
