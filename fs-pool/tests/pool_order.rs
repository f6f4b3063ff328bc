//! In which order jobs start, and completions come.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use fs_pool::pool::{Class, ClassSpec, Job, Limits, Order, Priority};
use support::{Blocker, PATIENCE, builder, collect, pool, tokens};

const CLASSES: [Class; 4] = [Class::FS, Class::DNS, Class::CPU, Class::USER];

#[test]
fn with_one_worker_jobs_of_all_classes_run_in_submission_order() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let order = Arc::new(Mutex::new(Vec::new()));
    for token in 0..10_000 {
        let (order, class) = (order.clone(), CLASSES[token as usize * 7 % 4]);
        submitter.stage(Job::new(class, move |_| order.lock().unwrap().push(token)).token(token)).unwrap();
    }
    let completed = collect(&mut submitter, 10_000);
    let expected: Vec<u64> = (0..10_000).collect();
    assert_eq!(*order.lock().unwrap(), expected);
    assert_eq!(tokens(&completed), expected);
}

#[test]
fn with_bites_of_one_job_many_workers_start_a_class_in_submission_order() {
    let limits = Limits { bite_len_max: 1, ..Limits::default() };
    let pool = builder().workers(4).limits(limits).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    // A barrier of four makes the jobs start in rounds: each holds the next four jobs and no other.
    let barrier = Arc::new(std::sync::Barrier::new(4));
    let order = Arc::new(Mutex::new(Vec::new()));
    for token in 0..400_u64 {
        let (barrier, order) = (barrier.clone(), order.clone());
        let job = Job::new(Class::FS, move |_| {
            order.lock().unwrap().push(token / 4);
            barrier.wait();
        });
        submitter.stage(job).unwrap();
    }
    collect(&mut submitter, 400);
    assert!(order.lock().unwrap().is_sorted());
}

#[test]
fn high_jobs_start_before_normal_ones_of_their_class() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::FS);
    for token in 1..=5 {
        submitter.stage(Job::new(Class::FS, |_| ()).token(token)).unwrap();
    }
    for token in 6..=8 {
        submitter.stage(Job::new(Class::FS, |_| ()).token(token).priority(Priority::High)).unwrap();
    }
    submitter.flush().unwrap();
    blocker.open();
    assert_eq!(tokens(&collect(&mut submitter, 9)), [0, 6, 7, 8, 1, 2, 3, 4, 5]);
}

/// Makes the pool believe that the class's jobs are short, so that workers take large bites.
fn teach_short(submitter: &mut fs_pool::pool::Submitter, class: Class) {
    for _ in 0..5_000 {
        submitter.stage(Job::new(class, |_| ())).unwrap();
    }
    collect(submitter, 5_000);
}

#[test]
fn a_high_job_passes_normal_ones_that_a_worker_has_taken_already() {
    let limits = Limits { bite_time: PATIENCE, ..Limits::default() };
    let pool = builder().workers(1).limits(limits).build().unwrap();
    let mut submitter = pool.submitter(|| {});
    teach_short(&mut submitter, Class::FS);
    let (blocker, job) = Blocker::new(Class::FS);
    submitter.stage(job).unwrap();
    for token in 1..=20 {
        submitter.stage(Job::new(Class::FS, |_| ()).token(token)).unwrap();
    }
    submitter.flush().unwrap();
    blocker.wait_started();
    submitter.submit(Job::new(Class::FS, |_| ()).token(99).priority(Priority::High)).unwrap();
    blocker.open();
    let order = tokens(&collect(&mut submitter, 22));
    assert_eq!(order[..3], [0, 99, 1]);
    assert!(order[2..].is_sorted());
}

#[test]
fn a_long_job_does_not_hold_back_those_behind_it_while_a_worker_is_idle() {
    let pool = pool(2);
    let mut submitter = pool.submitter(|| {});
    for _ in 0..50 {
        teach_short(&mut submitter, Class::FS);
        let (blocker, job) = Blocker::new(Class::FS);
        submitter.stage(job.token(1)).unwrap();
        for _ in 0..64 {
            submitter.stage(Job::new(Class::FS, |_| ())).unwrap();
        }
        let short = collect(&mut submitter, 64);
        assert!(tokens(&short).iter().all(|token| *token == 0));
        blocker.open();
        collect(&mut submitter, 1);
    }
}

#[test]
fn a_completion_is_delivered_before_the_next_job_starts() {
    let pool = pool(1);
    let mut submitter = pool.submitter(|| {});
    teach_short(&mut submitter, Class::USER);
    for _ in 0..100 {
        // The second job waits until the completion of the first, taken in the same bite, has been seen.
        let (seen, first_seen) = channel();
        submitter.stage(Job::new(Class::USER, |_| ()).token(1)).unwrap();
        let second = Job::new(Class::USER, move |_| first_seen.recv_timeout(PATIENCE).is_ok());
        submitter.stage(second).unwrap();
        assert_eq!(tokens(&collect(&mut submitter, 1)), [1]);
        seen.send(()).unwrap();
        assert_eq!(collect(&mut submitter, 1)[0].take(), Some(true));
    }
}

#[test]
fn brief_jobs_complete_a_bite_at_a_time_in_order() {
    let pool = builder().workers(1).class(ClassSpec::new("cpu").brief()).build().unwrap();
    let bells = Arc::new(AtomicUsize::new(0));
    let count = bells.clone();
    let mut submitter = pool.submitter(move || _ = count.fetch_add(1, Ordering::SeqCst));
    teach_short(&mut submitter, Class::CPU);
    let blocker = Blocker::start(&mut submitter, Class::USER);
    for token in 0..128 {
        submitter.stage(Job::new(Class::CPU, |_| ()).token(token)).unwrap();
    }
    submitter.flush().unwrap();
    bells.store(0, Ordering::SeqCst);
    blocker.open();
    let completed = collect(&mut submitter, 129);
    assert!(tokens(&completed)[1..].is_sorted());
    let bells = bells.load(Ordering::SeqCst);
    assert!(bells <= 20, "{bells} bells for 128 jobs"); // far fewer than jobs; how many depends on measured times
}

#[test]
fn the_bell_rings_once_for_all_that_arrives_before_it_is_answered() {
    let pool = pool(2);
    let bells = Arc::new(AtomicUsize::new(0));
    let count = bells.clone();
    let mut submitter = pool.submitter(move || _ = count.fetch_add(1, Ordering::SeqCst));
    for _ in 0..500 {
        submitter.stage(Job::new(Class::FS, |_| ())).unwrap();
    }
    submitter.flush().unwrap();
    pool.shutdown(fs_pool::pool::Shutdown::Finish);
    assert_eq!(bells.load(Ordering::SeqCst), 1);
    let mut done = Vec::new();
    submitter.take(&mut done);
    assert_eq!(done.len(), 500);
}

#[test]
fn each_submitter_gets_its_own_completions_and_no_others() {
    let pool = pool(3);
    let threads: Vec<_> = (0..4_u64)
        .map(|owner| {
            let pool = pool.clone();
            std::thread::spawn(move || {
                let mut submitter = pool.submitter(|| {});
                for _ in 0..2_000 {
                    submitter.stage(Job::new(Class::FS, move |_| owner).token(owner)).unwrap();
                }
                for mut completed in collect(&mut submitter, 2_000) {
                    assert_eq!((completed.token(), completed.take()), (owner, Some(owner)));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn classes_share_a_worker_by_weight_when_told_to_be_fair() {
    let pool = builder()
        .workers(1)
        .order(Order::Fair)
        .class(ClassSpec::new("fs").weight(3))
        .class(ClassSpec::new("cpu").weight(1))
        .limits(Limits { bite_len_max: 1, ..Limits::default() })
        .build()
        .unwrap();
    let mut submitter = pool.submitter(|| {});
    let blocker = Blocker::start(&mut submitter, Class::USER);
    for _ in 0..400 {
        submitter.stage(Job::new(Class::CPU, |_| ()).token(1)).unwrap();
        submitter.stage(Job::new(Class::FS, |_| ()).token(3)).unwrap();
    }
    submitter.flush().unwrap();
    blocker.open();
    let order = tokens(&collect(&mut submitter, 801));
    let of_fs = order[1..401].iter().filter(|token| **token == 3).count();
    // Three quarters; a thread that is preempted inside of a job makes that job's class wait for it.
    assert!((220..=380).contains(&of_fs), "{of_fs} of 400");
}
