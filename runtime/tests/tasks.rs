//! Tasks: when they run, how they end, and who is told.

mod trace;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use phaseloop::{JoinError, JoinHandle, LoopHandle, TestLoop, yield_now};
use trace::{Trace, ms};

/// Logs when it is dropped.
struct Dropped(Trace, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.log(self.1);
    }
}

#[test]
fn a_task_is_a_microtask() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.queue_microtask(trace.logs("microtask before"));
    let logged = trace.clone();
    lp.spawn(async move { logged.log("task") });
    lp.queue_microtask(trace.logs("microtask behind"));
    lp.next_tick(trace.logs("tick"));
    lp.run();
    assert_eq!(trace.take(), ["tick", "microtask before", "task", "microtask behind"]);
}

#[test]
fn tasks_run_in_the_order_of_spawning() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    for line in ["a", "b", "c"] {
        let logged = trace.clone();
        lp.spawn(async move { logged.log(line) });
    }
    lp.run();
    assert_eq!(trace.take(), ["a", "b", "c"]);
}

#[test]
fn a_task_woken_by_a_timer_runs_at_the_checkpoint_behind_it() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (logged, sleep) = (trace.clone(), lp.sleep(ms(5)));
    lp.spawn(async move {
        sleep.await;
        logged.log("task");
    });
    lp.turn();
    lp.event_loop().timer(ms(6), trace.logs("timer"));
    lp.advance(ms(10));
    lp.turn();
    assert_eq!(trace.take(), ["task", "timer"]);
}

#[test]
fn a_task_that_wakes_itself_goes_on_in_the_check_phase() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let source = lp.source(trace.logs("source"));
    source.make_ready();
    let logged = trace.clone();
    lp.spawn(async move {
        logged.log("begins");
        yield_now().await;
        logged.log("goes on");
    });
    lp.turn();
    assert_eq!(trace.take(), ["begins", "source", "goes on"]);
}

#[test]
fn a_task_that_yields_for_ever_starves_neither_timers_nor_sources() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let task = lp.spawn(async {
        loop {
            yield_now().await;
        }
    });
    let source = lp.source(trace.logs("source"));
    source.make_ready();
    lp.event_loop().timer(ms(0), trace.logs("timer"));
    lp.turn();
    assert_eq!(trace.take(), ["source", "timer"]);
    task.abort();
    lp.run();
}

#[test]
fn a_join_handle_gives_the_output() {
    let lp = TestLoop::new();
    let task = lp.spawn(async {
        yield_now().await;
        7
    });
    assert_eq!(lp.event_loop().block_on(task).unwrap().unwrap(), 7);
}

#[test]
fn a_joiner_goes_on_behind_the_task_in_the_same_drain() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (inner, outer) = (trace.clone(), trace.clone());
    let task = lp.spawn(async move { inner.log("task") });
    lp.spawn(async move {
        task.await.unwrap();
        outer.log("joiner");
    });
    lp.set_immediate(trace.logs("immediate"));
    lp.turn();
    assert_eq!(trace.take(), ["task", "joiner", "immediate"]);
}

#[test]
fn dropping_the_join_handle_lets_the_task_run_on() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    let task = lp.spawn(async move {
        yield_now().await;
        logged.log("done");
    });
    task.detach();
    lp.run();
    assert_eq!(trace.take(), ["done"]);
}

#[test]
fn abort_drops_the_future_in_the_microtask_queue() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let dropped = Dropped(trace.clone(), "dropped");
    let task = lp.spawn(async move {
        let _dropped = dropped;
        pending::<()>().await;
    });
    lp.turn();
    let logged = trace.clone();
    lp.set_immediate(move |lp| {
        lp.next_tick(logged.logs("tick"));
        lp.queue_microtask(logged.logs("microtask before"));
        task.abort();
        lp.queue_microtask(logged.logs("microtask behind"));
        logged.log("aborted");
        assert!(!task.is_finished());
    });
    lp.run();
    assert_eq!(trace.take(), ["aborted", "tick", "microtask before", "dropped", "microtask behind"]);
    assert_eq!(lp.task_count(), 0);
}

#[test]
fn an_aborted_task_is_never_polled() {
    let lp = TestLoop::new();
    let task = lp.spawn(async { unreachable!("it was aborted before its first poll") });
    task.abort();
    let outcome: Result<(), _> = lp.event_loop().block_on(task).unwrap();
    assert!(outcome.unwrap_err().is_cancelled());
}

#[test]
fn abort_after_the_end_keeps_the_outcome() {
    let lp = TestLoop::new();
    let task = lp.spawn(async { 7 });
    lp.run();
    assert!(task.is_finished());
    task.abort();
    assert_eq!(lp.event_loop().block_on(task).unwrap().unwrap(), 7);
}

#[test]
fn a_task_may_abort_itself() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let own = Rc::new(RefCell::new(None::<JoinHandle<()>>));
    let (handle, dropped) = (Rc::clone(&own), Dropped(trace.clone(), "dropped"));
    let task = lp.spawn(async move {
        let _dropped = dropped;
        handle.borrow().as_ref().unwrap().abort();
        pending::<()>().await;
    });
    own.replace(Some(task));
    lp.run();
    assert_eq!(trace.take(), ["dropped"]);
    own.take();
}

#[test]
fn a_panic_becomes_a_join_error() {
    let lp = TestLoop::new();
    let task = lp.spawn(async { panic!("of the task") });
    let outcome: Result<(), JoinError> = lp.event_loop().block_on(task).unwrap();
    let error = outcome.unwrap_err();
    assert!(error.is_panic());
    assert_eq!(error.to_string(), "the task panicked: of the task");
    assert_eq!(lp.task_failures(), 0, "it was reported");
}

#[test]
fn a_panic_of_a_detached_task_is_counted_and_told() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    lp.on_task_failure(move |_, failure| logged.log(failure.message().unwrap()));
    lp.spawn(async { panic!("nobody sees") }).detach();
    lp.run();
    assert_eq!(lp.task_failures(), 1);
    assert_eq!(trace.take(), ["nobody sees"]);
}

#[test]
fn a_panic_whose_join_handle_is_dropped_unread_is_counted_too() {
    let lp = TestLoop::new();
    let task = lp.spawn(async { panic!("nobody asks") });
    lp.run();
    assert_eq!(lp.task_failures(), 0);
    let task: JoinHandle<()> = task;
    drop(task);
    assert_eq!(lp.task_failures(), 1);
}

#[test]
fn a_panic_of_a_task_does_not_reach_the_uncaught_hook() {
    let lp = TestLoop::new();
    lp.on_uncaught(|_, _| unreachable!("a task's panic is its outcome"));
    lp.spawn(async { panic!("of the task") }).detach();
    lp.run();
}

#[test]
fn a_wake_during_the_poll_is_not_lost() {
    let lp = TestLoop::new();
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    lp.spawn(poll_fn(move |cx| {
        counted.set(counted.get() + 1);
        cx.waker().wake_by_ref();
        cx.waker().wake_by_ref();
        if counted.get() < 3 { Poll::Pending } else { Poll::Ready(()) }
    }));
    lp.run();
    assert_eq!(polls.get(), 3);
}

#[test]
fn several_wakes_before_the_poll_make_one_poll() {
    let lp = TestLoop::new();
    let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let (counted, kept) = (Rc::clone(&polls), Rc::clone(&waker));
    let task = lp.spawn(poll_fn(move |cx| {
        counted.set(counted.get() + 1);
        kept.replace(Some(cx.waker().clone()));
        Poll::<()>::Pending
    }));
    lp.turn();
    for _ in 0..3 {
        waker.borrow().as_ref().unwrap().wake_by_ref();
    }
    lp.turn();
    assert_eq!(polls.get(), 2);
    task.abort();
    lp.turn();
    waker.take();
}

#[test]
fn a_waker_that_outlives_its_task_does_nothing() {
    let lp = TestLoop::new();
    let waker = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&waker);
    lp.spawn(poll_fn(move |cx| {
        kept.replace(Some(cx.waker().clone()));
        Poll::Ready(())
    }));
    lp.run();
    let waker = waker.take().unwrap();
    waker.wake_by_ref();
    std::thread::spawn(move || waker.wake()).join().unwrap();
    assert!(!lp.is_alive());
    lp.turn();
}

#[test]
fn a_task_woken_by_another_thread_runs_in_the_poll_phase() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (logged, mut first) = (trace.clone(), true);
    lp.spawn(poll_fn(move |cx| {
        if std::mem::take(&mut first) {
            let waker = cx.waker().clone();
            std::thread::spawn(move || waker.wake()).join().unwrap();
            return Poll::Pending;
        }
        logged.log("woken");
        Poll::Ready(())
    }));
    lp.set_immediate(trace.logs("check"));
    lp.turn();
    assert_eq!(trace.take(), ["woken", "check"]);
}

#[test]
fn a_future_that_spawns_in_its_drop_does_no_harm() {
    struct SpawnsInDrop(LoopHandle, Trace);
    impl Drop for SpawnsInDrop {
        fn drop(&mut self) {
            let trace = self.1.clone();
            self.0.spawn(async move { trace.log("spawned in drop") });
        }
    }
    impl Future for SpawnsInDrop {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let task = lp.spawn(SpawnsInDrop(lp.event_loop().handle(), trace.clone()));
    lp.turn();
    task.abort();
    lp.run();
    assert_eq!(trace.take(), ["spawned in drop"]);
}

#[test]
fn why_alive_names_the_line_that_spawned() {
    let lp = TestLoop::new();
    let line = line!() + 1;
    let task = lp.spawn(pending::<()>());
    assert!(lp.why_alive()[0].contains(&format!("tests/tasks.rs:{line}")));
    task.abort();
    lp.run();
}

// --- block_on ---------------------------------------------------------------------------------------------------------

#[test]
fn block_on_takes_a_future_that_borrows() {
    let lp = TestLoop::new();
    let (text, mut count) = (String::from("borrowed"), 0);
    let len = lp.event_loop().block_on(async {
        yield_now().await;
        count += 1;
        text.len()
    });
    assert_eq!((len.unwrap(), count), (8, 1));
}

#[test]
fn block_on_leaves_other_work_in_the_loop() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.event_loop().timer(ms(50), trace.logs("timer"));
    lp.event_loop().block_on(yield_now()).unwrap();
    assert!(trace.take().is_empty());
    lp.run();
    assert_eq!(trace.take(), ["timer"]);
}

#[test]
fn block_on_passes_a_panic_of_the_future_on() {
    let lp = TestLoop::new();
    let panicking = std::panic::AssertUnwindSafe(|| lp.event_loop().block_on(async { panic!("through") }));
    let payload = std::panic::catch_unwind(panicking).map(|result: std::io::Result<()>| result).unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "through");
    assert_eq!(lp.task_failures(), 0);
    assert_eq!(lp.event_loop().block_on(async { 1 }).unwrap(), 1);
}

#[test]
fn a_panic_of_a_callback_leaves_block_on_and_drops_its_future() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.set_immediate(|_| panic!("of a callback"));
    let dropped = Dropped(trace.clone(), "dropped");
    let panicking = std::panic::AssertUnwindSafe(|| {
        lp.event_loop().block_on(async {
            let _dropped = dropped;
            pending::<()>().await;
        })
    });
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(trace.take(), ["dropped"]);
    lp.run();
    assert_eq!(lp.task_count(), 0);
}

#[test]
fn block_on_in_a_callback_panics_with_advice() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    lp.on_uncaught(move |_, uncaught| logged.log(uncaught.message().unwrap()));
    lp.immediate(|lp| {
        let _ = lp.event_loop().block_on(async {});
    });
    lp.run();
    assert!(trace.take()[0].contains("a callback must not run it again, spawn a task instead"));
    assert_eq!(lp.task_count(), 0);
}

#[test]
fn stop_inside_block_on_does_not_end_it() {
    let lp = TestLoop::new();
    let handle = lp.event_loop().handle();
    let done = lp.event_loop().block_on(async move {
        handle.stop();
        yield_now().await;
        true
    });
    assert!(done.unwrap());
}

#[test]
fn block_on_leaves_no_stop_behind() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.event_loop().block_on(async {}).unwrap();
    lp.set_immediate(trace.logs("immediate"));
    lp.event_loop().run(phaseloop::RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["immediate"]);
}

#[test]
fn a_joiners_waker_that_panics_leaves_nothing_of_the_task_behind() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("in a waker");
        }
    }
    let lp = TestLoop::new();
    lp.on_uncaught(|_, _| {});
    let mut task = lp.spawn(async { 7 });
    let waker = std::task::Waker::from(std::sync::Arc::new(Panics));
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(Pin::new(&mut task).poll(&mut cx).is_pending());
    lp.turn();
    assert_eq!(lp.task_count(), 0);
    assert!(matches!(Pin::new(&mut task).poll(&mut cx), Poll::Ready(Ok(7))));
}

#[test]
fn a_task_whose_future_and_output_panic_when_dropped_ends() {
    struct Panics(&'static str);
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }
    struct Ready {
        _dropped: Panics,
    }
    impl Future for Ready {
        type Output = Panics;
        fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Panics> {
            Poll::Ready(Panics("the output"))
        }
    }
    let lp = TestLoop::new();
    let mut task = lp.spawn(Ready { _dropped: Panics("the future") });
    lp.turn();
    assert_eq!(lp.task_count(), 0);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(Err(error)) = Pin::new(&mut task).poll(&mut cx) else { panic!("it has not ended") };
    assert_eq!(error.to_string(), "the task panicked: the future");
}

#[test]
fn a_panic_that_leaves_block_on_does_not_stop_the_next_run() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.set_immediate(|_| panic!("of a callback"));
    let panicking = std::panic::AssertUnwindSafe(|| lp.event_loop().block_on(pending::<()>()));
    assert!(std::panic::catch_unwind(panicking).is_err());
    lp.set_immediate(trace.logs("immediate"));
    lp.event_loop().run(phaseloop::RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["immediate"]);
}

#[test]
fn block_on_fails_once_the_program_has_ended() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.set_immediate(|lp| lp.end(3));
    let dropped = Dropped(trace.clone(), "dropped");
    let ended = lp.event_loop().block_on(async {
        let _dropped = dropped;
        pending::<()>().await;
    });
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::Other);
    assert_eq!(trace.take(), ["dropped"]);
    assert!(lp.event_loop().block_on(async {}).is_err());
}
