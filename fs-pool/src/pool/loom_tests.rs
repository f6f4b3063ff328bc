//! The shared protocols under every interleaving, as far as loom's bounds reach. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --release -p phaseloop-fs-pool --lib loom`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Count, Ordering};

use loom::thread;

use super::metrics::WorkerStats;
use super::park::{IdleList, Parker};
use super::port::{Port, deliver_cancelled};
use super::slot::{Found, Slot};
use super::sync::Mutex;
use super::{Class, Completed, Job, Outcome};

/// Checks `model` with up to three preemptions, which is where such races are.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn job(seq: u64, port: Option<&Arc<Port>>) -> Job {
    let mut job = Job::new(Class::FS, |_| ());
    job.header_mut().seq = seq;
    job.header_mut().port = port.cloned();
    job
}

fn slot() -> Slot {
    Slot::new(0, Arc::new(WorkerStats::new(1)))
}

/// The queue and the sleepers, as `State` has them.
#[derive(Default)]
struct Bed {
    queued: usize,
    idle: IdleList,
    searching: usize,
    withheld: bool,
}

/// One worker's life until it has eaten `jobs`: look, and sleep if there is nothing.
fn eat(bed: &Mutex<Bed>, parkers: &[Parker], me: usize, eaten: &Count, jobs: usize) {
    parkers[me].adopt();
    let mut searching = false;
    loop {
        let mut st = bed.lock();
        st.searching -= usize::from(std::mem::take(&mut searching));
        if eaten.load(Ordering::SeqCst) == jobs {
            // The end: the others have nothing to wait for any more.
            while let Some(other) = st.idle.pop() {
                st.searching += 1;
                parkers[other].wake();
            }
            return;
        }
        if st.queued > 0 {
            st.queued -= 1;
            let wake = if st.withheld { None } else { wake_one(&mut st) };
            drop(st);
            wake.inspect(|other| parkers[*other].wake());
            eaten.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        st.idle.push(me);
        drop(st);
        assert!(parkers[me].sleep(None));
        searching = true;
    }
}

/// `Shared::notify`, without threads to start.
fn wake_one(st: &mut Bed) -> Option<usize> {
    if st.searching > 0 || st.queued == 0 {
        return None;
    }
    let other = st.idle.pop()?;
    st.searching += 1;
    Some(other)
}

#[test]
fn loom_no_wake_is_lost_between_looking_and_sleeping() {
    check(|| {
        let shared = Arc::new((Mutex::new(Bed::default()), [Parker::new(), Parker::new()], Count::new(0)));
        let workers: Vec<_> = (0..2)
            .map(|me| {
                let shared = shared.clone();
                thread::spawn(move || eat(&shared.0, &shared.1, me, &shared.2, 2))
            })
            .collect();
        for _ in 0..2 {
            let mut st = shared.0.lock();
            st.queued += 1;
            let wake = wake_one(&mut st);
            drop(st);
            wake.inspect(|worker| shared.1[*worker].wake());
        }
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        assert_eq!(shared.2.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn loom_a_wake_that_is_owed_starts_who_was_not_woken() {
    check(|| {
        let shared = Arc::new((Mutex::new(Bed::default()), [Parker::new(), Parker::new()], Count::new(0)));
        let workers: Vec<_> = (0..2)
            .map(|me| {
                let shared = shared.clone();
                thread::spawn(move || eat(&shared.0, &shared.1, me, &shared.2, 2))
            })
            .collect();
        // `Shared::enqueue`, which wakes nobody, and then `Shared::pay_wake`.
        let mut st = shared.0.lock();
        (st.queued, st.withheld) = (2, true);
        drop(st);
        let mut st = shared.0.lock();
        st.withheld = false;
        let wake = wake_one(&mut st);
        drop(st);
        wake.inspect(|worker| shared.1[*worker].wake());
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        assert_eq!(shared.2.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn loom_a_job_is_started_or_cancelled_and_never_both() {
    check(|| {
        let slot = Arc::new(slot());
        slot.fill(|jobs| jobs.extend([job(1, None), job(2, None)]));
        let canceller = {
            let slot = slot.clone();
            thread::spawn(move || slot.cancel(2, false))
        };
        let mut started = Vec::new();
        let mut flagged = false;
        while let Some(job) = slot.advance(true).next {
            started.push(job.header().seq);
            // The flag is for the job that was named, never for the one before or after it.
            let seen = slot.is_cancelled();
            assert!(!seen || job.header().seq == 2);
            flagged |= seen;
        }
        match canceller.join().expect("no panic") {
            Found::Waiting(job) => {
                assert_eq!((job.header().seq, &started[..], flagged), (2, &[1][..], false))
            }
            Found::Running | Found::Nowhere => assert_eq!(started, [1, 2]),
        }
    });
}

#[test]
fn loom_a_bite_is_eaten_once_while_another_worker_takes_half_of_it() {
    check(|| {
        let slot = Arc::new(slot());
        slot.fill(|jobs| jobs.extend((1..=3).map(|seq| job(seq, None))));
        let thief = {
            let slot = slot.clone();
            thread::spawn(move || slot.take_half())
        };
        let mut seen = Vec::new();
        while let Some(job) = slot.advance(true).next {
            seen.push(job.header().seq);
        }
        seen.extend(thief.join().expect("no panic").iter().map(|job| job.header().seq));
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn loom_a_detached_job_is_delivered_or_dropped_as_its_waiter_was_told() {
    check(|| {
        let slot = Arc::new(slot());
        slot.fill(|jobs| jobs.push_back(job(1, None)));
        let started = slot.advance(true).next;
        assert!(started.is_some());
        let waiter = {
            let slot = slot.clone();
            thread::spawn(move || slot.cancel(1, true))
        };
        let detached = slot.advance(true).detached;
        let told = matches!(waiter.join().expect("no panic"), Found::Running);
        assert_eq!(detached, told);
    });
}

/// Two threads deliver one job each; one of them was cancelled.
fn deliver(port: &Arc<Port>) -> [thread::JoinHandle<()>; 2] {
    let (one, two) = (port.clone(), port.clone());
    let done = thread::spawn(move || drop(one.push(Completed::new(job(1, Some(&one)), Outcome::Done))));
    let cancelled = thread::spawn(move || deliver_cancelled(job(2, Some(&two))));
    [done, cancelled]
}

#[test]
fn loom_a_receiver_that_takes_after_each_bell_gets_every_completion() {
    check(|| {
        let bells = Arc::new((loom::sync::Mutex::new(0), loom::sync::Condvar::new()));
        let rung = bells.clone();
        let port = Arc::new(Port::new(Arc::new(move || {
            *rung.0.lock().expect("no panic") += 1;
            rung.1.notify_one();
        })));
        let threads = deliver(&port);
        let mut all = Vec::new();
        while all.len() < 2 {
            let mut bell = bells.0.lock().expect("no panic");
            while *bell == 0 {
                bell = bells.1.wait(bell).expect("no panic");
            }
            *bell = 0;
            drop(bell);
            port.take(&mut all);
        }
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        port.close();
    });
}

#[test]
fn loom_a_receiver_that_blocks_gets_every_completion() {
    check(|| {
        let port = Arc::new(Port::new(Arc::new(|| {})));
        let threads = deliver(&port);
        let mut all = Vec::new();
        while all.len() < 2 {
            assert!(port.wait(&mut all, None));
        }
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        port.close();
    });
}

#[test]
fn loom_a_completion_that_meets_a_closing_port_is_dropped_and_frees_it() {
    check(|| {
        let port = Arc::new(Port::new(Arc::new(|| {})));
        let threads = deliver(&port);
        port.close();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(Arc::strong_count(&port), 1);
    });
}
