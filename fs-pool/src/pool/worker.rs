//! A worker's thread: look for a bite, eat it, hand the completions over, sleep.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use super::guard::{call_quietly, drop_quietly};
use super::lanes::{Bite, Report};
use super::metrics::{SlowJob, add};
use super::port::{Port, Pushed};
use super::shared::{Shared, State};
use super::slot::Slot;
use super::spin::Spin;
use super::{Completed, Job, JobContext, Outcome};

pub(crate) struct Worker {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    /// This worker is counted in `State::searching`.
    searching: bool,
    spin: Spin,
    /// The last bite was of one job, and nobody else is awake: the next job is probably given by who hears of this one.
    single: bool,
    /// How the last bite went, until the lock is held again.
    report: Option<Report>,
    /// The last job of the bite and whether it is detached, until it is known whether there is another bite.
    over: Option<(Completed, bool)>,
    /// The port of the last completion. Kept because changing its reference count for each job would move the cache
    /// line that the submitter's thread uses for each job.
    port: Option<Arc<Port>>,
    /// Completions of brief jobs, delivered at the end of the bite.
    batch: Vec<Completed>,
    /// Completions whose waiter is gone, to be dropped when that cannot hold up others.
    unwanted: Vec<Completed>,
}

/// What a worker does next.
enum Turn {
    /// Eat this bite, having delivered what the last one left.
    Eat(Bite),
    /// Deliver what the last bite left, and look again.
    Again,
    /// Deliver what the last bite left, drop what nobody wants, and look again.
    Unload,
    /// Look again for a while without the lock.
    Spin,
    /// Sleep in the idle list.
    Sleep,
    /// End the thread: the seat has been given up.
    End,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, slot: Arc<Slot>) -> Self {
        let spin = Spin::new(shared.config.spin_time());
        Self {
            shared,
            slot,
            searching: true,
            spin,
            single: false,
            report: None,
            over: None,
            port: None,
            batch: Vec::new(),
            unwanted: Vec::new(),
        }
    }

    /// The thread's whole life.
    pub(crate) fn run(mut self) {
        self.slot.parker.adopt();
        self.call_start_hook();
        loop {
            match self.turn() {
                Turn::Eat(bite) => {
                    let report = self.eat(bite);
                    self.single = report.jobs == 1;
                    self.report = Some(report);
                }
                Turn::Again => self.hand_over_last(),
                Turn::Unload => {
                    self.hand_over_last();
                    self.drop_unwanted();
                }
                Turn::Spin => self.spin.until(self.single, || self.shared.queued.load(Ordering::Relaxed) > 0),
                Turn::Sleep => {
                    if !self.sleep() {
                        break;
                    }
                }
                Turn::End => break,
            }
        }
        self.hand_over_last();
        self.drop_unwanted();
        if let Some(hook) = &self.shared.config.on_thread_stop {
            call_quietly(|| hook(self.slot.index));
        }
        let mut st = self.shared.state.lock();
        let me = thread::current().id();
        st.threads.retain(|thread| *thread != me);
        self.shared.ended.notify_all();
    }

    /// The hook may take its time: others must not rely on this worker meanwhile.
    fn call_start_hook(&mut self) {
        let shared = self.shared.clone();
        let Some(hook) = &shared.config.on_thread_start else { return };
        let mut st = shared.state.lock();
        self.stop_searching(&mut st);
        let wake = shared.notify(&mut st, Vec::new());
        drop(st);
        wake.fire();
        call_quietly(|| hook(self.slot.index));
    }

    /// Ends the last bite and chooses what is next, all under one lock.
    fn turn(&mut self) -> Turn {
        let shared = self.shared.clone();
        let mut st = shared.state.lock();
        self.stop_searching(&mut st);
        if let Some(report) = self.report.take() {
            shared.settle(&mut st, &self.slot, report);
        }
        if st.live > st.target {
            st.retire(self.slot.index);
            let wake = shared.notify(&mut st, Vec::new()); // somebody else has to do what this one leaves
            drop(st);
            wake.fire();
            return Turn::End;
        }
        let detached = self.over.as_ref().is_some_and(|(_, detached)| *detached);
        if detached || !self.unwanted.is_empty() {
            let wake = shared.notify(&mut st, Vec::new()); // somebody else has to do what is queued meanwhile
            drop(st);
            wake.fire();
            return Turn::Unload;
        }
        if let Some((bite, ports)) = shared.take(&mut st, &self.slot) {
            let wake = shared.notify_after_bite(&mut st, ports);
            drop(st);
            wake.fire();
            self.spin.succeeded();
            return Turn::Eat(bite);
        }
        if self.over.is_some() {
            // The completion may set off the next job: who submits it need not wake another worker, as this one is
            // about to look again.
            st.searching += 1;
            self.searching = true;
            return Turn::Again;
        }
        if st.closing.is_some() {
            // What is queued now waits for a class's share: a worker that holds it will look again.
            st.retire(self.slot.index);
            return Turn::End;
        }
        if !st.spinning && self.spin.begin() {
            st.spinning = true;
            st.searching += 1;
            self.searching = true;
            self.single &= st.awake() == 1;
            return Turn::Spin;
        }
        st.idle.push(self.slot.index);
        Turn::Sleep
    }

    fn stop_searching(&mut self, st: &mut State) {
        if self.searching {
            self.searching = false;
            st.searching -= 1;
        }
        if self.spin.end() {
            st.spinning = false;
        }
    }

    /// Sleeps until woken. False if the idle timeout came first, and the thread is to end.
    fn sleep(&mut self) -> bool {
        // A timeout beyond what the clock can count is none.
        let deadline =
            self.shared.config.idle_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if !self.slot.parker.sleep(deadline) {
            let mut st = self.shared.state.lock();
            if st.idle.remove(self.slot.index) {
                st.retire(self.slot.index);
                return false;
            }
            drop(st);
            // Somebody has taken this worker from the list, and is about to wake it.
            self.slot.parker.sleep(None);
        }
        self.searching = true;
        true
    }

    /// Runs the jobs of the bite until it is empty, its time is over, or a job of higher priority waits.
    ///
    /// The last job's completion is not yet delivered when it returns.
    fn eat(&mut self, bite: Bite) -> Report {
        let shared = self.shared.clone();
        let gate = shared.gate(bite.class);
        let bite_ns = shared.config.bite_ns();
        let mut report = Report { bite, jobs: 0, ran_ns: 0, longest_ns: 0 };
        let mut step = self.slot.advance(true);
        self.hand_over_last();
        let begin_ns = shared.now_ns();
        let mut now_ns = begin_ns;
        while let Some(job) = step.next {
            let completed = self.run_job(job, now_ns);
            let ran_ns = completed.job().header().run_ns;
            report.jobs += 1;
            report.ran_ns += ran_ns;
            report.longest_ns = report.longest_ns.max(ran_ns);
            now_ns += ran_ns;
            let more = now_ns - begin_ns <= bite_ns
                && (report.bite.high || !gate.has_high())
                && self.unwanted.is_empty();
            step = self.slot.advance(more);
            self.over = Some((completed, step.detached));
            if step.next.is_some() && self.hand_over(gate.spec.brief) {
                now_ns = shared.now_ns(); // the bell's time is not the next job's
            }
        }
        report
    }

    fn run_job(&self, mut job: Job, start_ns: u64) -> Completed {
        let cx = JobContext { slot: &self.slot, ticket: job.ticket() };
        // A job that panicked is not run again; what it shares with others is its author's affair.
        let outcome = match catch_unwind(AssertUnwindSafe(|| job.run(&cx))) {
            Ok(()) => Outcome::Done,
            Err(payload) => Outcome::Panicked(payload),
        };
        let header = job.header_mut();
        header.run_ns = self.shared.now_ns() - start_ns;
        header.wait_ns = start_ns.saturating_sub(header.queued_ns);
        Completed::new(job, outcome)
    }

    /// Counts the job that is over and delivers it. True if that took noticeable time.
    ///
    /// It is delivered before the next job starts: that one may be long, or wait for what the completion sets off.
    fn hand_over(&mut self, brief: bool) -> bool {
        let Some((completed, detached)) = self.over.take() else { return false };
        self.count(&completed, detached);
        let Some(port) = &completed.job().header().port else { return false };
        if detached {
            self.unwanted.push(completed);
            return false;
        }
        let same = self.port.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, port));
        if !same {
            let port = port.clone();
            self.deliver_batch();
            self.port = Some(port);
        }
        if brief {
            self.batch.push(completed);
            return false;
        }
        match self.port.as_ref().map(|port| port.push(completed)) {
            Some(Pushed::Gone(completed)) => self.unwanted.push(completed),
            Some(Pushed::Rang) => return true,
            Some(Pushed::Quietly) | None => {}
        }
        false
    }

    /// Delivers what the last bite left.
    fn hand_over_last(&mut self) {
        let brief = !self.batch.is_empty(); // it goes with its bite
        self.hand_over(brief);
        self.deliver_batch();
    }

    fn deliver_batch(&mut self) {
        if let Some(port) = &self.port {
            port.append(&mut self.batch);
        }
        self.unwanted.append(&mut self.batch);
    }

    /// Drops what nobody waits for. That is the user's code and may take long: the worker must hold no jobs meanwhile,
    /// nor be counted as searching or idle, or work would wait for it.
    fn drop_unwanted(&mut self) {
        self.unwanted.drain(..).for_each(drop_quietly);
    }

    fn count(&self, completed: &Completed, detached: bool) {
        let header = completed.job().header();
        let stats = self.slot.stats.class(header.class.index());
        stats.wait.record(header.wait_ns);
        stats.run.record(header.run_ns);
        match completed.outcome() {
            _ if detached => add(&stats.detached, 1),
            Outcome::Panicked(_) => add(&stats.panicked, 1),
            _ => add(&stats.completed, 1),
        }
        if self.shared.slow.wants(header.run_ns) {
            let (class, site, worker) = (header.class, header.site, self.slot.index);
            let (waited, ran) = (completed.waited(), completed.ran());
            self.shared.slow.add(SlowJob { class, site, waited, ran, worker });
        }
    }
}
