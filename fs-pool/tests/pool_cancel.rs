//! Cancelling and detaching: each job has exactly one outcome.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::mpsc::channel;

use fs_pool::pool::{
    Cancel, Cancelled, Class, ClassSpec, Detach, Job, JobError, Outcome, Submitter, WhenFull,
};
use support::{Alive, Blocker, PATIENCE, builder, collect, pool, tokens};

fn never(_: &fs_pool::pool::JobContext<'_>) {
    panic!("a cancelled job does not run");
}

#[test]
fn a_queued_job_never_runs_and_its_completion_says_so_at_once() {
    let pool = pool(1);
    let (bell, rung) = channel();
    let mut submitter = pool.submitter(move || _ = bell.send(()));
    let _blocker = Blocker::start(&mut submitter, Class::FS);
    let ticket = submitter.submit(Job::new(Class::FS, never).token(5)).unwrap();
    assert_eq!(pool.cancel(ticket), Cancel::Cancelled);
    rung.recv_timeout(PATIENCE).expect("cancelling the only job that could end still rings the bell");
    let completed = collect(&mut submitter, 1).pop().unwrap();
    assert_eq!((completed.token(), completed.ticket()), (5, ticket));
    assert!(matches!(completed.into_result::<()>(), Err(JobError::Cancelled)));
    assert_eq!(pool.cancel(ticket), Cancel::Done);
}

#[test]
fn a_running_job_is_busy_and_is_told() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let (started, wait_started) = channel();
    let (asked, wait_asked) = channel();
    let job = Job::new(Class::CPU, move |cx| {
        let before = cx.check();
        started.send(()).unwrap();
        wait_asked.recv_timeout(PATIENCE).unwrap();
        (before, cx.check())
    });
    let ticket = submitter.submit(job).unwrap();
    wait_started.recv_timeout(PATIENCE).unwrap();
    assert_eq!(submitter.cancel(ticket), Cancel::Busy);
    assert_eq!(pool.cancel(ticket), Cancel::Busy);
    asked.send(()).unwrap();
    assert_eq!(collect(&mut submitter, 1)[0].take(), Some((Ok::<_, Cancelled>(()), Err::<(), _>(Cancelled))));
    assert_eq!(submitter.cancel(ticket), Cancel::Done);
    // The flag was the job's, not the worker's.
    submitter.submit(Job::new(Class::CPU, |cx| cx.is_cancelled())).unwrap();
    assert_eq!(collect(&mut submitter, 1)[0].take(), Some(false));
}

#[test]
fn a_job_that_a_worker_has_taken_but_not_started_is_still_cancelled() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    (0..5_000).for_each(|_| _ = submitter.stage(Job::new(Class::FS, |_| ())).unwrap());
    collect(&mut submitter, 5_000); // the class counts as short now: bites are large
    let (blocker, job) = Blocker::new(Class::FS);
    submitter.stage(job).unwrap();
    let tickets: Vec<_> = (0..20).map(|_| submitter.stage(Job::new(Class::FS, never)).unwrap()).collect();
    submitter.flush().unwrap();
    blocker.wait_started();
    for ticket in tickets {
        assert_eq!(submitter.cancel(ticket), Cancel::Cancelled);
    }
    blocker.open();
    collect(&mut submitter, 21);
}

#[test]
fn staged_and_late_jobs_are_cancelled_where_they_are() {
    let spec = ClassSpec::new("user").queue_len_max(1).when_full(WhenFull::Late);
    let pool = builder().workers(1).class(spec).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    let staged = submitter.stage(Job::new(Class::USER, never)).unwrap();
    let late = submitter.stage(Job::new(Class::USER, never)).unwrap();
    assert_eq!(submitter.held_back(), (1, 1));
    assert_eq!([submitter.cancel(staged), submitter.cancel(late)], [Cancel::Cancelled; 2]);
    assert_eq!(submitter.held_back(), (0, 0));
    let completed = collect(&mut submitter, 2);
    assert!(completed.iter().all(|it| matches!(it.outcome(), Outcome::Cancelled)));
    let user = pool.snapshot().class(Class::USER).clone();
    assert_eq!((user.submitted, user.cancelled), (2, 2));
}

#[test]
fn ten_thousand_queued_jobs_can_be_cancelled_in_any_order() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    let mut tickets: Vec<_> =
        (0..10_000).map(|_| submitter.submit(Job::new(Class::FS, never)).unwrap()).collect();
    let mut dice = support::Dice(7);
    (1..tickets.len()).for_each(|last| tickets.swap(last, dice.roll(last as u64 + 1) as usize));
    for ticket in tickets {
        assert_eq!(pool.cancel(ticket), Cancel::Cancelled);
    }
    collect(&mut submitter, 10_000);
    blocker.open();
    assert_eq!(collect(&mut submitter, 1).len(), 1);
}

#[test]
fn a_running_job_that_is_detached_ends_alone_and_is_counted() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let alive = Alive::default();
    let (token, (started, wait_started), (open, opened)) = (alive.token(), channel(), channel::<()>());
    let job = Job::new(Class::DNS, move |cx| {
        started.send(()).unwrap();
        opened.recv().ok();
        assert!(cx.is_cancelled());
        token // the result
    });
    let ticket = submitter.submit(job.token(1)).unwrap();
    wait_started.recv_timeout(PATIENCE).unwrap();
    assert_eq!(submitter.detach(ticket), Detach::Detached);
    assert_eq!(pool.detach(ticket), Detach::Detached);
    assert_eq!(pool.snapshot().class(Class::DNS).detached_running, 1);
    drop(open);
    submitter.submit(Job::new(Class::DNS, |_| ()).token(2)).unwrap();
    assert_eq!(tokens(&collect(&mut submitter, 1)), [2]); // the first one never comes
    assert_eq!(alive.count(), 0);
    let dns = pool.snapshot().class(Class::DNS).clone();
    assert_eq!((dns.detached, dns.detached_running, dns.completed, dns.run.count()), (1, 0, 1, 2));
    assert_eq!(pool.detach(ticket), Detach::Done);
}

#[test]
fn a_queued_job_that_is_detached_is_cancelled() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let _blocker = Blocker::start(&mut submitter, Class::FS);
    let ticket = submitter.submit(Job::new(Class::FS, never)).unwrap();
    assert_eq!(submitter.detach(ticket), Detach::Cancelled);
    assert!(matches!(collect(&mut submitter, 1)[0].outcome(), Outcome::Cancelled));
}

#[test]
fn results_whose_submitter_is_gone_are_dropped() {
    let pool = pool(2);
    let alive = Alive::default();
    let bell_is_gone = alive.token();
    let mut submitter = pool.submitter(move || _ = &bell_is_gone);
    let mut watcher = pool.submitter(|| {});
    let blockers: Vec<_> = (0..2).map(|_| Blocker::start(&mut watcher, Class::FS)).collect();
    for _ in 0..100 {
        let token = alive.token();
        submitter.stage(Job::new(Class::FS, move |_| token)).unwrap();
    }
    drop(submitter); // its jobs are queued, and go on
    assert_eq!(alive.count(), 100);
    drop(blockers);
    collect(&mut watcher, 2);
    pool.shutdown(fs_pool::pool::Shutdown::Finish);
    assert_eq!(alive.count(), 0);
    assert_eq!(pool.snapshot().class(Class::FS).completed, 102);
}

#[test]
fn completions_that_nobody_took_are_dropped_with_the_submitter() {
    let pool = pool(1);
    let alive = Alive::default();
    let (bell, rung) = channel();
    let mut submitter: Submitter = pool.submitter(move || _ = bell.send(()));
    let token = alive.token();
    submitter.submit(Job::new(Class::FS, move |_| token)).unwrap();
    rung.recv_timeout(PATIENCE).unwrap();
    drop(submitter);
    assert_eq!(alive.count(), 0);
}

#[test]
#[should_panic(expected = "cancel a job at the pool that gave the ticket")]
fn a_ticket_of_another_pool_is_misuse() {
    let ticket = pool(1).submitter(|| {}).submit(Job::new(Class::FS, |_| ())).unwrap();
    let _ = pool(1).cancel(ticket);
}

#[test]
fn what_a_cancelled_job_holds_is_dropped_at_once_wherever_it_was() {
    let spec = ClassSpec::new("user").queue_len_max(2).when_full(WhenFull::Late);
    let pool = builder().workers(1).class(spec).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    let _blocker = Blocker::start(&mut submitter, Class::FS);
    let alive = Alive::default();
    let job = || {
        let token = alive.token();
        Job::new(Class::USER, move |_| drop(token))
    };
    let queued = submitter.submit(job()).unwrap();
    let staged = submitter.stage(job()).unwrap();
    let late = submitter.stage(job()).unwrap();
    assert_eq!(alive.count(), 3);
    assert_eq!(submitter.cancel(late), Cancel::Cancelled);
    assert_eq!(alive.count(), 2);
    assert_eq!(submitter.detach(staged), Detach::Cancelled);
    assert_eq!(alive.count(), 1);
    assert_eq!(pool.cancel(queued), Cancel::Cancelled);
    assert_eq!(alive.count(), 0, "and nobody has taken a completion");
    submitter.submit(job()).unwrap();
    pool.shutdown_timeout(fs_pool::pool::Shutdown::Cancel, std::time::Duration::ZERO);
    assert_eq!(alive.count(), 0);
    let cancelled = collect(&mut submitter, 4);
    assert!(cancelled.iter().all(|it| matches!(it.outcome(), Outcome::Cancelled)));
}

#[test]
fn work_of_ones_own_is_told_and_comes_back_and_its_panic_goes_no_further() {
    struct Told(Vec<&'static str>);
    impl fs_pool::pool::Work for Told {
        fn run(&mut self, _: &fs_pool::pool::JobContext<'_>) {
            self.0.push("run");
        }
        fn cancelled(&mut self) {
            self.0.push("cancelled");
            std::panic::resume_unwind(Box::new("ignored"));
        }
        fn output(&mut self) -> Option<&mut dyn std::any::Any> {
            Some(self)
        }
    }
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let _blocker = Blocker::start(&mut submitter, Class::FS);
    let ticket = submitter.submit(Job::from_work(Class::USER, Told(vec!["made"]))).unwrap();
    assert_eq!(submitter.cancel(ticket), Cancel::Cancelled);
    let mut completed = collect(&mut submitter, 1).pop().unwrap();
    let told = completed.output().unwrap().downcast_mut::<Told>().unwrap();
    assert_eq!(told.0, ["made", "cancelled"]);
}
