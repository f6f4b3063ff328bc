//! The state behind a `LoopPool`: what is under way, and what is held back.

use std::cell::{Cell, OnceCell, RefCell};
use std::mem;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use phaseloop::request::PullPort;
use phaseloop::{LoopHandle, Prepare, TimerId};

use super::RequestLimits;
use super::builder::JobRequest;
use super::table::{Ended, Hold, Table, Then};
use crate::pool::{Cancel, Completed, Detach, Job, Pool, SubmitError, Submitter, Ticket, Withdrawn};

/// Names one job of a [`LoopPool`](super::LoopPool). Plain data: dropping it does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId {
    token: u64,
    ticket: Ticket,
}

impl JobId {
    /// The pool's name for the job.
    pub fn ticket(self) -> Ticket {
        self.ticket
    }
}

/// The state of one `LoopPool`. The loop's port owns it; no borrow is held while user code runs or is dropped.
pub(super) struct Core {
    pub(super) lp: LoopHandle,
    pub(super) pool: Pool,
    limits: RequestLimits,
    /// `None` once the loop is gone.
    submitter: RefCell<Option<Submitter>>,
    table: RefCell<Table>,
    /// Jobs the submitter has taken and not given back, those it holds back included.
    pub(super) in_flight: Cell<usize>,
    /// How many jobs may be queued and still each be queued at once.
    prompt_len_max: Cell<usize>,
    pub(super) has_front: Cell<bool>,
    /// Set where the loop was open.
    handles: OnceCell<(PullPort, Prepare)>,
}

/// The port's hold on the core: dropped with the port, or with the loop.
struct Owner(Rc<Core>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

impl Core {
    #[track_caller]
    pub(super) fn open(lp: &LoopHandle, pool: &Pool, limits: RequestLimits) -> Rc<Self> {
        let core = Rc::new(Self {
            lp: lp.clone(),
            pool: pool.clone(),
            limits,
            submitter: RefCell::new(None),
            table: RefCell::default(),
            in_flight: Cell::new(0),
            prompt_len_max: Cell::new(0),
            has_front: Cell::new(true),
            handles: OnceCell::new(),
        });
        if lp.is_closed() {
            return core;
        }
        let (puller, owner) = (Rc::clone(&core), Owner(Rc::clone(&core)));
        let pull = move |into: &mut Vec<Completed>| puller.pull(into);
        let port = PullPort::new(lp, pull, move |lp, completed| owner.0.complete(lp, completed));
        let bell = port.bell();
        core.submitter.replace(Some(pool.submitter(move || bell.ring())));
        core.learn_workers();
        // It cannot fail: the core was made above.
        let _ = core.handles.set((port, Prepare::new(lp)));
        core
    }

    // --- jobs go out ---

    pub(super) fn submit(
        self: &Rc<Self>,
        request: &JobRequest<'_>,
        job: Job,
        then: Then,
    ) -> Result<JobId, SubmitError> {
        let token = self.table.borrow_mut().reserve();
        let class = job.class();
        let accepted = self.hand_over(job.token(token).priority(request.priority), request.referenced);
        let seq = match accepted {
            Ok(seq) => seq,
            Err(error) => {
                self.table.borrow_mut().release(token);
                return Err(error);
            }
        };
        let ticket = Ticket { seq, pool: self.pool.id(), class, priority: request.priority };
        let mut hold = self.lp.begin_request();
        if !request.referenced {
            hold.unref();
        }
        let timer = request.timeout.map(|timeout| self.start_timer(timeout, token));
        let mut table = self.table.borrow_mut();
        let entry = table.get_mut(token).expect("it is in use since the first line");
        entry.then = then;
        entry.ticket = Some(ticket);
        entry.request = Some(hold);
        entry.timer = timer;
        Ok(JobId { token, ticket })
    }

    /// Queues a job without an entry: its completion finds nobody.
    pub(super) fn submit_unheard(self: &Rc<Self>, job: Job) -> Result<(), SubmitError> {
        self.hand_over(job.token(Table::NOBODY), false).map(|_| ())
    }

    /// Queues the job at once, or holds it back. Gives its place in the order of submission.
    fn hand_over(self: &Rc<Self>, job: Job, referenced: bool) -> Result<u64, SubmitError> {
        let mut submitter = self.submitter.borrow_mut();
        let Some(submitter) = submitter.as_mut() else { return Err(SubmitError::Closed(job)) };
        let held_back = held_back(submitter);
        // A loop that may end before its next prepare phase must not hold a job back.
        let at_once = !referenced || self.in_flight.get() - held_back < self.prompt_len_max.get();
        let seq = if at_once { submitter.submit(job)?.seq() } else { submitter.stage_for_seq(job)? };
        self.in_flight.set(self.in_flight.get() + 1);
        if !at_once {
            if held_back + 1 >= self.limits.stage_len_max {
                // The prepare phase flushes what follows. It can only fail where there is no thread, and there is one: jobs are
                // in flight.
                let _ = submitter.flush_quietly();
            } else if held_back == 0 {
                self.flush_in_prepare();
            }
        }
        Ok(seq)
    }

    fn flush_in_prepare(self: &Rc<Self>) {
        let Some((_, prepare)) = self.handles.get() else { return };
        if prepare.is_active() {
            return; // it is to flush already
        }
        let core = Rc::clone(self);
        let flush = move |prepare: &Prepare| {
            core.flush();
            prepare.stop();
        };
        if prepare.start(flush).is_ok() {
            prepare.unref();
        }
    }

    pub(super) fn flush(&self) {
        if let Some(submitter) = self.submitter.borrow_mut().as_mut() {
            // Without a thread the jobs stay staged until the next flush.
            let _ = submitter.flush();
        }
    }

    /// Queues what is held back if the workers have little to do.
    fn flush_if_idle(&self) {
        if self.queued() < self.prompt_len_max.get() {
            self.flush();
        }
    }

    /// How many jobs are in flight and not held back.
    pub(super) fn queued(&self) -> usize {
        self.in_flight.get() - self.submitter.borrow().as_ref().map_or(0, held_back)
    }

    fn start_timer(self: &Rc<Self>, timeout: Duration, token: u64) -> TimerId {
        let core = Rc::clone(self);
        let timer = self.lp.timer(timeout, move |lp| core.time_out(lp, token));
        self.lp.unref_timer(timer); // what keeps the loop alive is the request
        timer
    }

    // --- completions come back ---

    fn pull(&self, into: &mut Vec<Completed>) {
        if let Some(submitter) = self.submitter.borrow_mut().as_mut() {
            submitter.take(into);
        }
        // Before the callbacks, so that jobs that they give are queued at once.
        self.in_flight.set(self.in_flight.get() - into.len());
        self.learn_workers();
    }

    /// The pool may be resized; asking takes its lock, so it is done once a batch.
    fn learn_workers(&self) {
        self.prompt_len_max.set(self.pool.workers() * self.limits.prompt_jobs_per_worker);
    }

    fn complete(&self, lp: &LoopHandle, completed: Completed) {
        self.end(lp, completed.token(), Ended::Completed(completed));
    }

    fn time_out(&self, lp: &LoopHandle, token: u64) {
        let ticket = self.table.borrow_mut().get_mut(token).and_then(|entry| entry.ticket);
        let given_up = ticket.is_some_and(|ticket| self.give_up(ticket) != Detach::Done);
        if given_up {
            self.end(lp, token, Ended::TimedOut);
        } // else its result is about to be delivered
    }

    /// Hands an outcome to whoever waits for it. One that comes second finds nobody.
    fn end(&self, lp: &LoopHandle, token: u64, ended: Ended) {
        let mut table = self.table.borrow_mut();
        let Some(entry) = table.get_mut(token) else {
            drop(table);
            return drop(ended);
        };
        match mem::take(&mut entry.then) {
            Then::Call(on_ended) => {
                let hold = entry.take_hold();
                table.release(token);
                drop(table);
                self.release(hold);
                self.close_if_over();
                on_ended(lp, ended);
            }
            Then::Wake(waker) => {
                entry.then = Then::Ended(ended);
                let hold = entry.take_hold();
                drop(table);
                self.release(hold);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            then @ (Then::Nothing | Then::Ended(_)) => {
                entry.then = then;
                drop(table);
                drop(ended);
            }
        }
    }

    /// Lets go of what a job held while it was under way.
    fn release(&self, Hold { request, timer }: Hold) {
        drop(request);
        if let Some(timer) = timer {
            self.lp.stop_timer(timer);
        }
    }

    /// For a future: its outcome, or none if the loop is gone.
    pub(super) fn poll(&self, id: JobId, waker: &Waker) -> Poll<Option<Ended>> {
        let mut table = self.table.borrow_mut();
        match table.get_mut(id.token).map(|entry| &mut entry.then) {
            Some(Then::Wake(known)) => {
                let old = match known {
                    Some(known) if known.will_wake(waker) => None,
                    _ => known.replace(waker.clone()),
                };
                drop(table);
                drop(old);
                Poll::Pending
            }
            _ => {
                let then = table.get_mut(id.token).map(|entry| mem::take(&mut entry.then));
                table.release(id.token);
                drop(table);
                self.close_if_over();
                Poll::Ready(match then {
                    Some(Then::Ended(ended)) => Some(ended),
                    _ => None,
                })
            }
        }
    }

    // --- changing one's mind ---

    pub(super) fn cancel(&self, id: JobId) -> Cancel {
        self.withdraw(id.ticket, false).into()
    }

    pub(super) fn abandon(&self, id: JobId) {
        let mut table = self.table.borrow_mut();
        let Some(entry) = table.get_mut(id.token) else { return };
        let (then, hold) = (mem::take(&mut entry.then), entry.take_hold());
        table.release(id.token);
        drop(table);
        if !matches!(then, Then::Ended(_)) {
            // Where it was done, its completion will find nobody and be dropped.
            let _ = self.give_up(id.ticket);
        }
        self.release(hold);
        self.close_if_over();
        drop(then);
    }

    /// Takes a job out of the pool. Its closure is dropped when no borrow is held: that is the user's code, and may come here.
    fn withdraw(&self, ticket: Ticket, detach: bool) -> Detach {
        let withdrawn =
            self.submitter.borrow_mut().as_mut().map(|submitter| submitter.withdraw(ticket, detach));
        withdrawn.map_or(Detach::Done, Withdrawn::deliver)
    }

    /// Has the pool forget a job. What it held back meanwhile may be due then.
    fn give_up(&self, ticket: Ticket) -> Detach {
        let detach = self.withdraw(ticket, true);
        if detach == Detach::Detached {
            self.in_flight.set(self.in_flight.get() - 1);
            self.flush_if_idle();
        }
        detach
    }

    pub(super) fn set_referenced(&self, id: JobId, referenced: bool) -> bool {
        let mut table = self.table.borrow_mut();
        let Some(request) = table.get_mut(id.token).and_then(|entry| entry.request.as_mut()) else {
            return false;
        };
        if referenced {
            request.ref_();
        } else {
            request.unref();
        }
        drop(table);
        if !referenced {
            self.flush(); // as in `hand_over`
        }
        true
    }

    // --- the end ---

    /// Closes the handles once nobody can give jobs and nobody waits for any.
    pub(super) fn close_if_over(&self) {
        if self.has_front.get() || self.table.borrow().len() > 0 {
            return;
        }
        if let Some((port, prepare)) = self.handles.get() {
            self.flush(); // jobs that were given up may still be staged
            port.close();
            prepare.close();
        }
    }

    /// The loop has let go of the port: what is queued never runs, and nobody is called.
    fn shut_down(&self) {
        let submitter = self.submitter.take();
        let entries = self.table.borrow_mut().take_all();
        if let Some(mut submitter) = submitter {
            for ticket in entries.iter().filter_map(|entry| entry.ticket) {
                // Whatever became of it, nobody asks.
                let _ = submitter.detach(ticket);
            }
        }
        for mut entry in entries {
            self.release(entry.take_hold());
            if let Then::Wake(Some(waker)) = entry.then {
                waker.wake(); // the future may be polled by somebody else, and learns that the loop is gone
            }
        }
    }
}

fn held_back(submitter: &Submitter) -> usize {
    let (staged, late) = submitter.held_back();
    staged + late
}
