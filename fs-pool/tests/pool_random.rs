//! Many jobs of all kinds, with cancels, detaches and drops: nothing is lost, doubled or leaked.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_pool::pool::{
    Cancel, Class, ClassSpec, Completed, Detach, Job, Outcome, Pool, Priority, Shutdown, SubmitError,
    Submitter, Ticket, WhenFull,
};
use support::{Alive, Dice, builder};

/// What one submitter has done, and what is known of each job.
struct Run {
    submitter: Submitter,
    dice: Dice,
    alive: Alive,
    ran: Arc<AtomicUsize>,
    open: HashMap<u64, Ticket>,
    outcomes: Outcomes,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Outcomes {
    accepted: usize,
    done: usize,
    cancelled: usize,
    panicked: usize,
    detached: usize,
}

impl Run {
    fn new(pool: &Pool, seed: u64) -> Self {
        let (alive, ran) = (Alive::default(), Arc::default());
        let submitter = pool.submitter(|| {});
        Self { submitter, dice: Dice(seed), alive, ran, open: HashMap::new(), outcomes: Outcomes::default() }
    }

    fn step(&mut self, token: u64) {
        self.submit(token);
        match self.dice.roll(40) {
            0..4 => self.cancel(),
            4 => self.detach(),
            5..8 => self.submitter.flush().unwrap(),
            8..10 => self.take(),
            _ => {}
        }
    }

    fn submit(&mut self, token: u64) {
        let (value, ran) = (self.alive.token(), self.ran.clone());
        let kind = self.dice.roll(200);
        let class = [Class::FS, Class::DNS, Class::CPU, Class::USER][self.dice.roll(4) as usize];
        let job = Job::new(class, move |cx| {
            ran.fetch_add(1, Ordering::Relaxed);
            match kind {
                0 => std::panic::resume_unwind(Box::new(value)),
                1..20 => (0..200).for_each(|_| _ = cx.is_cancelled()),
                20..24 => std::thread::yield_now(),
                _ => {}
            }
            value
        });
        let priority = if self.dice.roll(8) == 0 { Priority::High } else { Priority::Normal };
        let job = job.token(token).priority(priority);
        let answer = match self.dice.roll(4) {
            0 => self.submitter.submit(job),
            _ => self.submitter.stage(job),
        };
        match answer {
            Ok(ticket) => {
                self.outcomes.accepted += 1;
                assert!(self.open.insert(token, ticket).is_none());
            }
            Err(SubmitError::Full(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn pick(&mut self) -> Option<(u64, Ticket)> {
        let nth = self.dice.roll(self.open.len().clamp(1, 50) as u64) as usize;
        self.open.iter().nth(nth).map(|(token, ticket)| (*token, *ticket))
    }

    fn cancel(&mut self) {
        let Some((_, ticket)) = self.pick() else { return };
        // Whatever the answer, the completion tells; it is counted there.
        let answer = self.submitter.cancel(ticket);
        assert!(matches!(answer, Cancel::Cancelled | Cancel::Busy | Cancel::Done));
    }

    fn detach(&mut self) {
        let Some((token, ticket)) = self.pick() else { return };
        if self.submitter.detach(ticket) == Detach::Detached {
            self.outcomes.detached += 1;
            self.open.remove(&token);
        }
    }

    fn take(&mut self) {
        let mut done = Vec::new();
        self.submitter.take(&mut done);
        self.count(done);
    }

    fn count(&mut self, done: Vec<Completed>) {
        for completed in done {
            assert!(self.open.remove(&completed.token()).is_some(), "a second outcome of {completed:?}");
            match completed.outcome() {
                Outcome::Done => self.outcomes.done += 1,
                Outcome::Cancelled => self.outcomes.cancelled += 1,
                Outcome::Panicked(_) => self.outcomes.panicked += 1,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits until every job that is not detached has ended.
    fn finish(mut self) -> (Outcomes, Alive, usize) {
        while !self.open.is_empty() {
            let done = self.submitter.wait_timeout(support::PATIENCE).unwrap();
            let pool = self.submitter.pool();
            assert!(!done.is_empty(), "{} jobs are missing; {:#?}", self.open.len(), pool.snapshot());
            self.count(done);
        }
        (self.outcomes, self.alive, self.ran.load(Ordering::Relaxed))
    }
}

fn mixed_pool() -> Pool {
    builder()
        .workers(3)
        .class(ClassSpec::new("fs").queue_len_max(500).when_full(WhenFull::Late))
        .class(ClassSpec::new("dns").queue_len_max(200).share(fs_pool::pool::Share::Half))
        .class(ClassSpec::new("cpu").brief().weight(3))
        .class(ClassSpec::new("user").queue_len_max(300).when_full(WhenFull::Wait(None)))
        .build()
        .unwrap()
}

#[test]
fn of_100_000_mixed_jobs_each_has_one_outcome_and_all_values_are_released() {
    let pool = mixed_pool();
    let threads: Vec<_> = (0..2_u64)
        .map(|thread| {
            let mut run = Run::new(&pool, 0x9e37_79b9 + thread);
            let pool = pool.clone();
            std::thread::spawn(move || {
                for token in 0..50_000 {
                    run.step(token);
                    if thread == 0 && token % 5_000 == 0 {
                        pool.resize(1 + token as usize / 5_000 % 4).unwrap();
                    }
                }
                run.finish()
            })
        })
        .collect();
    let runs: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(pool.shutdown(Shutdown::Finish).left, 0);
    let snapshot = pool.snapshot();
    let sum = |part: fn(&fs_pool::pool::ClassSnapshot) -> u64| {
        snapshot.classes.iter().map(part).sum::<u64>() as usize
    };
    let mut total = Outcomes::default();
    for (outcomes, alive, ran) in &runs {
        let Outcomes { accepted, done, cancelled, panicked, detached } = *outcomes;
        assert_eq!(accepted, done + cancelled + panicked + detached);
        assert_eq!(*ran, done + panicked + detached);
        assert_eq!(alive.count(), 0);
        total.accepted += accepted;
        total.done += done;
        total.cancelled += cancelled;
        total.panicked += panicked;
        total.detached += detached;
    }
    assert_eq!(sum(|class| class.submitted), total.accepted);
    assert_eq!(sum(|class| class.completed), total.done);
    assert_eq!(sum(|class| class.cancelled), total.cancelled);
    assert_eq!(sum(|class| class.panicked), total.panicked);
    assert_eq!(sum(|class| class.detached), total.detached);
    assert_eq!(sum(|class| class.run.count()), total.done + total.panicked + total.detached);
    assert_eq!((snapshot.queued(), snapshot.running(), snapshot.workers), (0, 0, 0));
    assert!(total.cancelled > 0 && total.panicked > 0);
}

#[test]
fn submitters_and_pools_dropped_at_any_moment_release_everything() {
    for seed in 1..=200 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let pool = mixed_pool();
        let mut run = Run::new(&pool, seed * 77);
        for token in 0..dice.roll(300) {
            run.step(token);
        }
        let Run { submitter, alive, .. } = run;
        match dice.roll(3) {
            0 => drop(submitter),
            1 => {
                pool.shutdown(Shutdown::Cancel);
                drop(submitter);
            }
            _ => {
                pool.shutdown_timeout(Shutdown::Finish, std::time::Duration::ZERO);
                drop(submitter);
            }
        }
        assert_eq!(pool.shutdown(Shutdown::Finish).left, 0);
        drop(pool);
        assert_eq!(alive.count(), 0, "seed {seed}");
    }
}
