//! A loop that sleeps in a tokio runtime: both sides work, neither starves, and nothing is lost between them.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::cell::{Cell, RefCell};
use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use phaseloop::net::{ReadEvent, TcpListener, TcpStream};
use phaseloop::tokio_host::TokioParker;
use phaseloop::{EventLoop, Idle, Limits, LoopBound, LoopHandle, Prepare, RunMode, Timer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use trace::{Trace, ms};

/// More turns than any of these tests needs: what would go on for ever fails instead.
const TURNS_MAX: usize = 10_000;

fn tokio_loop() -> EventLoop {
    EventLoop::builder().with_tokio().unwrap().build().unwrap()
}

#[test]
fn tasks_sleeps_and_blocking_work_of_tokio_run_on_the_loops_thread() {
    let lp = tokio_loop();
    let here = thread::current().id();
    lp.block_on(async {
        let spawned = tokio::spawn(async move {
            tokio::time::sleep(ms(1)).await;
            thread::current().id()
        });
        assert_eq!(spawned.await.unwrap(), here);
        let elsewhere = tokio::task::spawn_blocking(|| thread::current().id()).await.unwrap();
        assert_ne!(elsewhere, here);
        phaseloop::sleep(ms(1)).await;
    })
    .unwrap();
}

#[test]
fn a_tokio_stream_talks_to_a_listener_of_the_loop() {
    let lp = tokio_loop();
    let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    lp.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut buf = [0; 64];
        while let Ok(len @ 1..) = stream.read(&mut buf).await {
            stream.write_all(&buf[..len]).await.unwrap();
        }
    })
    .detach();
    lp.block_on(async {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        for round in 0..100_u8 {
            stream.write_all(&[round; 8]).await.unwrap();
            let mut buf = [0; 8];
            stream.read_exact(&mut buf).await.unwrap();
            assert_eq!(buf, [round; 8]);
        }
    })
    .unwrap();
}

#[test]
fn a_local_set_spawns_futures_that_are_not_send() {
    let lp = tokio_loop();
    let shared = Rc::new(Cell::new(0));
    let inside = Rc::clone(&shared);
    lp.block_on(tokio::task::LocalSet::new().run_until(async move {
        tokio::task::spawn_local(async move {
            tokio::task::yield_now().await;
            inside.set(7);
        })
        .await
        .unwrap();
    }))
    .unwrap();
    assert_eq!(shared.get(), 7);
}

#[test]
fn a_task_that_tokio_woke_runs_in_poll_before_what_the_driver_reports() {
    let (lp, trace) = (tokio_loop(), Trace::default());
    let (sender, receiver) = oneshot::channel();
    let woken = trace.clone();
    lp.spawn(async move {
        receiver.await.unwrap();
        woken.log("task");
        phaseloop::next_tick(woken.logs("its tick"));
    })
    .detach();
    lp.set_immediate(trace.logs("immediate before"));
    lp.run(RunMode::NoWait).unwrap(); // the task waits
    let prepare = Prepare::new(&lp);
    prepare.start(trace.logs("prepare")).unwrap();
    prepare.unref();
    lp.block_on(async {
        tokio::spawn(async move { sender.send(()).unwrap() }).await.unwrap();
    })
    .unwrap();
    lp.set_immediate(trace.logs("immediate after"));
    lp.run(RunMode::NoWait).unwrap();
    let lines = trace.take();
    assert_eq!(lines, ["immediate before", "prepare", "task", "its tick", "prepare", "immediate after"]);
}

#[test]
fn code_of_tokio_reaches_the_loop_that_it_runs_on() {
    let (lp, done) = (tokio_loop(), Rc::new(Cell::new(false)));
    let finished = Rc::clone(&done);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let alive = lp.begin_request(); // else the loop has no reason to sleep
    lp.next_tick(move |_| {
        tokio::spawn(async move {
            tokio::time::sleep(ms(1)).await; // the loop sleeps for ever now
            phaseloop::set_timeout(ms(1), move |_| sender.send("timeout").unwrap());
        });
    });
    lp.spawn(async move {
        assert_eq!(receiver.recv().await, Some("timeout"));
        finished.set(true);
        drop(alive);
    })
    .detach();
    lp.run(RunMode::Default).unwrap();
    assert!(done.get());
}

#[test]
fn code_of_tokio_reaches_the_loop_through_a_value_that_is_bound_to_it() {
    let (lp, in_time) = (tokio_loop(), Rc::new(Cell::new(false)));
    let guard = lp.timer(ms(20_000), |_| {});
    let told = Rc::clone(&in_time);
    let sets = LoopBound::new(&lp, move |lp: &LoopHandle| {
        let told = Rc::clone(&told);
        lp.timer(ms(1), move |lp| {
            // A loop that slept until the guard finds both of them due.
            told.set(lp.timer_due_in(guard).is_some_and(|left| !left.is_zero()));
            lp.stop_timer(guard);
        });
    });
    let bound = LoopBound::new(&lp, lp.handle());
    lp.next_tick(move |_| {
        tokio::spawn(async move {
            tokio::time::sleep(ms(1)).await; // the loop sleeps for long now
            (sets.get())(bound.get());
        });
    });
    lp.run(RunMode::Default).unwrap();
    assert!(in_time.get());
}

#[test]
fn a_busy_loop_does_not_starve_tokio() {
    let lp = tokio_loop();
    let idle = Idle::new(&lp);
    let turns = Rc::new(Cell::new(0));
    let counted = Rc::clone(&turns);
    idle.start(move |_| {
        counted.set(counted.get() + 1);
        assert!(counted.get() < TURNS_MAX, "tokio gets no slice");
    })
    .unwrap();
    lp.block_on(async {
        let (mut ours, mut theirs) = tokio::io::duplex(8);
        let echo = tokio::spawn(async move {
            let mut buf = [0; 1];
            while theirs.read_exact(&mut buf).await.is_ok() {
                theirs.write_all(&buf).await.unwrap();
            }
        });
        for _ in 0..50 {
            ours.write_all(b"x").await.unwrap();
            ours.read_exact(&mut [0; 1]).await.unwrap();
        }
        drop(ours);
        echo.await.unwrap();
    })
    .unwrap();
    idle.close();
}

#[test]
fn a_loop_with_nothing_but_immediates_gives_tokio_its_slice() {
    fn again(lp: &LoopHandle, left: usize, done: Arc<AtomicBool>) {
        assert!(left > 0, "tokio gets no slice");
        if !done.load(Ordering::Relaxed) {
            lp.set_immediate(move |lp| again(lp, left - 1, done));
        }
    }
    let lp = tokio_loop();
    let done = Arc::new(AtomicBool::new(false));
    let (seen, finishes) = (Arc::clone(&done), Arc::clone(&done));
    lp.set_immediate(move |lp| again(lp, TURNS_MAX, seen));
    lp.next_tick(move |_| {
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            finishes.store(true, Ordering::Relaxed);
        });
    });
    lp.run(RunMode::Default).unwrap();
    assert!(done.load(Ordering::Relaxed));
}

#[test]
fn busy_tasks_of_tokio_do_not_starve_the_loop() {
    let lp = tokio_loop();
    let stop = Arc::new(AtomicBool::new(false));
    let polls = Arc::new(AtomicUsize::new(0));
    let (seen, counted) = (Arc::clone(&stop), Arc::clone(&polls));
    lp.next_tick(move |_| {
        tokio::spawn(async move {
            while !seen.load(Ordering::Relaxed) {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
    });
    lp.timer(ms(2), move |_| stop.store(true, Ordering::Relaxed));
    lp.run(RunMode::Default).unwrap();
    assert!(polls.load(Ordering::Relaxed) > 0);
}

#[test]
fn other_threads_end_the_sleep() {
    let (lp, count) = (tokio_loop(), Arc::new(AtomicUsize::new(0)));
    let alive = lp.begin_request();
    let counts = Arc::clone(&count);
    let remote = lp.remote();
    let thread = thread::spawn(move || {
        for _ in 0..100 {
            let counts = Arc::clone(&counts);
            let count = move |_: &LoopHandle| _ = counts.fetch_add(1, Ordering::Relaxed);
            assert!(remote.post(count).is_ok());
        }
        assert!(remote.post(LoopHandle::stop).is_ok());
    });
    lp.run(RunMode::Default).unwrap();
    thread.join().unwrap();
    drop(alive);
    assert_eq!(count.load(Ordering::Relaxed), 100);
}

#[test]
fn more_events_than_a_wait_reports_are_all_seen() {
    let limits =
        Limits { events_per_wait: NonZeroUsize::MIN, waits_per_poll: NonZeroU32::MIN, ..Limits::default() };
    let lp = EventLoop::builder().limits(limits).with_tokio().unwrap().build().unwrap();
    let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let received = Rc::new(Cell::new(0));
    let counts = Rc::clone(&received);
    lp.block_on(async {
        for _ in 0..10 {
            let (stream, _) = futures::join!(TcpStream::connect(&lp, addr), async {
                let (accepted, _) = listener.accept().await.unwrap();
                let counts = Rc::clone(&counts);
                lp.spawn(async move {
                    let mut buf = [0; 8];
                    while let Ok(len @ 1..) = accepted.read(&mut buf).await {
                        counts.set(counts.get() + len);
                    }
                })
                .detach();
            });
            let stream = stream.unwrap();
            stream.write_all(b"12345678").await.unwrap();
        }
    })
    .unwrap();
    drop(listener);
    lp.run(RunMode::Default).unwrap();
    assert_eq!(received.get(), 80);
}

#[test]
fn a_panic_leaves_both_usable() {
    let lp = tokio_loop();
    lp.set_immediate(|_| panic!("in a callback"));
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lp.run(RunMode::Default)));
    assert!(unwound.is_err());
    let value = lp.block_on(async { tokio::spawn(async { 5 }).await.unwrap() }).unwrap();
    assert_eq!(value, 5);
}

#[test]
fn dropping_the_loop_drops_what_tokio_runs_and_lets_it_clean_up() {
    struct SpawnsWhenDropped(Arc<AtomicUsize>);

    impl Drop for SpawnsWhenDropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            drop(tokio::spawn(async {})); // as drivers do to give a connection back
        }
    }

    let lp = tokio_loop();
    let drops = Arc::new(AtomicUsize::new(0));
    let (ours, theirs) = (SpawnsWhenDropped(Arc::clone(&drops)), Arc::clone(&drops));
    lp.spawn(async move {
        let _ours = ours;
        std::future::pending::<()>().await;
    })
    .detach();
    lp.next_tick(move |_| {
        tokio::spawn(async move {
            let _theirs = Counted(theirs);
            std::future::pending::<()>().await;
        });
    });
    lp.run(RunMode::NoWait).unwrap();
    drop(lp);
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn two_loops_on_two_threads_each_have_their_tokio() {
    let threads: Vec<_> = (0..2)
        .map(|number| {
            thread::spawn(move || {
                let lp = tokio_loop();
                lp.block_on(async { tokio::spawn(async move { number }).await.unwrap() }).unwrap()
            })
        })
        .collect();
    let numbers: Vec<i32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(numbers, [0, 1]);
}

#[test]
fn a_loop_moves_to_its_thread_before_it_begins() {
    let prepared = EventLoop::builder().with_tokio().unwrap().prepare().unwrap();
    let thread = thread::spawn(move || {
        prepared.into_loop().block_on(async { tokio::spawn(async { 1 }).await.unwrap() }).unwrap()
    });
    assert_eq!(thread.join().unwrap(), 1);
}

#[test]
fn what_can_not_be_a_host_is_refused() {
    let inside = tokio::runtime::Builder::new_current_thread().build().unwrap();
    inside.block_on(async {
        let error = EventLoop::builder().with_tokio().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("#[tokio::main]"), "{error}");
    });
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let error = TokioParker::with_runtime(threads).unwrap_err();
    assert!(error.to_string().contains("current-thread"), "{error}");
    let error = EventLoop::builder().virtual_time(true).with_tokio().unwrap().build().unwrap_err();
    assert!(error.to_string().contains("virtual time"), "{error}");
    let error = tokio_loop().backend_fd().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn callbacks_and_handles_work_as_without_a_host() {
    let (lp, trace) = (tokio_loop(), Trace::default());
    let logs = trace.clone();
    lp.set_timeout(ms(1), move |lp| {
        logs.log("timeout");
        lp.set_immediate(logs.logs("immediate"));
        lp.queue_microtask(logs.logs("microtask"));
        lp.next_tick(logs.logs("tick"));
        Timer::new(lp).close_with(logs.logs("close"));
    });
    lp.run(RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["timeout", "tick", "microtask", "immediate", "close"]);
    let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hears = Rc::clone(&heard);
    lp.block_on(async {
        let (client, server) = futures::join!(TcpStream::connect(&lp, addr), listener.accept());
        let (client, server) = (client.unwrap(), server.unwrap().0);
        let (ended, wait) = oneshot::channel::<()>();
        let mut ended = Some(ended);
        server
            .read_start(move |_, event| match event {
                ReadEvent::Data(data) => hears.borrow_mut().extend_from_slice(data),
                _ => drop(ended.take()),
            })
            .unwrap();
        client.write_all(b"hello").await.unwrap();
        drop(client);
        assert!(wait.await.is_err()); // the end of the stream
    })
    .unwrap();
    assert_eq!(*heard.borrow(), b"hello");
}
