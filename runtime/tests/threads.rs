//! Threads with loops of their own, and the ports between them.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use phaseloop::threads::{
    self, Builder, Ended, Port, PortEnd, PortError, StillRunning, WorkerError, spawn_loop,
};
use phaseloop::{LoopHandle, Outcome, RunMode};

mod loopback;
use loopback::{block_on, finish, new_loop, run};

fn room(len: usize) -> NonZeroUsize {
    len.try_into().expect("not zero")
}

#[test]
fn messages_go_both_ways_in_order_by_futures_and_by_callbacks() {
    let lp = new_loop();
    let builder = Builder::default().queue_len_max(room(10_000)); // the thread does not wait for room
    let worker = builder
        .spawn(&lp, |_, port: Port<u32, u32>| {
            port.on_message(|port, number| port.send(number + 1).expect("there is room for all"));
        })
        .unwrap();
    let port = worker.port().clone();
    lp.spawn(async move {
        for number in 0..10_000 {
            port.send_when_room(number).await.unwrap();
        }
    });
    block_on(&lp, async {
        for number in 0..10_000 {
            assert_eq!(worker.port().recv().await, Some(number + 1));
        }
        worker.port().close();
        assert_eq!(worker.join().await.unwrap(), Ended::Finished);
    });
    drop(worker);
    finish(lp);
}

#[test]
fn callbacks_get_all_messages_and_then_the_end() {
    let (lp, log) = (new_loop(), Rc::new(RefCell::new(Vec::new())));
    let worker = spawn_loop(&lp, |_, port: Port<u32, ()>| {
        (0..500).for_each(|number| port.send(number).expect("there is room"));
    })
    .unwrap();
    let (messages, closed) = (Rc::clone(&log), Rc::clone(&log));
    worker.port().on_message(move |_, number| messages.borrow_mut().push(number));
    worker.port().on_close(move |_| closed.borrow_mut().push(9_999));
    worker.on_exit(move |_, ended| assert_eq!(ended.unwrap(), Ended::Finished));
    run(&lp);
    let expected: Vec<u32> = (0..500).chain([9_999]).collect();
    assert_eq!(*log.borrow(), expected);
    drop(worker);
    finish(lp);
}

#[test]
fn a_panic_is_reported_as_a_value_wherever_it_was() {
    let lp = new_loop();
    let at_once = spawn_loop(&lp, |_, _: Port<(), ()>| panic!("in main")).unwrap();
    let later = spawn_loop(&lp, |lp: &LoopHandle, _: Port<(), ()>| {
        lp.set_immediate(|_| panic!("{} callback", "in a"));
    })
    .unwrap();
    block_on(&lp, async {
        for (worker, text) in [(at_once, "in main"), (later, "in a callback")] {
            let error = worker.join().await.unwrap_err();
            assert_eq!(error.to_string(), format!("the thread panicked: {text}"));
            assert!(worker.port().recv().await.is_none(), "its end of the port went with it");
            assert!(matches!(worker.join().await, Err(WorkerError::AlreadyTold)));
        }
    });
}

#[test]
fn a_loop_that_would_go_on_for_ever_is_stopped() {
    let lp = new_loop();
    let worker = spawn_loop(&lp, |_, port: Port<(), ()>| port.on_message(|_, ()| {})).unwrap();
    let ended = block_on(&lp, worker.terminate(Duration::from_secs(20)));
    assert_eq!(ended.unwrap().unwrap(), Ended::Stopped);
    assert!(worker.has_ended());
}

#[test]
fn code_that_does_not_return_is_said_to_run_on() {
    let lp = new_loop();
    let (release, released) = mpsc::channel::<()>();
    let worker = spawn_loop(&lp, move |_, _: Port<(), ()>| {
        // Fails when the sender is dropped, which ends it as well.
        let _ = released.recv();
    })
    .unwrap();
    let ended = block_on(&lp, worker.terminate(Duration::from_millis(1)));
    assert_eq!(ended.unwrap_err(), StillRunning);
    assert!(!worker.has_ended());
    drop(release);
    assert!(block_on(&lp, worker.join()).is_ok(), "once it returns, it ends");
}

#[test]
fn a_full_queue_gives_the_message_back() {
    let lp = new_loop();
    let (ours, theirs) = threads::channel::<String, ()>(room(2));
    let (ours, theirs) = (ours.open(&lp), theirs.open(&lp));
    ours.send("one".to_owned()).unwrap();
    ours.send("two".to_owned()).unwrap();
    let refused = ours.send("three".to_owned()).unwrap_err();
    assert_eq!(refused, PortError::Full("three".to_owned(), 2));
    block_on(&lp, async {
        let waits = ours.clone();
        let sent = lp.spawn(async move { waits.send_when_room("four".to_owned()).await });
        for expected in ["one", "two", "four"] {
            assert_eq!(theirs.recv().await.as_deref(), Some(expected));
        }
        sent.await.unwrap().unwrap();
    });
    drop(theirs);
    assert_eq!(ours.send("late".to_owned()), Err(PortError::Closed("late".to_owned())));
}

#[test]
fn an_end_of_a_channel_can_be_sent_through_a_port() {
    let lp = new_loop();
    let worker = spawn_loop(&lp, |_, port: Port<(), PortEnd<u32, u32>>| {
        port.on_message(|port, end| {
            let inner = end.open(port.lp());
            inner.on_message(|inner, number| inner.send(number * 2).expect("there is room"));
        });
    })
    .unwrap();
    let (ours, theirs) = threads::channel(room(4));
    worker.port().send(theirs).unwrap();
    let ours = ours.open(&lp);
    block_on(&lp, async {
        ours.send(21).unwrap();
        assert_eq!(ours.recv().await, Some(42));
    });
    ours.close();
    worker.port().close();
    run(&lp);
    assert!(worker.has_ended(), "a worker keeps the loop alive until it has ended");
}

#[test]
fn only_a_worker_that_is_referenced_keeps_the_loop_alive() {
    let lp = new_loop();
    let worker = spawn_loop(&lp, |_, port: Port<(), ()>| port.on_message(|_, ()| {})).unwrap();
    assert!(lp.is_alive());
    worker.unref();
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Finished);
    worker.ref_();
    worker.port().close();
    run(&lp);
    assert!(worker.has_ended());
}

#[test]
fn the_builder_says_name_stack_queue_and_loop() {
    let lp = new_loop();
    let builder = Builder::default().name("counter").stack_len(256 * 1024).queue_len_max(room(1));
    let builder = builder.event_loop(phaseloop::EventLoop::builder().virtual_time(true));
    let worker = builder
        .spawn(&lp, |lp: &LoopHandle, port: Port<String, ()>| {
            // In virtual time: an hour is over at once.
            lp.timer(Duration::from_secs(3600), move |_| {
                let name = std::thread::current().name().unwrap_or_default().to_owned();
                port.send(name).expect("there is room for one");
                assert!(matches!(
                    port.send(String::new()),
                    Err(PortError::Full(_, 1) | PortError::Closed(_))
                ));
            });
        })
        .unwrap();
    block_on(&lp, async {
        worker.join().await.unwrap();
        assert_eq!(worker.port().recv().await.as_deref(), Some("counter"));
        assert_eq!(worker.port().recv().await, None);
    });
    let refused = Builder::default().name("a\0b").spawn(&lp, |_, _: Port<(), ()>| {}).unwrap_err();
    assert!(refused.to_string().contains("a\\0b"), "{refused}");
}

#[test]
fn callbacks_that_come_after_the_other_end_left_get_its_messages_and_its_end() {
    let lp = new_loop();
    let (ours, theirs) = threads::channel::<(), u32>(room(1000));
    let (ours, theirs) = (ours.open(&lp), theirs.open(&lp));
    (0..200).for_each(|number| theirs.send(number).unwrap());
    let log = Rc::new(RefCell::new(Vec::new()));
    let closed = Rc::clone(&log);
    ours.on_close(move |_| closed.borrow_mut().push(1000));
    drop(theirs);
    run(&lp);
    assert_eq!(*log.borrow(), [1000], "nobody takes messages");
    let (late, messages) = (Rc::clone(&log), Rc::clone(&log));
    ours.on_message(move |_, number| messages.borrow_mut().push(number));
    ours.on_close(move |_| late.borrow_mut().push(1001));
    run(&lp);
    let expected: Vec<u32> = [1000].into_iter().chain(0..200).chain([1001]).collect();
    assert_eq!(*log.borrow(), expected);
    // Once more, when nothing is left.
    let last = Rc::clone(&log);
    ours.on_close(move |_| last.borrow_mut().push(1002));
    run(&lp);
    assert_eq!(log.borrow().last(), Some(&1002));
    let (value, dropped) = loopback::Dropped::new();
    ours.on_message(move |_, _| value.keep());
    assert_eq!(dropped.get(), 1, "nothing can come any more");
    finish(lp);
}

#[test]
fn to_terminate_needs_no_poll() {
    let lp = new_loop();
    let worker = spawn_loop(&lp, |_, port: Port<(), ()>| port.on_message(|_, ()| {})).unwrap();
    drop(worker.terminate(Duration::from_secs(20)));
    assert_eq!(block_on(&lp, worker.join()).unwrap(), Ended::Stopped);
}

#[test]
fn who_joins_hears_of_the_end_also_if_the_exit_callback_panics() {
    let lp = new_loop();
    let panics = Rc::new(Cell::new(0));
    let seen = Rc::clone(&panics);
    lp.on_uncaught(move |_, _| seen.set(seen.get() + 1));
    let worker = spawn_loop(&lp, |_, _: Port<(), ()>| {}).unwrap();
    worker.on_exit(|_, _| panic!("in the callback"));
    let joined = lp.spawn(worker.join());
    assert!(matches!(block_on(&lp, joined).unwrap(), Err(WorkerError::AlreadyTold)));
    assert_eq!(panics.get(), 1);
}

#[test]
fn a_thread_is_stopped_however_much_was_posted_to_it() {
    let lp = new_loop();
    let (release, released) = mpsc::channel::<()>();
    let limits = phaseloop::Limits { remote_queue_len_max: 1, ..phaseloop::Limits::default() };
    let builder = Builder::default().event_loop(phaseloop::EventLoop::builder().limits(limits));
    let main = move |_: &LoopHandle, port: Port<(), ()>| {
        port.on_message(|_, ()| {}); // holds the loop
        // Fails when the sender is dropped, which ends it as well.
        let _ = released.recv();
    };
    let worker = builder.spawn(&lp, main).unwrap();
    worker.remote().post(|_| {}).unwrap();
    assert!(worker.remote().post(|_| {}).is_err(), "it is full");
    worker.stop();
    worker.stop();
    drop(release);
    assert_eq!(block_on(&lp, worker.join()).unwrap(), Ended::Stopped);
}
