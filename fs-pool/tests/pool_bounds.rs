//! What happens when a class is full.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::mpsc::channel;
use std::time::Duration;

use fs_pool::pool::{
    Cancel, Class, ClassSpec, Job, Limits, Outcome, Pool, Shutdown, SubmitError, Submitter, WhenFull,
};
use support::{Alive, Blocker, PATIENCE, builder, collect, tokens};

fn bounded(workers: usize, queue_len_max: usize, policy: WhenFull) -> Pool {
    let spec = ClassSpec::new("user").queue_len_max(queue_len_max).when_full(policy);
    builder().workers(workers).class(spec).build().unwrap()
}

#[test]
fn a_million_jobs_against_a_bound_of_10_000_are_held_or_given_back() {
    let pool = bounded(2, 10_000, WhenFull::Reject);
    let mut submitter = pool.submitter(|| {});
    let blockers: Vec<_> = (0..2).map(|_| Blocker::start(&mut submitter, Class::FS)).collect();
    let alive = Alive::default();
    let (mut accepted, mut rejected) = (0, 0);
    for number in 0..1_000_000_u64 {
        let token = alive.token();
        match submitter.stage(Job::new(Class::USER, move |_| drop(token)).token(number)) {
            Ok(_) => accepted += 1,
            Err(SubmitError::Full(job)) => {
                assert_eq!(job.class(), Class::USER);
                assert_eq!(alive.count(), accepted + 1); // the one in hand, given back
                drop(job);
                rejected += 1;
            }
            Err(other) => panic!("{other}"),
        }
        assert!(alive.count() <= 10_000);
    }
    assert_eq!((accepted, rejected), (10_000, 990_000));
    assert_eq!(pool.snapshot().class(Class::USER).rejected, 990_000);
    drop(blockers);
    let completed = collect(&mut submitter, 10_002);
    assert!(completed.iter().all(|it| matches!(it.outcome(), Outcome::Done)));
    assert_eq!(alive.count(), 0);
}

#[test]
fn a_job_given_back_can_be_submitted_again() {
    let pool = bounded(1, 1, WhenFull::Reject);
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    submitter.submit(Job::new(Class::USER, |_| 1)).unwrap();
    let job = submitter.submit(Job::new(Class::USER, |_| 2)).unwrap_err().into_job();
    blocker.open();
    collect(&mut submitter, 2);
    submitter.submit(job).unwrap();
    assert_eq!(collect(&mut submitter, 1)[0].take(), Some(2));
}

#[test]
fn a_staged_job_counts_for_the_bound() {
    let pool = bounded(1, 2, WhenFull::Reject);
    let mut submitter = pool.submitter(|| {});
    submitter.stage(Job::new(Class::USER, |_| ())).unwrap();
    let second = submitter.stage(Job::new(Class::USER, |_| ())).unwrap();
    assert!(matches!(submitter.stage(Job::new(Class::USER, |_| ())), Err(SubmitError::Full(_))));
    assert_eq!(submitter.cancel(second), Cancel::Cancelled);
    submitter.stage(Job::new(Class::USER, |_| ())).unwrap();
    collect(&mut submitter, 3);
}

#[test]
fn a_submitter_that_waits_goes_on_when_there_is_room() {
    let pool = bounded(1, 1, WhenFull::Wait(None));
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    submitter.submit(Job::new(Class::USER, |_| ())).unwrap();
    let waiting = std::thread::spawn(move || {
        (0..100).for_each(|_| _ = submitter.submit(Job::new(Class::USER, |_| ())).unwrap());
        submitter
    });
    blocker.open();
    let mut submitter = waiting.join().unwrap();
    collect(&mut submitter, 102);
}

#[test]
fn a_submitter_that_waits_flushes_what_it_has_staged_first() {
    let pool = bounded(1, 2, WhenFull::Wait(Some(PATIENCE)));
    let mut submitter = pool.submitter(|| {});
    (0..50).for_each(|_| _ = submitter.stage(Job::new(Class::USER, |_| ())).unwrap());
    collect(&mut submitter, 50);
}

#[test]
fn a_wait_that_takes_too_long_gives_the_job_back() {
    let pool = bounded(1, 1, WhenFull::Wait(Some(Duration::from_millis(1))));
    let mut submitter = pool.submitter(|| {});
    let _blocker = Blocker::start(&mut submitter, Class::FS);
    submitter.submit(Job::new(Class::USER, |_| ())).unwrap();
    let refused = submitter.submit(Job::new(Class::USER, |_| ()));
    assert!(matches!(refused, Err(SubmitError::Full(_))));
}

#[test]
fn a_submitter_that_waits_is_released_when_the_pool_closes() {
    let pool = bounded(1, 1, WhenFull::Wait(None));
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    submitter.submit(Job::new(Class::USER, |_| ())).unwrap();
    let waiting = std::thread::spawn(move || {
        let refused = submitter.submit(Job::new(Class::USER, |_| ()));
        assert!(matches!(refused, Err(SubmitError::Closed(_))), "{refused:?}");
    });
    pool.shutdown_timeout(Shutdown::Cancel, Duration::ZERO);
    waiting.join().unwrap();
    blocker.open();
}

#[test]
fn late_jobs_run_in_their_order_and_none_overtakes() {
    let pool = bounded(1, 8, WhenFull::Late);
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    for token in 1..=1_000 {
        submitter.submit(Job::new(Class::USER, |_| ()).token(token)).unwrap();
    }
    assert_eq!(submitter.held_back(), (0, 992));
    assert_eq!(pool.snapshot().class(Class::USER).queued, 8);
    blocker.open();
    let expected: Vec<u64> = (0..=1_000).collect();
    assert_eq!(tokens(&collect(&mut submitter, 1_001)), expected);
}

#[test]
fn late_jobs_are_bounded_too() {
    let spec = ClassSpec::new("user").queue_len_max(4).when_full(WhenFull::Late);
    let limits = Limits { late_len_max: 10, ..Limits::default() };
    let pool = builder().workers(1).class(spec).limits(limits).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    let _blocker = Blocker::start(&mut submitter, Class::FS);
    let accepted = (0..100).filter(|_| submitter.submit(Job::new(Class::USER, |_| ())).is_ok()).count();
    assert_eq!(accepted, 14);
}

#[test]
fn the_bell_rings_for_late_jobs_when_others_leave_room() {
    let pool = bounded(1, 4, WhenFull::Late);
    let mut other = pool.submitter(|| {});
    let blocker = Blocker::start(&mut other, Class::FS);
    (0..4).for_each(|_| _ = other.submit(Job::new(Class::USER, |_| ())).unwrap());
    let (bell, rung) = channel();
    let mut submitter = pool.submitter(move || _ = bell.send(()));
    submitter.submit(Job::new(Class::USER, |_| ()).token(7)).unwrap();
    assert_eq!(submitter.held_back(), (0, 1));
    blocker.open();
    rung.recv_timeout(PATIENCE).expect("there is room, and nothing else will tell this submitter");
    assert_eq!(tokens(&collect(&mut submitter, 1)), [7]);
}

#[test]
fn late_jobs_of_two_submitters_all_run() {
    let pool = bounded(2, 16, WhenFull::Late);
    let work = |mut submitter: Submitter| {
        std::thread::spawn(move || {
            (0..5_000).for_each(|_| _ = submitter.submit(Job::new(Class::USER, |_| ())).unwrap());
            collect(&mut submitter, 5_000);
        })
    };
    let threads = [work(pool.submitter(|| {})), work(pool.submitter(|| {}))];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn late_jobs_are_cancelled_when_the_pool_closes() {
    let pool = bounded(1, 1, WhenFull::Late);
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    (0..10).for_each(|_| _ = submitter.submit(Job::new(Class::USER, |_| ()).token(1)).unwrap());
    pool.shutdown_timeout(Shutdown::Finish, Duration::ZERO);
    blocker.open();
    let completed = collect(&mut submitter, 11);
    let cancelled = completed.iter().filter(|it| matches!(it.outcome(), Outcome::Cancelled)).count();
    assert_eq!(cancelled, 9); // the queued one finished, as asked
}
