//! One class's queue: two lines in submission order, and what the class has used and may use.

use std::collections::VecDeque;
use std::sync::Arc;

use super::port::Port;
use super::{Job, Priority, Ticket};

/// INVARIANT order: each line is sorted by the jobs' place in the order of submission, however they came in: flushed
/// late, given back, or from several submitters. Cancelling finds its job by bisection.
pub(crate) struct Lane {
    high: VecDeque<Job>,
    normal: VecDeque<Job>,
    weight: u32,
    /// Workers that may hold jobs of this lane at once, and workers that do.
    pub(crate) share: usize,
    pub(crate) holders: usize,
    /// Time used so far, divided by the weight, in ns. The lane that has used least is next.
    pub(crate) used_ns: u64,
    /// What a job took lately, in ns; long ones raise it at once, short ones lower it slowly.
    mean_ns: u64,
    /// Jobs ever queued, those given back by a worker not counted again.
    pub(crate) submitted: u64,
    /// Submitting threads that are blocked until there is room.
    pub(crate) blocked: usize,
    /// Submitters that keep late jobs until there is room.
    pub(crate) late: Vec<Arc<Port>>,
}

/// A job below this counts as this much: handing it over is not free, and fairness among short jobs should not hang
/// on how precisely they were measured.
pub(crate) const COST_MIN_NS: u64 = 10_000;

/// A job above this counts as this much: one that hung for an hour must not make its class wait for an hour. It is for
/// shares to keep such jobs from holding all workers.
pub(crate) const COST_MAX_NS: u64 = 100_000_000;

impl Lane {
    /// An empty lane. Its jobs count as long, one a bite, until some have been measured.
    pub(crate) fn new(weight: u32, share: usize, mean_ns: u64) -> Self {
        Self {
            high: VecDeque::new(),
            normal: VecDeque::new(),
            weight,
            share,
            holders: 0,
            used_ns: 0,
            mean_ns,
            submitted: 0,
            blocked: 0,
            late: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.high.len() + self.normal.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.high.is_empty() && self.normal.is_empty()
    }

    pub(crate) fn high_len(&self) -> usize {
        self.high.len()
    }

    pub(crate) fn may_start(&self) -> bool {
        !self.is_empty() && self.holders < self.share
    }

    /// Adds one job at its place.
    pub(crate) fn insert(&mut self, job: Job) {
        let seq = job.header().seq;
        let line = self.line(job.header().priority);
        match line.back() {
            // Nearly always: the youngest job goes to the end.
            Some(last) if last.header().seq > seq => {
                let place = line.partition_point(|it| it.header().seq < seq);
                line.insert(place, job);
            }
            _ => line.push_back(job),
        }
    }

    /// The next job's place in the order of submission.
    pub(crate) fn next_seq(&self) -> Option<u64> {
        self.high.front().or(self.normal.front()).map(|job| job.header().seq)
    }

    /// Moves up to `most` jobs to `into`: of one priority, and none younger than `before`.
    pub(crate) fn take(&mut self, most: usize, before: u64, into: &mut VecDeque<Job>) -> usize {
        let line = if self.high.is_empty() { &mut self.normal } else { &mut self.high };
        let most = most.min(line.len());
        let count = if before == u64::MAX {
            most
        } else {
            line.iter().take(most).take_while(|job| job.header().seq < before).count().max(1)
        };
        into.extend(line.drain(..count));
        count
    }

    /// Takes out the job of this ticket, if it waits here. Costs at most the shorter side of the line.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Job> {
        let line = self.line(ticket.priority);
        let place = line.binary_search_by_key(&ticket.seq, |job| job.header().seq).ok()?;
        line.remove(place)
    }

    /// Takes out everything, in order within each priority.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Job> + '_ {
        self.high.drain(..).chain(self.normal.drain(..))
    }

    /// How many jobs a worker should take: fewer when they are long, and only its part of a short line.
    pub(crate) fn bite_len(&self, workers: usize, len_max: usize, time_ns: u64) -> usize {
        let by_time = usize::try_from(time_ns / self.mean_ns.max(1)).unwrap_or(usize::MAX);
        let by_part = self.len().div_ceil(workers.min(self.share).max(1));
        by_time.min(by_part).clamp(1, len_max.max(1))
    }

    /// What the waiting jobs should take.
    pub(crate) fn backlog_ns(&self) -> u64 {
        (self.len() as u64).saturating_mul(self.mean_ns)
    }

    /// What `jobs` jobs are expected to cost.
    pub(crate) fn estimate(&self, jobs: usize) -> u64 {
        jobs as u64 * self.mean_ns.clamp(COST_MIN_NS, COST_MAX_NS)
    }

    pub(crate) fn charge(&mut self, cost_ns: u64) {
        self.used_ns = self.used_ns.saturating_add(cost_ns / u64::from(self.weight));
    }

    pub(crate) fn refund(&mut self, cost_ns: u64) {
        self.used_ns = self.used_ns.saturating_sub(cost_ns / u64::from(self.weight));
    }

    /// Learns from a bite: `ran_ns` for `jobs` jobs, the longest `longest_ns`, in bites that may take `time_ns`.
    pub(crate) fn learn(&mut self, jobs: usize, ran_ns: u64, longest_ns: u64, time_ns: u64) {
        let Some(mean) = ran_ns.checked_div(jobs as u64) else { return };
        // One job that fills a bite alone is reason enough to serve the class singly for a while.
        let seen = if longest_ns >= time_ns { mean.max(time_ns) } else { mean };
        self.mean_ns = if seen > self.mean_ns { seen } else { self.mean_ns - (self.mean_ns - seen) / 4 };
    }

    fn line(&mut self, priority: Priority) -> &mut VecDeque<Job> {
        match priority {
            Priority::High => &mut self.high,
            Priority::Normal => &mut self.normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Class;
    use super::*;

    fn job(seq: u64, priority: Priority) -> Job {
        let mut job = Job::new(Class::FS, |_| ()).priority(priority);
        job.header_mut().seq = seq;
        job
    }

    fn seqs(jobs: &VecDeque<Job>) -> Vec<u64> {
        jobs.iter().map(|job| job.header().seq).collect()
    }

    #[test]
    fn jobs_stay_in_submission_order_however_they_come_in() {
        let mut lane = Lane::new(1, 4, 1);
        for seq in [3, 4, 1, 9, 5, 2] {
            lane.insert(job(seq, Priority::Normal));
        }
        let mut out = VecDeque::new();
        lane.take(100, u64::MAX, &mut out);
        assert_eq!(seqs(&out), [1, 2, 3, 4, 5, 9]);
    }

    #[test]
    fn high_jobs_go_first_and_are_never_in_one_bite_with_normal_ones() {
        let mut lane = Lane::new(1, 4, 1);
        lane.insert(job(1, Priority::Normal));
        lane.insert(job(2, Priority::High));
        lane.insert(job(3, Priority::High));
        let mut out = VecDeque::new();
        assert_eq!(lane.take(100, u64::MAX, &mut out), 2);
        assert_eq!(lane.take(100, u64::MAX, &mut out), 1);
        assert_eq!(seqs(&out), [2, 3, 1]);
    }

    #[test]
    fn a_bite_shrinks_at_once_with_a_long_job_and_grows_back_slowly() {
        let mut lane = Lane::new(1, 4, 100);
        (0..320).for_each(|seq| lane.insert(job(seq, Priority::Normal)));
        assert_eq!(lane.bite_len(4, 32, 50_000), 32);
        lane.learn(32, 60_000, 51_000, 50_000);
        assert_eq!(lane.bite_len(4, 32, 50_000), 1);
        (0..3).for_each(|_| lane.learn(1, 100, 100, 50_000));
        assert_eq!(lane.bite_len(4, 32, 50_000), 2);
        (0..40).for_each(|_| lane.learn(1, 100, 100, 50_000));
        assert_eq!(lane.bite_len(4, 32, 50_000), 32);
    }

    #[test]
    fn a_bite_leaves_each_worker_its_part_of_a_short_line() {
        let mut lane = Lane::new(1, 4, 1);
        (0..6).for_each(|seq| lane.insert(job(seq, Priority::Normal)));
        assert_eq!(lane.bite_len(4, 32, 50_000), 2);
        assert_eq!(lane.bite_len(1, 32, 50_000), 6);
    }

    #[test]
    fn a_waiting_job_is_found_by_its_ticket_once() {
        let mut lane = Lane::new(1, 4, 1);
        (1..100).for_each(|seq| lane.insert(job(seq, Priority::Normal)));
        let ticket = job(50, Priority::Normal).ticket();
        assert!(lane.remove(ticket).is_some());
        assert!(lane.remove(ticket).is_none());
        assert_eq!(lane.len(), 98);
    }
}
