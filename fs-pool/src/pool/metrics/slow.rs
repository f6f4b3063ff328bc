//! The slowest jobs a pool has seen, with the lines that made them.

use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::pool::Class;

/// One of the slowest jobs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlowJob {
    /// Its class.
    pub class: Class,
    /// The line that made it.
    pub site: &'static Location<'static>,
    /// How long it was queued.
    pub waited: Duration,
    /// How long it ran.
    pub ran: Duration,
    /// The worker that ran it.
    pub worker: usize,
}

/// The `len_max` slowest, slowest first.
pub(crate) struct SlowList {
    len_max: usize,
    /// Faster jobs than this need not apply. A hint, relaxed: the list is looked at again under its lock.
    floor_ns: AtomicU64,
    jobs: Mutex<Vec<SlowJob>>,
}

impl SlowList {
    pub(crate) fn new(len_max: usize) -> Self {
        let floor_ns = if len_max == 0 { u64::MAX } else { 0 };
        Self { len_max, floor_ns: AtomicU64::new(floor_ns), jobs: Mutex::new(Vec::new()) }
    }

    /// True if a job that ran this long may belong to the list.
    pub(crate) fn wants(&self, ran_ns: u64) -> bool {
        ran_ns > self.floor_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, job: SlowJob) {
        let mut jobs = self.jobs.lock();
        let place = jobs.partition_point(|it| it.ran >= job.ran);
        jobs.insert(place, job);
        jobs.truncate(self.len_max);
        if let (true, Some(last)) = (jobs.len() == self.len_max, jobs.last()) {
            let floor_ns = u64::try_from(last.ran.as_nanos()).unwrap_or(u64::MAX);
            self.floor_ns.store(floor_ns, Ordering::Relaxed);
        }
    }

    pub(crate) fn list(&self) -> Vec<SlowJob> {
        self.jobs.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slowest_are_kept_slowest_first() {
        let slow = SlowList::new(3);
        for ms in [5, 1, 9, 3, 7] {
            let ran = Duration::from_millis(ms);
            let (waited, site) = (Duration::ZERO, Location::caller());
            slow.add(SlowJob { class: Class::FS, site, waited, ran, worker: 0 });
        }
        let ran: Vec<_> = slow.list().iter().map(|job| job.ran.as_millis()).collect();
        assert_eq!(ran, [9, 7, 5]);
        assert!(slow.wants(5_000_001) && !slow.wants(5_000_000));
    }

    #[test]
    fn a_list_of_none_wants_none() {
        assert!(!SlowList::new(0).wants(u64::MAX));
    }
}
