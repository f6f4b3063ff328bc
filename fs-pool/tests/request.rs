//! Jobs of a loop: what comes back, when, and what becomes of what is given up.
#![allow(clippy::unwrap_used)]

#[path = "support/on_loop.rs"]
mod on_loop;
mod support;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::time::Duration;

use fs_pool::pool::{Cancel, Class, ClassSpec, JobContext, Pool, Shutdown, SubmitError};
use fs_pool::request::{LoopPool, RequestError};
use on_loop::{Gate, Log, run, settle};
use phaseloop::{ContextKey, EventLoop, LoopHandle, RunMode, Schedule};
use support::{Alive, Dice, PATIENCE, builder, pool};

fn joined(workers: usize) -> (EventLoop, Pool, LoopPool) {
    let (lp, pool) = (EventLoop::new().unwrap(), pool(workers));
    let joined = LoopPool::new(&lp, &pool);
    (lp, pool, joined)
}

/// Ends the pool's threads, so that whatever they held is dropped.
fn end(pool: &Pool) {
    assert_eq!(pool.shutdown(Shutdown::Cancel).left, 0);
}

// --- order ------------------------------------------------------------------------------------------------------------

#[test]
fn one_worker_completes_jobs_in_the_order_of_submission() {
    let (lp, _pool, jobs) = joined(1);
    let seen = Rc::new(RefCell::new(Vec::new()));
    for number in 0..200_u32 {
        let class = [Class::FS, Class::DNS, Class::CPU, Class::USER][number as usize % 4];
        let seen = Rc::clone(&seen);
        jobs.run(class, move |_| number, move |_, done| seen.borrow_mut().push(done.unwrap())).unwrap();
    }
    run(&lp);
    assert!(seen.borrow().iter().copied().eq(0..200));
}

#[test]
fn completions_of_one_batch_have_a_checkpoint_each_and_precede_immediates() {
    let (lp, pool, jobs) = joined(1);
    let log = Log::default();
    for number in 0..2 {
        let log = log.clone();
        let on_done = move |lp: &LoopHandle, _| {
            log.add(format!("completion {number}"));
            lp.next_tick(move |_| log.add(format!("tick {number}")));
        };
        jobs.run(Class::USER, |_| (), on_done).unwrap();
    }
    settle(&pool);
    let late = log.clone();
    lp.set_immediate(move |_| late.add("immediate"));
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(log.take(), ["completion 0", "tick 0", "completion 1", "tick 1", "immediate"]);
}

#[test]
fn the_textbook_delivers_in_pending_and_drains_after_the_phase() {
    let lp = EventLoop::builder().schedule(Schedule::textbook()).build().unwrap();
    let pool = pool(1);
    let jobs = LoopPool::new(&lp, &pool);
    let log = Log::default();
    let (first, second) = (log.clone(), log.clone());
    let on_first = move |lp: &LoopHandle, _| {
        first.add("first");
        lp.next_tick(move |_| first.add("tick"));
    };
    jobs.run(Class::USER, |_| (), on_first).unwrap();
    jobs.run(Class::USER, |_| (), move |_, _| second.add("second")).unwrap();
    settle(&pool);
    run(&lp);
    assert_eq!(log.take(), ["first", "second", "tick"]);
}

#[test]
fn n_hops_take_n_poll_phases() {
    let (lp, _pool, jobs) = joined(1);
    // The turns in which the hops ended. Poll may also wake for nothing, so there may be others between.
    let turns = Rc::new(RefCell::new(Vec::new()));
    fn hop(jobs: &LoopPool, left: u32, turns: &Rc<RefCell<Vec<u64>>>) {
        let (next, turns) = (jobs.clone(), Rc::clone(turns));
        let on_done = move |lp: &LoopHandle, _| {
            turns.borrow_mut().push(lp.metrics().turns);
            if left > 1 {
                hop(&next, left - 1, &turns);
            }
        };
        jobs.run(Class::USER, |_| (), on_done).unwrap();
    }
    hop(&jobs, 5, &turns);
    run(&lp);
    let turns = turns.take();
    assert_eq!(turns.len(), 5);
    assert!(turns.is_sorted_by(|a, b| a < b), "two hops in one turn: {turns:?}");
}

#[test]
fn a_job_given_before_a_callback_that_blocks_ends_meanwhile() {
    let (lp, _pool, jobs) = joined(1);
    lp.set_immediate(move |_| {
        let (ended, wait_ended) = channel();
        jobs.run(Class::USER, move |_| ended.send(()).unwrap(), |_, _| {}).unwrap();
        wait_ended.recv_timeout(PATIENCE).expect("the job does not wait for the callback");
    });
    run(&lp);
}

#[test]
fn jobs_held_back_are_queued_in_the_prepare_phase_or_when_there_are_many() {
    let (lp, _pool, jobs) = joined(1);
    let (gate, job) = Gate::new();
    jobs.run(Class::USER, job, |_, _| {}).unwrap();
    gate.wait_started();
    let give = |count: u32| (0..count).for_each(|_| _ = jobs.run(Class::USER, |_| (), |_, _| {}).unwrap());
    give(11);
    assert_eq!(jobs.under_way(), (12, 10), "two are queued at once");
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(jobs.under_way(), (12, 0));
    give(31);
    assert_eq!(jobs.under_way(), (43, 31));
    give(1);
    assert_eq!(jobs.under_way(), (44, 0));
    gate.open();
    run(&lp);
    assert_eq!(jobs.under_way(), (0, 0));
}

#[test]
fn jobs_of_one_batch_that_wait_for_each_other_all_start() {
    let (lp, _pool, jobs) = joined(2);
    let give = |count: u32| (0..count).for_each(|_| _ = jobs.run(Class::USER, |_| (), |_, _| {}).unwrap());
    for _ in 0..50 {
        give(300); // so short that one worker seems enough for the next ones
        run(&lp);
        give(4); // as many as are queued at once
        let (send, receive) = channel();
        let (met, seen) =
            (Rc::new(Cell::new(false)), move |_: &JobContext<'_>| receive.recv_timeout(PATIENCE).is_ok());
        let mine = Rc::clone(&met);
        jobs.run(Class::USER, seen, move |_, done| mine.set(done.unwrap())).unwrap();
        jobs.run(Class::USER, move |_| send.send(()).is_ok(), |_, _| {}).unwrap();
        give(30); // the batch is full and queued
        run(&lp);
        assert!(met.get(), "the other worker was not woken");
    }
}

#[test]
fn loops_share_a_pool_and_each_gets_its_own() {
    let pool = pool(2);
    let threads: Vec<_> = (0..3_u64)
        .map(|own| {
            let pool = pool.clone();
            std::thread::spawn(move || {
                let lp = EventLoop::new().unwrap();
                let jobs = LoopPool::new(&lp, &pool);
                let seen = Rc::new(Cell::new(0));
                for _ in 0..300 {
                    let seen = Rc::clone(&seen);
                    let on_done = move |_: &LoopHandle, done: Result<u64, RequestError>| {
                        assert_eq!(done.unwrap(), own);
                        seen.set(seen.get() + 1);
                    };
                    jobs.run(Class::USER, move |_| own, on_done).unwrap();
                }
                run(&lp);
                assert_eq!(seen.get(), 300);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_callback_runs_in_the_context_in_which_its_job_was_given() {
    static USER: ContextKey<u32> = ContextKey::new();
    let (lp, _pool, jobs) = joined(1);
    let on_done = |lp: &LoopHandle, _| assert_eq!(USER.get(lp).as_deref(), Some(&7));
    USER.scope(&lp, 7, || jobs.run(Class::USER, |_| (), on_done).unwrap());
    run(&lp);
}

// --- failures ---------------------------------------------------------------------------------------------------------

#[test]
fn a_panic_in_a_job_is_an_error_and_the_worker_lives_on() {
    let (lp, _pool, jobs) = joined(1);
    let results = lp.block_on(async {
        let first = jobs.spawn(Class::USER, |_| panic!("on {}", "purpose")).await.map(|()| 0);
        (first, jobs.spawn(Class::USER, |_| 2).await)
    });
    let (first, second) = results.unwrap();
    assert_eq!(first.unwrap_err().panic_message(), Some("on purpose"));
    assert_eq!(second.unwrap(), 2);
}

#[test]
fn a_panic_of_a_callback_that_leaves_run_loses_no_completion() {
    let (lp, pool, jobs) = joined(1);
    let seen = Rc::new(Cell::new(0));
    jobs.run(Class::USER, |_| (), |_, _| panic!("on purpose")).unwrap();
    let later = Rc::clone(&seen);
    jobs.run(Class::USER, |_| (), move |_, _| later.set(1)).unwrap();
    settle(&pool);
    let panicked = catch_unwind(AssertUnwindSafe(|| lp.run(RunMode::Default).map(|_| ())));
    assert!(panicked.is_err());
    run(&lp);
    assert_eq!(seen.get(), 1);
}

#[test]
fn a_full_class_gives_the_job_back_and_drops_the_callback() {
    let lp = EventLoop::new().unwrap();
    let pool = builder().workers(1).class(ClassSpec::new("user").queue_len_max(1)).build().unwrap();
    let jobs = LoopPool::new(&lp, &pool);
    let (gate, job) = Gate::new();
    jobs.run(Class::USER, job, |_, _| {}).unwrap();
    gate.wait_started();
    jobs.run(Class::USER, |_| (), |_, _| {}).unwrap();
    let alive = Alive::default();
    let token = alive.token();
    let refused = jobs.run(Class::USER, |_| (), move |_, _| drop(token));
    assert!(matches!(refused, Err(SubmitError::Full(_))));
    assert_eq!((alive.count(), lp.request_count()), (0, 2));
    let refused = lp.block_on(async {
        let refused = jobs.spawn(Class::USER, |_| ()).await;
        gate.open();
        refused
    });
    assert!(matches!(refused.unwrap(), Err(RequestError::Full)));
    run(&lp);
}

#[test]
fn a_pool_that_was_shut_down_takes_nothing() {
    let (lp, pool, jobs) = joined(1);
    end(&pool);
    assert!(matches!(jobs.run(Class::USER, |_| (), |_, _| {}), Err(SubmitError::Closed(_))));
    run(&lp);
}

// --- giving up --------------------------------------------------------------------------------------------------------

#[test]
fn a_queued_job_that_is_cancelled_never_runs_and_one_that_runs_is_told() {
    let (lp, _pool, jobs) = joined(1);
    let told = Rc::new(Cell::new(None));
    let (gate, job) = Gate::new();
    let theirs = Rc::clone(&told);
    let running = jobs.run(Class::USER, job, move |_, done| theirs.set(Some(done.unwrap()))).unwrap();
    gate.wait_started();
    let ends: Rc<Cell<u32>> = Rc::default();
    // One is queued, the others are held back.
    let queued: Vec<_> = (0..3)
        .map(|_| {
            let ends = Rc::clone(&ends);
            let on_done = move |_: &LoopHandle, done: Result<(), _>| {
                assert!(matches!(done, Err(RequestError::Cancelled)));
                ends.set(ends.get() + 1);
            };
            jobs.run(Class::USER, |_| unreachable!("it was cancelled"), on_done).unwrap()
        })
        .collect();
    for id in queued {
        assert_eq!(jobs.cancel(id), Cancel::Cancelled);
    }
    assert_eq!(ends.get(), 0, "no callback runs inside the call");
    assert_eq!(jobs.cancel(running), Cancel::Busy);
    gate.open();
    run(&lp);
    assert_eq!((ends.get(), told.get(), jobs.cancel(running)), (3, Some(true), Cancel::Done));
}

#[test]
fn a_dropped_future_gives_up_its_job_wherever_it_is() {
    let (lp, pool, jobs) = joined(1);
    let alive = Alive::default();
    let token = alive.token();
    let finished = jobs.spawn(Class::USER, move |_| token);
    settle(&pool);
    lp.run(RunMode::NoWait).unwrap();
    drop(finished);
    assert_eq!((alive.count(), lp.request_count()), (0, 0), "its result was waiting");

    let token = alive.token();
    let delivered = jobs.spawn(Class::USER, move |_| token);
    settle(&pool);
    drop(delivered);
    assert_eq!(lp.request_count(), 0);
    lp.run(RunMode::NoWait).unwrap();
    let (gate, job) = Gate::new();
    let token = alive.token();
    let running = jobs.spawn(Class::USER, move |cx| (job(cx), token));
    gate.wait_started();
    let token = alive.token();
    let queued = jobs.spawn(Class::USER, move |_| unreachable!("{}", std::mem::size_of_val(&token)));
    drop(queued);
    drop(running);
    assert_eq!(lp.request_count(), 0, "nobody waits for either");
    gate.open();
    settle(&pool);
    lp.run(RunMode::NoWait).unwrap();
    end(&pool);
    drop(lp);
    assert_eq!(alive.count(), 0);
}

#[test]
fn what_a_job_that_is_given_up_holds_may_use_the_same_pool_when_it_is_dropped() {
    thread_local!(static JOBS: RefCell<Option<LoopPool>> = const { RefCell::new(None) });
    struct GivesAnother;
    impl Drop for GivesAnother {
        fn drop(&mut self) {
            JOBS.with_borrow(|jobs| {
                let jobs = jobs.as_ref().expect("it is dropped on the loop's thread");
                jobs.request(Class::USER).forget(|_| ()).expect("there is room");
            });
        }
    }
    let (lp, pool, jobs) = joined(1);
    let (gate, blocker) = Gate::new();
    jobs.run(Class::USER, blocker, |_, _| ()).unwrap();
    gate.wait_started();
    JOBS.set(Some(jobs.clone()));
    let holds = GivesAnother;
    let queued = jobs.spawn(Class::USER, move |_| drop(holds));
    assert_eq!(jobs.under_way().0, 2);
    drop(queued);
    assert_eq!(jobs.under_way().0, 3, "one runs, one is given up, and one was given inside of that");
    gate.open();
    run(&lp);
    JOBS.set(None);
    end(&pool);
}

#[test]
fn a_timeout_gives_up_a_job_whether_it_runs_or_waits() {
    let (lp, _pool, jobs) = joined(1);
    let (gate, job) = Gate::new();
    let running = jobs.request(Class::USER).timeout(Duration::from_millis(1)).spawn(job);
    let queued = jobs.request(Class::USER).timeout(Duration::from_millis(1)).spawn(|_| ());
    gate.wait_started();
    let log = Log::default();
    let theirs = log.clone();
    let on_done = move |_: &LoopHandle, done: Result<(), RequestError>| theirs.add(format!("{done:?}"));
    jobs.request(Class::USER).timeout(Duration::from_millis(1)).run(|_| (), on_done).unwrap();
    let (running, queued) = lp.block_on(async { (running.await, queued.await) }).unwrap();
    assert!(matches!(running, Err(RequestError::TimedOut)));
    assert!(matches!(queued, Err(RequestError::TimedOut)));
    run(&lp);
    assert_eq!(log.take(), ["Err(the job took longer than it was given)"]);
    assert!(!lp.is_alive(), "the worker is still blocked, and nobody waits for it");
    gate.open();
}

#[test]
fn a_job_that_is_in_time_stops_its_timeout() {
    let (lp, _pool, jobs) = joined(1);
    let job = jobs.request(Class::USER).timeout(PATIENCE).spawn(|_| 1);
    assert_eq!(lp.block_on(job).unwrap().unwrap(), 1);
    run(&lp);
    assert!(lp.why_alive().is_empty());
}

#[test]
fn an_abandoned_job_drops_its_callback_at_once() {
    let (lp, pool, jobs) = joined(1);
    let alive = Alive::default();
    let token = alive.token();
    let id = jobs.run(Class::USER, |_| (), move |_, _| unreachable!("{}", size_of_val(&token))).unwrap();
    jobs.abandon(id);
    assert_eq!((alive.count(), lp.request_count()), (0, 0));
    settle(&pool);
    lp.run(RunMode::NoWait).unwrap();
}

// --- life -------------------------------------------------------------------------------------------------------------

#[test]
fn a_job_keeps_the_loop_alive_unless_it_is_unreferenced() {
    let (lp, pool, jobs) = joined(1);
    let (gate, job) = Gate::new();
    let id = jobs.request(Class::USER).unref().run(job, |_, _| {}).unwrap();
    gate.wait_started();
    run(&lp);
    assert!(jobs.ref_(id) && lp.is_alive() && jobs.unref(id) && !lp.is_alive());
    gate.open();
    settle(&pool);
    lp.set_immediate(|_| {});
    lp.run(RunMode::NoWait).unwrap();
    assert!(!jobs.unref(id), "it has ended");
}

#[test]
fn a_forgotten_job_runs_and_holds_nothing() {
    let (lp, pool, jobs) = joined(1);
    let (ran, wait_ran) = channel();
    jobs.request(Class::USER).forget(move |_| ran.send(()).unwrap()).unwrap();
    wait_ran.recv_timeout(PATIENCE).unwrap();
    settle(&pool);
    assert_eq!((lp.request_count(), lp.is_alive()), (0, false));
    lp.set_immediate(|_| {});
    run(&lp);
    assert_eq!(jobs.under_way(), (0, 0));
}

#[test]
fn jobs_outlive_their_loop_pool_and_then_nothing_holds_the_loop() {
    let (lp, _pool, jobs) = joined(1);
    let seen = Rc::new(Cell::new(0));
    for _ in 0..10 {
        let seen = Rc::clone(&seen);
        jobs.run(Class::USER, |_| (), move |_, _| seen.set(seen.get() + 1)).unwrap();
    }
    let future = jobs.spawn(Class::USER, |_| 5);
    drop(jobs);
    assert_eq!(lp.block_on(future).unwrap().unwrap(), 5);
    run(&lp);
    assert_eq!(seen.get(), 10);
    lp.close().expect("port and prepare handle are released");
}

#[test]
fn a_loop_dropped_with_jobs_under_way_leaks_nothing() {
    let (lp, pool, jobs) = joined(1);
    let alive = Alive::default();
    let (gate, job) = Gate::new();
    let (in_job, in_callback, own) = (alive.token(), alive.token(), jobs.clone());
    // The callback holds the pool it was given to, as most do.
    jobs.run(Class::USER, move |cx| (job(cx), in_job), move |_, _| drop((in_callback, own))).unwrap();
    gate.wait_started();
    for _ in 0..40 {
        let (in_job, in_callback, own) = (alive.token(), alive.token(), jobs.clone());
        jobs.run(Class::USER, move |_| in_job, move |_, _| drop((in_callback, own))).unwrap();
    }
    let in_task = jobs.spawn(Class::USER, |_| ());
    lp.spawn(async move { drop(in_task.await) });
    let outside = jobs.spawn(Class::USER, |_| ());
    drop(lp);
    assert!(alive.count() <= 1, "only what runs is left, {} are", alive.count());
    assert!(matches!(jobs.run(Class::USER, |_| (), |_, _| {}), Err(SubmitError::Closed(_))));
    let mut outside = std::pin::pin!(outside);
    let polled = outside.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, std::task::Poll::Ready(Err(RequestError::Closed))));
    gate.open();
    end(&pool);
    assert_eq!(alive.count(), 0);
}

#[test]
fn a_loop_that_is_gone_is_joined_with_nothing() {
    let lp = EventLoop::new().unwrap();
    let handle = lp.handle();
    drop(lp);
    let jobs = LoopPool::new(&handle, &pool(1));
    assert!(matches!(jobs.run(Class::USER, |_| (), |_, _| {}), Err(SubmitError::Closed(_))));
}

// --- all together -----------------------------------------------------------------------------------------------------

#[test]
fn ten_thousand_jobs_with_cancels_and_drops_lose_nothing() {
    for seed in 1..=3 {
        random_jobs(seed, 10_000);
    }
}

fn random_jobs(seed: u64, count: u64) {
    let (lp, pool, jobs) = joined(1 + (seed as usize % 3));
    let (alive, mut dice) = (Alive::default(), Dice(0x9E37_79B9 * seed));
    let (given, ended) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(0_u64)));
    for number in 0..count {
        let (in_job, in_callback) = (alive.token(), alive.token());
        let job = move |_: &fs_pool::pool::JobContext<'_>| {
            assert!(number % 97 != 0, "on purpose");
            in_job
        };
        let request = jobs.request(Class::USER);
        let request = match dice.roll(8) {
            0 => request.timeout(Duration::from_micros(dice.roll(300))),
            _ => request,
        };
        if dice.roll(2) == 0 {
            given.set(given.get() + 1);
            let ended = Rc::clone(&ended);
            let on_done = move |_: &LoopHandle, _| {
                drop(in_callback);
                ended.set(ended.get() + 1);
            };
            let id = request.run(job, on_done).unwrap();
            match dice.roll(6) {
                0 => _ = jobs.cancel(id),
                1 => {
                    given.set(given.get() - 1);
                    jobs.abandon(id);
                }
                _ => {}
            }
        } else {
            let future = request.spawn(job);
            match dice.roll(4) {
                0 => drop(future),
                1 => {
                    let task = lp.spawn(future);
                    lp.set_immediate(move |_| task.abort());
                }
                _ => drop(lp.spawn(future)),
            }
        }
        if dice.roll(50) == 0 {
            lp.run(RunMode::NoWait).unwrap();
        }
    }
    run(&lp);
    assert_eq!((ended.get(), jobs.under_way()), (given.get(), (0, 0)), "seed {seed}");
    assert!(!lp.is_alive());
    end(&pool);
    lp.run(RunMode::NoWait).unwrap();
    drop(lp);
    assert_eq!(alive.count(), 0, "seed {seed}");
}
