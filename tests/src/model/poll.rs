//! The poll phase: the pool, the stream of `send`, echoes.

use super::machine::{Action, Ended, Machine};
use std::collections::VecDeque;

/// Input and output under way.
#[derive(Default)]
pub(super) struct Io {
    /// Pool jobs in the order of submission; one worker takes them in turn.
    jobs: VecDeque<Job>,
    /// Reads that are ready.
    stream: VecDeque<Action>,
    echoes: VecDeque<(u32, Action)>,
}

struct Job {
    done_at: f64,
    /// Jobs that the same request still submits, one after the other, this one included.
    hops: u32,
    action: Action,
}

impl Io {
    pub(super) fn is_active(&self) -> bool {
        !self.jobs.is_empty() || !self.stream.is_empty() || !self.echoes.is_empty()
    }

    pub(super) fn send(&mut self, action: Action) {
        self.stream.push_back(action);
    }

    pub(super) fn echo(&mut self, hops: u32, action: Action) {
        self.echoes.push_back((hops, action));
    }

    fn is_ready(&self, clock: f64) -> bool {
        !self.stream.is_empty()
            || !self.echoes.is_empty()
            || self.jobs.front().is_some_and(|job| job.done_at <= clock)
    }
}

impl Machine<'_> {
    /// Submits a request of so many jobs to the pool.
    pub(super) fn submit(&mut self, action: Action, hops: u32) {
        let done_at = self.clock + self.noise.pool_delay();
        let after = self.io.jobs.back().map_or(0.0, |job| job.done_at);
        self.io.jobs.push_back(Job { done_at: done_at.max(after), hops, action });
    }

    pub(super) fn run_poll(&mut self) -> Result<(), Ended> {
        self.late();
        self.drain_by_accident()?;
        if !self.rules.drains_report_rejections {
            self.report_rejections();
        }
        self.wait();
        self.read_clock();
        let (done, reads) = (self.take_done(), std::mem::take(&mut self.io.stream));
        if self.noise.stream_first() {
            self.run_stream(reads)?;
            self.run_completions(done)?;
        } else {
            self.run_completions(done)?;
            self.run_stream(reads)?;
        }
        self.run_echoes()?;
        self.drain_by_accident()
    }

    /// Blocks until something is ready, at most until the loop timer is due.
    fn wait(&mut self) {
        let busy = (self.immediates.any_referenced() && self.rules.immediates_keep_poll_from_waiting)
            || (!self.closing.is_empty() && self.rules.closing_keeps_poll_from_waiting);
        if busy || self.io.is_ready(self.clock) || !self.is_alive() || self.noise.wakes_early() {
            return;
        }
        let asleep_since = if self.rules.poll_reads_the_clock { self.clock } else { self.cached };
        let timer = self.timers.loop_due().map(|due| self.clock + (due - asleep_since));
        let job = self.io.jobs.front().map(|job| job.done_at);
        if let Some(wake) = [timer, job].into_iter().flatten().reduce(f64::min) {
            self.clock = self.clock.max(wake);
        }
        self.late();
    }

    fn run_completions(&mut self, mut batch: VecDeque<Job>) -> Result<(), Ended> {
        if !self.rules.jobs_complete_in_order {
            batch.make_contiguous().reverse();
        }
        while let Some(job) = batch.pop_front() {
            if job.hops == 1 {
                self.call_then(job.action, self.rules.drain_between_completions)?;
            } else {
                self.submit(job.action, job.hops - 1);
                self.call(Action::Nothing)?;
            }
            if !self.rules.completions_wait_for_the_next_poll {
                batch.append(&mut self.take_done());
            }
        }
        if self.rules.drain_between_completions { Ok(()) } else { self.drain().map(|_| ()) }
    }

    fn take_done(&mut self) -> VecDeque<Job> {
        let done = self.io.jobs.iter().take_while(|job| job.done_at <= self.clock).count();
        self.io.jobs.drain(..done).collect()
    }

    fn run_stream(&mut self, reads: VecDeque<Action>) -> Result<(), Ended> {
        for action in reads {
            self.call(action)?;
        }
        Ok(())
    }

    fn run_echoes(&mut self) -> Result<(), Ended> {
        for (hops, action) in std::mem::take(&mut self.io.echoes) {
            if hops <= 1 {
                self.call(action)?;
            } else {
                self.io.echoes.push_back((hops - 1, action));
            }
        }
        Ok(())
    }

    fn drain_by_accident(&mut self) -> Result<(), Ended> {
        if self.noise.drains_by_accident() {
            self.drain()?;
        }
        Ok(())
    }
}
