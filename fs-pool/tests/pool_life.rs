//! Threads: when they start, what they are called, what they survive and how they end.
#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::OsString;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_pool::pool::{BuildError, Class, Job, JobError, Outcome, Pool, Shutdown};
use support::{Alive, Blocker, PATIENCE, builder, collect, pool, tokens};

#[test]
fn threads_start_on_first_use_and_no_more_than_are_needed() {
    let pool = pool(4);
    let mut submitter = pool.submitter(|| {});
    assert_eq!(pool.snapshot().workers, 0);
    submitter.submit(Job::new(Class::FS, |_| ())).unwrap();
    collect(&mut submitter, 1);
    assert_eq!(pool.snapshot().workers, 1);
    let _blockers: Vec<_> = (0..3).map(|_| Blocker::start(&mut submitter, Class::FS)).collect();
    assert!((3..=4).contains(&pool.snapshot().workers));
}

#[test]
fn threads_are_named_after_the_pool_and_their_index() {
    let pool = builder().workers(1).name("files").stack_size(256 * 1024).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    submitter.submit(Job::new(Class::FS, |_| std::thread::current().name().map(str::to_owned))).unwrap();
    assert_eq!(collect(&mut submitter, 1)[0].take(), Some(Some("files-0".to_owned())));
}

#[test]
fn hooks_run_on_each_thread_before_its_first_and_after_its_last_job() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (start, stop, job) = (log.clone(), log.clone(), log.clone());
    let pool = builder()
        .workers(1)
        .on_thread_start(move |worker| start.lock().unwrap().push(format!("start {worker}")))
        .on_thread_stop(move |worker| stop.lock().unwrap().push(format!("stop {worker}")))
        .build()
        .unwrap();
    pool.submitter(|| {})
        .submit(Job::new(Class::FS, move |_| job.lock().unwrap().push("job".into())))
        .unwrap();
    pool.shutdown(Shutdown::Finish);
    assert_eq!(*log.lock().unwrap(), ["start 0", "job", "stop 0"]);
}

#[test]
fn an_idle_thread_ends_and_another_starts_when_needed() {
    let (stop, stopped) = channel();
    let pool = builder()
        .workers(2)
        .idle_timeout(Duration::from_millis(1))
        .on_thread_stop(move |worker| _ = stop.send(worker))
        .build()
        .unwrap();
    let mut submitter = pool.submitter(|| {});
    for round in 0..50 {
        submitter.submit(Job::new(Class::FS, |_| ()).token(round)).unwrap();
        assert_eq!(tokens(&collect(&mut submitter, 1)), [round]);
        if round % 2 == 0 {
            stopped.recv_timeout(PATIENCE).expect("the thread ends");
        }
    }
}

#[test]
fn a_pool_grows_while_all_its_workers_are_busy() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let first = Blocker::start(&mut submitter, Class::FS);
    let (second, job) = Blocker::new(Class::FS);
    submitter.submit(job).unwrap();
    pool.resize(2).unwrap();
    second.wait_started();
    assert_eq!((pool.workers(), pool.snapshot().workers), (2, 2));
    drop((first, second));
    collect(&mut submitter, 2);
}

#[test]
fn a_pool_shrinks_to_fewer_threads_and_goes_on() {
    let (stop, stopped) = channel();
    let pool = builder().workers(4).on_thread_stop(move |worker| _ = stop.send(worker)).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    let blockers: Vec<_> = (0..4).map(|_| Blocker::start(&mut submitter, Class::FS)).collect();
    (0..10).for_each(|_| _ = submitter.submit(Job::new(Class::FS, |_| ())).unwrap());
    pool.resize(1).unwrap();
    drop(blockers);
    (0..3).for_each(|_| _ = stopped.recv_timeout(PATIENCE).expect("three threads end"));
    collect(&mut submitter, 14);
    assert_eq!(pool.snapshot().workers, 1);
    pool.resize(4).unwrap();
    let _blockers: Vec<_> = (0..4).map(|_| Blocker::start(&mut submitter, Class::FS)).collect();
}

#[test]
fn sleeping_threads_end_when_the_pool_shrinks() {
    let (stop, stopped) = channel();
    let pool = builder().workers(3).on_thread_stop(move |worker| _ = stop.send(worker)).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    let blockers: Vec<_> = (0..3).map(|_| Blocker::start(&mut submitter, Class::FS)).collect();
    drop(blockers);
    collect(&mut submitter, 3);
    pool.resize(1).unwrap();
    (0..2).for_each(|_| _ = stopped.recv_timeout(PATIENCE).expect("two threads end"));
}

#[test]
fn the_environment_sets_the_number_of_workers() {
    let with = |pairs: &[(&'static str, &'static str)]| {
        let pairs = pairs.to_vec();
        let find = move |name: &str| pairs.iter().find(|it| it.0 == name).map(|it| OsString::from(it.1));
        Pool::builder().env(find).build().map(|pool| pool.workers())
    };
    assert_eq!(with(&[]), Ok(4));
    assert_eq!(with(&[("UV_THREADPOOL_SIZE", "7")]), Ok(7));
    assert_eq!(with(&[("UV_THREADPOOL_SIZE", "7"), ("PHASELOOP_POOL_SIZE", "1024")]), Ok(1024));
    for value in ["0", "1025", "-1", "four", "", " 4", "4 ", "99999999999999999999"] {
        let error = BuildError::Workers { from: "UV_THREADPOOL_SIZE", value: value.into() };
        assert_eq!(with(&[("UV_THREADPOOL_SIZE", value)]), Err(error.clone()));
        let text = format!("UV_THREADPOOL_SIZE is {value:?}, not a number from 1 to 1024");
        assert_eq!(error.to_string(), text);
    }
    // A bad value is not passed over for a good one, but what is not used is not looked at.
    assert!(with(&[("PHASELOOP_POOL_SIZE", "x"), ("UV_THREADPOOL_SIZE", "7")]).is_err());
    assert!(Pool::builder().env(|_| Some("x".into())).workers(3).build().is_ok());
}

#[test]
fn numbers_of_workers_out_of_range_are_refused() {
    assert!(builder().workers(0).build().is_err());
    assert!(builder().workers(1025).build().is_err());
    assert!(pool(1).resize(0).is_err());
    assert!(builder().name("a\0b").build().is_err());
}

#[test]
fn a_job_that_panics_becomes_an_outcome_and_the_worker_survives() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    submitter.submit(Job::new(Class::USER, |cx| -> u8 { panic!("no luck on {}", cx.worker()) })).unwrap();
    let completed = collect(&mut submitter, 1).pop().unwrap();
    let error = completed.into_result::<u8>().unwrap_err();
    assert_eq!(error.to_string(), "the job panicked: no luck on 0");
    let JobError::Panicked(payload) = error else { panic!("{error:?}") };
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "no luck on 0");
    submitter.submit(Job::new(Class::USER, |cx| cx.worker())).unwrap();
    assert_eq!(collect(&mut submitter, 1)[0].take(), Some(0_usize));
    assert_eq!(pool.snapshot().class(Class::USER).panicked, 1);
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_worker_survives_results_payloads_bells_and_hooks_that_panic() {
    let pool = builder().workers(1).on_thread_start(|_| panic!("start")).build().unwrap();
    let mut gone = pool.submitter(|| panic!("bell"));
    gone.submit(Job::new(Class::FS, |_| PanicsOnDrop)).unwrap();
    gone.submit(Job::new(Class::FS, |_| std::panic::panic_any(PanicsOnDrop))).unwrap();
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    let mut done = Vec::new();
    gone.take(&mut done);
    done.into_iter().for_each(std::mem::forget);
    gone.submit(Job::new(Class::FS, |_| PanicsOnDrop)).unwrap();
    drop(gone);
    blocker.open();
    submitter.submit(Job::new(Class::FS, |_| 5)).unwrap();
    assert_eq!(collect(&mut submitter, 2)[1].take(), Some(5));
}

#[test]
fn a_shutdown_that_finishes_runs_what_is_queued() {
    let pool = pool(3);
    let mut submitter = pool.submitter(|| {});
    (0..5_000).for_each(|_| _ = submitter.submit(Job::new(Class::FS, |_| ())).unwrap());
    let report = pool.shutdown(Shutdown::Finish);
    assert_eq!((report.cancelled, report.left), (0, 0));
    assert!((1..=3).contains(&report.joined));
    let mut done = Vec::new();
    submitter.take(&mut done);
    assert_eq!(done.len(), 5_000);
    assert!(done.iter().all(|it| matches!(it.outcome(), Outcome::Done)));
}

#[test]
fn a_shutdown_that_cancels_ends_queued_jobs_and_tells_running_ones() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let (started, wait_started) = channel();
    let job = Job::new(Class::CPU, move |cx| {
        started.send(()).unwrap();
        while !cx.is_cancelled() {
            std::thread::yield_now();
        }
    });
    submitter.submit(job).unwrap();
    wait_started.recv_timeout(PATIENCE).unwrap();
    (0..100).for_each(|_| _ = submitter.submit(Job::new(Class::FS, |_| ())).unwrap());
    let report = pool.shutdown(Shutdown::Cancel);
    assert_eq!((report.cancelled, report.joined, report.left), (100, 1, 0));
    let mut done = Vec::new();
    submitter.take(&mut done);
    assert_eq!(done.iter().filter(|it| matches!(it.outcome(), Outcome::Cancelled)).count(), 100);
    assert_eq!(done.len(), 101);
}

#[test]
fn a_shutdown_with_a_timeout_leaves_threads_that_do_not_end() {
    let pool = pool(2);
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    let report = pool.shutdown_timeout(Shutdown::Cancel, Duration::from_millis(1));
    assert_eq!((report.cancelled, report.left), (0, 1));
    blocker.open();
    assert_eq!(pool.shutdown(Shutdown::Finish).left, 0);
}

#[test]
fn a_job_may_shut_its_own_pool_down() {
    let pool = pool(2);
    let mut submitter = pool.submitter(|| {});
    let own = pool.clone();
    submitter.submit(Job::new(Class::USER, move |_| own.shutdown(Shutdown::Finish).left)).unwrap();
    assert_eq!(collect(&mut submitter, 1)[0].take(), Some(1_usize));
}

#[test]
fn dropping_the_pool_cancels_queued_jobs_and_releases_everything() {
    let alive = Alive::default();
    let (stop, stopped) = channel();
    let thread_value = alive.token();
    let pool =
        builder().workers(2).on_thread_stop(move |_| _ = (&thread_value, stop.send(()))).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    let blockers: Vec<_> = (0..2).map(|_| Blocker::start(&mut submitter, Class::FS)).collect();
    for _ in 0..1_000 {
        let token = alive.token();
        submitter.submit(Job::new(Class::FS, move |_| token)).unwrap();
    }
    drop(pool);
    assert_eq!(alive.count(), 1_001); // the submitter holds the pool as well
    drop(submitter);
    assert_eq!(alive.count(), 1);
    drop(blockers);
    (0..2).for_each(|_| stopped.recv_timeout(PATIENCE).expect("the threads end by themselves"));
    // The channel is closed when the last thread has let go of the pool.
    assert!(stopped.recv_timeout(PATIENCE).is_err());
    assert_eq!(alive.count(), 0);
}

#[test]
fn pools_of_one_process_are_independent() {
    let (one, two) = (pool(1), pool(1));
    let (mut first, mut second) = (one.submitter(|| {}), two.submitter(|| {}));
    let _blocker = Blocker::start(&mut first, Class::FS);
    second.submit(Job::new(Class::FS, |_| ())).unwrap();
    collect(&mut second, 1);
    one.shutdown_timeout(Shutdown::Cancel, Duration::ZERO);
    second.submit(Job::new(Class::FS, |_| ())).unwrap();
    collect(&mut second, 1);
}

#[test]
fn a_snapshot_counts_jobs_and_names_the_slowest_line() {
    let pool = pool(2);
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::USER);
    let queued = Blocker::start(&mut submitter, Class::USER);
    let line = line!() + 1;
    let job = Job::new(Class::CPU, |_| spin_for(Duration::from_millis(2)));
    submitter.submit(job).unwrap();
    let now = pool.snapshot();
    assert_eq!((now.running(), now.queued(), now.workers, now.idle), (2, 1, 2, 0));
    drop((blocker, queued));
    collect(&mut submitter, 3);
    let after = pool.snapshot();
    let cpu = after.class(Class::CPU);
    assert_eq!((cpu.name.as_str(), cpu.submitted, cpu.completed, cpu.run.count()), ("cpu", 1, 1, 1));
    assert!(cpu.run.max() >= Duration::from_millis(2));
    assert!(cpu.run.percentile(50.0) >= Duration::from_millis(2));
    let slow = after.slowest.iter().find(|job| job.class == Class::CPU).unwrap();
    assert_eq!((slow.site.line(), slow.site.file().ends_with("pool_life.rs")), (line, true));
}

fn spin_for(time: Duration) -> u64 {
    let begin = std::time::Instant::now();
    let mut rounds = 0;
    while begin.elapsed() < time {
        rounds = std::hint::black_box(rounds + 1);
    }
    rounds
}

#[test]
fn a_pool_that_grows_takes_over_what_a_held_up_worker_has_taken() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    (0..5_000).for_each(|_| _ = submitter.stage(Job::new(Class::FS, |_| ())).unwrap());
    collect(&mut submitter, 5_000); // the class counts as short now: bites are large
    let (blocker, job) = Blocker::new(Class::FS);
    submitter.stage(job).unwrap();
    (0..20).for_each(|_| _ = submitter.stage(Job::new(Class::FS, |_| ())).unwrap());
    submitter.flush().unwrap();
    blocker.wait_started();
    pool.resize(2).unwrap();
    collect(&mut submitter, 20);
    blocker.open();
    collect(&mut submitter, 1);
}

#[test]
fn a_result_that_is_slow_to_drop_does_not_hold_up_other_workers() {
    struct Slow(std::sync::mpsc::Receiver<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.recv_timeout(PATIENCE).ok();
        }
    }
    let pool = pool(2);
    let mut submitter = pool.submitter(|| {});
    for _ in 0..100 {
        let (open, opened) = channel::<()>();
        let mut gone = pool.submitter(|| {});
        let (end, ended) = channel::<()>();
        let job = Job::new(Class::FS, move |_| {
            ended.recv().ok();
            Slow(opened)
        });
        gone.submit(job).unwrap();
        drop((gone, end)); // in this order: the worker drops the result
        (0..10).for_each(|_| _ = submitter.submit(Job::new(Class::CPU, |_| ())).unwrap());
        collect(&mut submitter, 10);
        drop(open);
    }
}
