//! Other threads: wakeups, posted closures, remote spawns and ports.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use phaseloop::request::Port;
use phaseloop::{EventLoop, Limits, Outcome, RemoteError, RunMode, Schedule, TestLoop, Wakeup};
use trace::Trace;

#[test]
fn sends_coalesce() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let wakeup = Wakeup::new(&lp, trace.logs("woken"));
    let sender = wakeup.sender();
    for _ in 0..10 {
        sender.send().unwrap();
    }
    lp.turn();
    lp.turn();
    assert_eq!(trace.take(), ["woken"]);
}

#[test]
fn a_send_inside_the_callback_is_not_lost() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (logged, mut left) = (trace.clone(), 3);
    let wakeup = Wakeup::new(&lp, move |wakeup| {
        logged.log("woken");
        left -= 1;
        if left > 0 {
            wakeup.sender().send().unwrap();
        }
    });
    wakeup.sender().send().unwrap();
    for _ in 0..5 {
        lp.turn();
    }
    assert_eq!(trace.take(), ["woken"; 3]);
}

#[test]
fn the_callback_runs_at_least_once_after_the_last_send() {
    let lp = EventLoop::new().unwrap();
    let (sent, seen) = (Arc::new(AtomicUsize::new(0)), Rc::new(Cell::new(0)));
    let (counter, last) = (Arc::clone(&sent), Rc::clone(&seen));
    let wakeup = Wakeup::new(&lp, move |wakeup| {
        last.set(counter.load(Ordering::SeqCst));
        if last.get() == 4_000 {
            wakeup.close();
        }
    });
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (sender, sent) = (wakeup.sender(), Arc::clone(&sent));
            thread::spawn(move || {
                for _ in 0..1_000 {
                    sent.fetch_add(1, Ordering::SeqCst);
                    sender.send().unwrap();
                }
            })
        })
        .collect();
    lp.run(RunMode::Default).unwrap();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(seen.get(), 4_000);
}

#[test]
fn a_wakeup_that_was_closed_takes_the_call_and_does_nothing() {
    let lp = TestLoop::new();
    let wakeup = Wakeup::new(&lp, |_| unreachable!("it was closed"));
    let sender = wakeup.sender();
    sender.send().unwrap();
    wakeup.close();
    lp.run();
    sender.send().unwrap();
    let _alive = lp.begin_request();
    lp.turn();
}

#[test]
fn a_send_to_a_loop_that_is_gone_says_so() {
    let lp = TestLoop::new();
    let wakeup = Wakeup::new(&lp, |_| {});
    let sender = wakeup.sender();
    drop((lp, wakeup));
    assert!(sender.send().unwrap_err().is_closed());
    assert!(sender.send().unwrap_err().is_closed(), "also the second time");
}

#[test]
fn posts_of_many_threads_run_in_order_for_each_thread() {
    const THREADS: usize = 4;
    const POSTS: usize = 500;
    let lp = EventLoop::new().unwrap();
    let counts: Arc<Vec<AtomicUsize>> = Arc::new((0..THREADS).map(|_| AtomicUsize::new(0)).collect());
    let threads: Vec<_> = (0..THREADS)
        .map(|index| {
            let (remote, counts) = (lp.remote(), Arc::clone(&counts));
            thread::spawn(move || {
                for number in 0..POSTS {
                    let counts = Arc::clone(&counts);
                    let count = move |lp: &phaseloop::LoopHandle| {
                        assert_eq!(counts[index].fetch_add(1, Ordering::Relaxed), number);
                        if counts.iter().all(|count| count.load(Ordering::Relaxed) == POSTS) {
                            lp.stop();
                        }
                    };
                    remote.post(count).unwrap();
                }
            })
        })
        .collect();
    let _alive = lp.begin_request();
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Stopped);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn each_posted_closure_has_its_own_checkpoint() {
    let (lp, log) = (TestLoop::new(), Arc::new(shared::Log::default()));
    let _alive = lp.begin_request();
    for line in ["one", "two"] {
        let log = Arc::clone(&log);
        lp.remote()
            .post(move |lp| {
                log.push(line);
                lp.next_tick(move |_| log.push("tick"));
            })
            .unwrap();
    }
    lp.turn();
    assert_eq!(log.take(), ["one", "tick", "two", "tick"]);
}

/// A log for closures that must be `Send`.
mod shared {
    use std::sync::Mutex;

    #[derive(Default)]
    pub(super) struct Log(Mutex<Vec<&'static str>>);

    impl Log {
        pub(super) fn push(&self, line: &'static str) {
            self.0.lock().unwrap().push(line);
        }

        pub(super) fn take(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }
}

#[test]
fn what_is_posted_to_a_loop_that_nothing_else_holds_runs_with_the_next_run() {
    for mode in [RunMode::Default, RunMode::Once, RunMode::NoWait] {
        let (lp, ran) = (EventLoop::new().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&ran);
        lp.remote()
            .post(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        assert_eq!(lp.run(mode).unwrap(), Outcome::Finished);
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_closed_loop_gives_the_work_back() {
    let lp = EventLoop::new().unwrap();
    let remote = lp.remote();
    assert!(!remote.is_closed());
    drop(lp);
    assert!(remote.is_closed());
    let (sender, receiver) = mpsc::channel();
    let refused = remote.post(move |_| sender.send(7).unwrap()).unwrap_err();
    assert!(refused.is_closed());
    let work = refused.into_inner();
    work(&EventLoop::new().unwrap());
    assert_eq!(receiver.recv(), Ok(7));
    remote.wake(); // and nothing comes of it
}

#[test]
fn a_full_queue_gives_the_work_back() {
    let limits = Limits { remote_queue_len_max: 2, ..Limits::default() };
    let lp = EventLoop::builder().limits(limits).build().unwrap();
    let _alive = lp.begin_request();
    let remote = lp.remote();
    remote.post(|_| {}).unwrap();
    remote.post(|_| {}).unwrap();
    assert!(matches!(remote.post(|_| {}), Err(RemoteError::Full(_))));
    lp.run(RunMode::NoWait).unwrap();
    remote.post(|_| {}).unwrap();
}

#[test]
fn a_remote_spawn_makes_its_future_on_the_loops_thread() {
    let lp = EventLoop::new().unwrap();
    let _alive = lp.begin_request();
    let here = thread::current().id();
    let remote = lp.remote();
    thread::spawn(move || {
        remote.spawn(move |lp| {
            let (not_send, lp) = (Rc::new(here), lp.clone());
            async move {
                phaseloop::yield_now().await;
                assert_eq!(*not_send, thread::current().id());
                lp.stop();
            }
        })
    })
    .join()
    .unwrap()
    .unwrap();
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Stopped);
    assert_eq!(lp.task_failures(), 0);
}

#[test]
fn wake_ends_the_wait() {
    let lp = EventLoop::new().unwrap();
    let _alive = lp.begin_request();
    let remote = lp.remote();
    let reader = lp.metrics_reader();
    let waker = thread::spawn(move || {
        while !reader.is_waiting() {
            thread::yield_now();
        }
        remote.wake();
    });
    assert_eq!(lp.run(RunMode::Once).unwrap(), Outcome::Alive);
    waker.join().unwrap();
}

#[test]
fn wakes_coalesce() {
    let lp = EventLoop::new().unwrap();
    let _alive = lp.begin_request();
    let remote = lp.remote();
    for _ in 0..1000 {
        remote.wake();
    }
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(lp.metrics().events, 1);
}

#[test]
fn a_prepared_loop_moves_to_another_thread_with_what_was_posted() {
    let prepared = EventLoop::builder().prepare().unwrap();
    let remote = prepared.remote();
    let (sender, receiver) = mpsc::channel();
    remote.post(move |_| sender.send(thread::current().id()).unwrap()).unwrap();
    let runner = thread::spawn(move || {
        let lp = prepared.into_loop();
        lp.run(RunMode::Default).unwrap();
        thread::current().id()
    });
    assert_eq!(runner.join().unwrap(), receiver.recv().unwrap());
}

#[test]
fn a_prepared_loop_that_never_begins_gives_the_work_back() {
    let prepared = EventLoop::builder().prepare().unwrap();
    let remote = prepared.remote();
    drop(prepared);
    assert!(remote.is_closed());
    assert!(remote.post(|_| {}).unwrap_err().is_closed());
}

// --- ports ------------------------------------------------------------------------------------------------------------

/// Sends 1 to 3 and logs each with a tick behind it.
fn completions(schedule: Schedule) -> Vec<String> {
    let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
    let _alive = lp.begin_request();
    let logged = trace.clone();
    let port = Port::new(&lp, move |lp, number: u32| {
        logged.log(number.to_string());
        lp.next_tick(logged.logs("tick"));
    });
    let sender = port.sender();
    let mut batch = vec![1, 2];
    sender.send_batch(&mut batch).unwrap();
    assert!(batch.is_empty());
    sender.send(3).unwrap();
    lp.set_immediate(trace.logs("check"));
    lp.turn();
    trace.take()
}

#[test]
fn a_batch_of_completions_runs_in_one_poll_phase_with_a_checkpoint_after_each() {
    assert_eq!(completions(Schedule::node26()), ["1", "tick", "2", "tick", "3", "tick", "check"]);
}

#[test]
fn in_the_textbook_completions_run_in_the_pending_phase() {
    let mut lines = completions(Schedule::textbook());
    lines.retain(|line| line != "tick");
    assert_eq!(lines, ["1", "2", "3", "check"]);
}

#[test]
fn completions_of_several_threads_come_in_the_order_of_each() {
    let lp = EventLoop::new().unwrap();
    let last = Rc::new([const { Cell::new(0) }; 3]);
    let seen = Rc::clone(&last);
    let port = Port::new(&lp, move |lp, (thread, number): (usize, u32)| {
        assert_eq!(seen[thread].replace(number), number - 1);
        if seen.iter().all(|last| last.get() == 300) {
            lp.stop();
        }
    });
    let _alive = lp.begin_request();
    let threads: Vec<_> = (0..3)
        .map(|index| {
            let sender = port.sender();
            thread::spawn(move || (1..=300).for_each(|number| sender.send((index, number)).unwrap()))
        })
        .collect();
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Stopped);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_port_whose_loop_is_gone_gives_completions_back() {
    let lp = TestLoop::new();
    let port = Port::new(&lp, |_, _: u32| {});
    let sender = port.sender();
    sender.send(1).unwrap();
    drop((lp, port));
    assert_eq!(sender.send(2).unwrap_err().into_inner(), 2);
    let mut batch = vec![3, 4];
    assert!(sender.send_batch(&mut batch).unwrap_err().is_closed());
    assert_eq!(batch, [3, 4]);
}

#[test]
fn what_is_sent_to_a_closed_port_is_given_back() {
    let lp = TestLoop::new();
    let port = Port::new(&lp, |_, _: Arc<()>| unreachable!("it was closed"));
    let (sender, completion) = (port.sender(), Arc::new(()));
    sender.send(Arc::clone(&completion)).unwrap();
    port.close();
    lp.run();
    assert_eq!(Arc::strong_count(&completion), 1, "what was sent before is dropped");
    let refused = sender.send(Arc::clone(&completion)).unwrap_err();
    assert!(Arc::ptr_eq(&refused.into_inner(), &completion));
}

#[test]
fn a_completion_that_closes_the_port_is_the_last() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let _alive = lp.begin_request();
    let port: Rc<RefCell<Option<Port<u32>>>> = Rc::default();
    let (own, logged) = (Rc::clone(&port), trace.clone());
    port.replace(Some(Port::new(&lp, move |_, number: u32| {
        logged.log(number.to_string());
        own.borrow().iter().for_each(Port::close);
    })));
    let sender = port.borrow().as_ref().unwrap().sender();
    sender.send_batch(&mut vec![1, 2, 3]).unwrap();
    lp.turn();
    assert_eq!(trace.take(), ["1"]);
    port.take();
}
