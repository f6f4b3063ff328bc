//! All classes' lanes, and the choice among them.

use std::collections::VecDeque;

use super::lane::{COST_MAX_NS, COST_MIN_NS, Lane};
use super::{Class, ClassSpec, Job, Limits, Order, Ticket};

/// The queue of a pool. Kept under the state's lock.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    order: Order,
    /// Jobs in all lanes.
    queued: usize,
    /// What the lane that was served last had used then; it only grows.
    level_ns: u64,
    bite_len_max: usize,
    bite_ns: u64,
}

/// What a worker took, and what has to be said when it is done with it.
#[derive(Debug)]
pub(crate) struct Bite {
    pub(crate) class: Class,
    pub(crate) high: bool,
    /// Jobs that left the queue for it; zero if they were taken over from another worker.
    pub(crate) from_queue: usize,
    /// What was charged in advance.
    charged_ns: u64,
}

/// How a bite went.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) bite: Bite,
    pub(crate) jobs: usize,
    pub(crate) ran_ns: u64,
    pub(crate) longest_ns: u64,
}

impl Lanes {
    pub(crate) fn new(specs: &[ClassSpec], workers: usize, order: Order, limits: &Limits) -> Self {
        let bite_ns = u64::try_from(limits.bite_time.as_nanos()).unwrap_or(u64::MAX);
        let lane = |spec: &ClassSpec| Lane::new(spec.weight, spec.share.of(workers), bite_ns);
        let lanes = specs.iter().map(lane).collect();
        Self { lanes, order, queued: 0, level_ns: 0, bite_len_max: limits.bite_len_max, bite_ns }
    }

    /// Works out the shares and the order for another number of workers.
    pub(crate) fn resize(&mut self, specs: &[ClassSpec], workers: usize, order: Order) {
        self.order = order;
        for (lane, spec) in self.lanes.iter_mut().zip(specs) {
            lane.share = spec.share.of(workers);
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn lane(&mut self, class: Class) -> &mut Lane {
        &mut self.lanes[class.index()]
    }

    pub(crate) fn len(&self, class: usize) -> usize {
        self.lanes[class].len()
    }

    pub(crate) fn insert(&mut self, job: Job) {
        let class = job.class().index();
        if self.lanes[class].is_empty() {
            self.rejoin(class);
        }
        self.lanes[class].insert(job);
        self.queued += 1;
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Job> {
        let job = self.lanes[ticket.class.index()].remove(ticket)?;
        self.queued -= 1;
        Some(job)
    }

    /// Takes out everything.
    pub(crate) fn drain(&mut self) -> Vec<Job> {
        self.queued = 0;
        self.lanes.iter_mut().flat_map(Lane::drain).collect()
    }

    /// What the queued jobs should take, by what their classes have measured lately.
    pub(crate) fn backlog_ns(&self) -> u64 {
        self.lanes.iter().map(Lane::backlog_ns).fold(0, u64::saturating_add)
    }

    /// True if a job could start now, had it a worker.
    pub(crate) fn may_start(&self) -> bool {
        self.queued > 0 && self.lanes.iter().any(Lane::may_start)
    }

    /// Takes the next bite for one of `workers` workers into `into`, which is empty.
    pub(crate) fn take(&mut self, workers: usize, into: &mut VecDeque<Job>) -> Option<Bite> {
        let next = self.choose()?;
        let before = match self.order {
            Order::Fair => u64::MAX,
            Order::Submission => self.oldest_but(next),
        };
        let lane = &mut self.lanes[next];
        let most = lane.bite_len(workers, self.bite_len_max, self.bite_ns);
        let high = lane.high_len() > 0;
        let count = lane.take(most, before, into);
        self.queued -= count;
        Some(self.hold(next, high, count, count))
    }

    /// Accounts for `count` jobs of a class that a worker takes over from another one's bite.
    pub(crate) fn take_over(&mut self, class: Class, high: bool, count: usize) -> Bite {
        self.hold(class.index(), high, count, 0)
    }

    fn hold(&mut self, class: usize, high: bool, count: usize, from_queue: usize) -> Bite {
        let lane = &mut self.lanes[class];
        lane.holders += 1;
        self.level_ns = self.level_ns.max(lane.used_ns);
        let charged_ns = lane.estimate(count);
        lane.charge(charged_ns);
        // Below 64 classes, as the builder has checked.
        Bite { class: Class(class as u16), high, from_queue, charged_ns }
    }

    /// Ends a bite: the lane pays what it really used, and the worker no longer holds it.
    pub(crate) fn settle(&mut self, report: Report) {
        let bite_ns = self.bite_ns;
        let lane = self.lane(report.bite.class);
        lane.holders -= 1;
        lane.refund(report.bite.charged_ns);
        let jobs = report.jobs as u64;
        lane.charge(report.ran_ns.clamp(jobs * COST_MIN_NS, jobs * COST_MAX_NS));
        lane.learn(report.jobs, report.ran_ns, report.longest_ns, bite_ns);
    }

    /// The lane to serve: the one that has used least for its weight, or the one with the oldest job.
    fn choose(&self) -> Option<usize> {
        let open = self.lanes.iter().enumerate().filter(|(_, lane)| lane.may_start());
        let key = |lane: &Lane| match self.order {
            Order::Fair => (lane.used_ns, lane.next_seq()),
            Order::Submission => (0, lane.next_seq()),
        };
        open.min_by_key(|(_, lane)| key(lane)).map(|(index, _)| index)
    }

    fn oldest_but(&self, class: usize) -> u64 {
        let others = self.lanes.iter().enumerate().filter(|(index, _)| *index != class);
        others.filter_map(|(_, lane)| lane.next_seq()).min().unwrap_or(u64::MAX)
    }

    /// A lane that had nothing to do cannot save up its turns: it starts level with the lane served last. Nor does it
    /// pay for what it used while nobody else wanted it: when all were idle, all start level.
    fn rejoin(&mut self, class: usize) {
        if self.lanes.iter().all(|lane| lane.is_empty() && lane.holders == 0) {
            self.level_ns = self.lanes.iter().map(|lane| lane.used_ns).max().unwrap_or(0);
        }
        let lane = &mut self.lanes[class];
        lane.used_ns = lane.used_ns.max(self.level_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Share;
    use super::*;

    const A: Class = Class(0);
    const B: Class = Class(1);

    fn lanes(weight_a: u32, weight_b: u32, order: Order) -> Lanes {
        let specs = [ClassSpec::new("a").weight(weight_a), ClassSpec::new("b").weight(weight_b)];
        Lanes::new(&specs, 1, order, &Limits { bite_len_max: 1, ..Limits::default() })
    }

    fn put(lanes: &mut Lanes, class: Class, seq: u64) {
        let mut job = Job::new(class, |_| ());
        job.header_mut().seq = seq;
        lanes.insert(job);
    }

    /// Serves one job that runs for `ran_ns`, and says whose it was.
    fn serve(lanes: &mut Lanes, ran_ns: impl Fn(Class) -> u64) -> (Class, u64) {
        let mut jobs = VecDeque::new();
        let bite = lanes.take(1, &mut jobs).expect("something is queued");
        let (class, seq) = (bite.class, jobs[0].header().seq);
        let ran_ns = ran_ns(class);
        lanes.settle(Report { bite, jobs: jobs.len(), ran_ns, longest_ns: ran_ns });
        (class, seq)
    }

    #[test]
    fn short_jobs_of_two_classes_share_by_weight() {
        let mut lanes = lanes(3, 1, Order::Fair);
        (0..200).for_each(|seq| put(&mut lanes, if seq % 2 == 0 { A } else { B }, seq));
        let served: Vec<_> = (0..100).map(|_| serve(&mut lanes, |_| 500).0).collect();
        let of_a = served.iter().filter(|class| **class == A).count();
        assert!((73..=77).contains(&of_a), "{of_a} of 100");
    }

    #[test]
    fn classes_share_the_time_and_not_the_number_of_jobs() {
        let mut lanes = lanes(1, 1, Order::Fair);
        (0..600).for_each(|seq| put(&mut lanes, if seq % 2 == 0 { A } else { B }, seq));
        let ran = |class| if class == A { 1_000_000 } else { 100_000 };
        let served: Vec<_> = (0..220).map(|_| serve(&mut lanes, ran).0).collect();
        let of_a = served.iter().filter(|class| **class == A).count();
        assert!((15..=25).contains(&of_a), "{of_a} of 220");
    }

    #[test]
    fn a_class_that_was_idle_does_not_get_its_missed_turns_back() {
        let mut lanes = lanes(1, 1, Order::Fair);
        (0..100).for_each(|seq| put(&mut lanes, A, seq));
        (0..50).for_each(|_| _ = serve(&mut lanes, |_| 500));
        (100..150).for_each(|seq| put(&mut lanes, B, seq));
        let served: Vec<_> = (0..20).map(|_| serve(&mut lanes, |_| 500).0).collect();
        let of_b = served.iter().filter(|class| **class == B).count();
        assert!((9..=11).contains(&of_b), "{of_b} of 20");
    }

    #[test]
    fn a_class_does_not_pay_for_what_it_used_while_the_others_were_idle() {
        let mut lanes = lanes(1, 1, Order::Fair);
        (0..100).for_each(|seq| put(&mut lanes, A, seq));
        (0..100).for_each(|_| _ = serve(&mut lanes, |_| 50_000_000));
        (100..150).for_each(|seq| put(&mut lanes, B, seq));
        (150..200).for_each(|seq| put(&mut lanes, A, seq));
        let served: Vec<_> = (0..20).map(|_| serve(&mut lanes, |_| 500).0).collect();
        let of_a = served.iter().filter(|class| **class == A).count();
        assert!((9..=11).contains(&of_a), "{of_a} of 20");
    }

    #[test]
    fn a_job_that_hung_does_not_make_its_class_wait_as_long() {
        let mut lanes = lanes(1, 1, Order::Fair);
        (0..4_000).for_each(|seq| put(&mut lanes, if seq % 2 == 0 { A } else { B }, seq));
        let mut hung = true;
        let mut served = Vec::new();
        for _ in 0..1_000 {
            let ran_ns = if std::mem::take(&mut hung) { u64::MAX / 4 } else { 1_000_000 };
            served.push(serve(&mut lanes, |_| ran_ns).0);
        }
        let of_first = served.iter().filter(|class| **class == served[0]).count();
        assert!((400..=500).contains(&of_first), "{of_first} of 1000");
    }

    #[test]
    fn in_submission_order_classes_do_not_matter() {
        let mut lanes = lanes(3, 1, Order::Submission);
        lanes.bite_len_max = 32;
        for (seq, class) in [A, A, B, A, B, B, A].into_iter().enumerate() {
            put(&mut lanes, class, seq as u64);
        }
        let mut seqs = Vec::new();
        let mut jobs = VecDeque::new();
        while let Some(bite) = lanes.take(1, &mut jobs) {
            seqs.extend(jobs.drain(..).map(|job| job.header().seq));
            lanes.settle(Report { bite, jobs: 1, ran_ns: 100, longest_ns: 100 });
        }
        assert_eq!(seqs, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_class_at_its_share_leaves_the_turn_to_others() {
        let specs = [ClassSpec::new("a").share(Share::AtMost(1)), ClassSpec::new("b")];
        let mut lanes = Lanes::new(&specs, 4, Order::Fair, &Limits::default());
        (0..2).for_each(|seq| put(&mut lanes, A, seq));
        put(&mut lanes, B, 2);
        let mut jobs = VecDeque::new();
        let first = lanes.take(4, &mut jobs).expect("a may start");
        let second = lanes.take(4, &mut jobs).expect("b may start");
        assert_eq!((first.class, second.class), (A, B));
        assert!(!lanes.may_start());
        assert!(lanes.take(4, &mut jobs).is_none());
        lanes.settle(Report { bite: first, jobs: 1, ran_ns: 1, longest_ns: 1 });
        assert!(lanes.may_start());
    }
}
