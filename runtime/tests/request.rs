//! Requests and ports: what a pool brings back, when and how.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use phaseloop::request::{Port, PortBell, PullPort};
use phaseloop::{EventLoop, LoopHandle, RunMode, Schedule};

type Log = Rc<RefCell<Vec<String>>>;

fn log(log: &Log, line: impl Into<String>) {
    log.borrow_mut().push(line.into());
}

/// A port that pulls numbers from a list, and the list.
fn numbers(
    lp: &LoopHandle,
    mut on_number: impl FnMut(&LoopHandle, u32) + 'static,
) -> (PullPort, Arc<Mutex<Vec<u32>>>) {
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&arrived);
    let pull = move |into: &mut Vec<u32>| into.append(&mut theirs.lock().unwrap());
    (PullPort::new(lp, pull, move |lp, number| on_number(lp, number)), arrived)
}

fn bring(arrived: &Arc<Mutex<Vec<u32>>>, bell: &PortBell, numbers: &[u32]) {
    arrived.lock().unwrap().extend(numbers);
    bell.ring();
}

#[test]
fn each_pulled_completion_has_a_checkpoint_of_its_own() {
    let lp = EventLoop::new().unwrap();
    let seen = Log::default();
    let theirs = Rc::clone(&seen);
    let (port, arrived) = numbers(&lp, move |lp, number| {
        log(&theirs, format!("completion {number}"));
        let theirs = Rc::clone(&theirs);
        lp.next_tick(move |_| log(&theirs, format!("tick {number}")));
    });
    let immediate = Rc::clone(&seen);
    lp.set_immediate(move |_| log(&immediate, "immediate"));
    bring(&arrived, &port.bell(), &[1, 2]);
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(*seen.borrow(), ["completion 1", "tick 1", "completion 2", "tick 2", "immediate"]);
}

#[test]
fn a_bell_rung_by_another_thread_ends_the_wait() {
    let lp = EventLoop::new().unwrap();
    let work = RefCell::new(Some(lp.begin_request()));
    let (port, arrived) = numbers(&lp, move |_, _| drop(work.take()));
    let bell = port.bell();
    let thread = std::thread::spawn(move || bring(&arrived, &bell, &[1]));
    lp.run(RunMode::Default).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_port_alone_does_not_keep_the_loop_alive() {
    let lp = EventLoop::new().unwrap();
    let _port = numbers(&lp, |_, _| {});
    lp.run(RunMode::Default).unwrap();
    assert!(!lp.is_alive());
}

#[test]
fn a_panic_that_leaves_run_loses_nothing_of_the_batch() {
    for schedule in [Schedule::node26(), Schedule::textbook()] {
        let lp = EventLoop::builder().schedule(schedule).build().unwrap();
        let seen = Log::default();
        let theirs = Rc::clone(&seen);
        let (port, arrived) = numbers(&lp, move |_, number| {
            log(&theirs, number.to_string());
            assert_ne!(number, 2, "on purpose");
        });
        bring(&arrived, &port.bell(), &[1, 2, 3, 4]);
        let turn = || lp.run(RunMode::NoWait).map(|_| ());
        let _work = lp.begin_request();
        let mut panics = 0;
        for _ in 0..4 {
            panics += u32::from(catch_unwind(AssertUnwindSafe(turn)).is_err());
        }
        assert_eq!((panics, seen.borrow().join(" ")), (1, "1 2 3 4".into()));
    }
}

#[test]
fn a_panic_that_the_hook_takes_stops_nothing() {
    let lp = EventLoop::new().unwrap();
    lp.on_uncaught(|_, _| {});
    let seen = Log::default();
    let theirs = Rc::clone(&seen);
    let (port, arrived) = numbers(&lp, move |_, number| {
        log(&theirs, number.to_string());
        assert_ne!(number, 1, "on purpose");
    });
    bring(&arrived, &port.bell(), &[1, 2, 3]);
    let _work = lp.begin_request();
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(*seen.borrow(), ["1", "2", "3"]);
}

#[test]
fn a_port_that_a_callback_closes_delivers_no_more() {
    let lp = EventLoop::new().unwrap();
    let (seen, port) = (Log::default(), Rc::new(RefCell::new(None::<Port<u32>>)));
    let (theirs, own) = (Rc::clone(&seen), Rc::clone(&port));
    let opened = Port::new(&lp, move |_, number: u32| {
        log(&theirs, number.to_string());
        own.borrow().as_ref().unwrap().close();
    });
    let sender = opened.sender();
    port.replace(Some(opened));
    sender.send_batch(&mut vec![1, 2, 3]).unwrap();
    let _work = lp.begin_request();
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(*seen.borrow(), ["1"]);
    assert!(sender.send(4).is_err(), "the port is released");
}

#[test]
fn the_textbook_delivers_completions_in_pending() {
    let lp = EventLoop::builder().schedule(Schedule::textbook()).build().unwrap();
    let seen = Log::default();
    let (theirs, deferred, immediate) = (Rc::clone(&seen), Rc::clone(&seen), Rc::clone(&seen));
    let (port, arrived) = numbers(&lp, move |lp, number| {
        log(&theirs, format!("completion {number}"));
        let theirs = Rc::clone(&theirs);
        lp.next_tick(move |_| log(&theirs, format!("tick {number}")));
    });
    lp.set_immediate(move |_| log(&immediate, "immediate"));
    bring(&arrived, &port.bell(), &[1, 2]);
    let _work = lp.begin_request();
    lp.run(RunMode::NoWait).unwrap();
    lp.defer(move |_| log(&deferred, "deferred"));
    lp.run(RunMode::NoWait).unwrap();
    let expected = ["completion 1", "completion 2", "tick 1", "tick 2", "immediate", "deferred"];
    assert_eq!(*seen.borrow(), expected, "poll is followed by pending again");
}

#[test]
fn metrics_count_every_completion_as_an_event() {
    let lp = EventLoop::new().unwrap();
    let (port, arrived) = numbers(&lp, |_, _| {});
    bring(&arrived, &port.bell(), &[1, 2, 3]);
    let _work = lp.begin_request();
    lp.run(RunMode::NoWait).unwrap();
    let metrics = lp.metrics();
    assert_eq!((metrics.events, metrics.events_waiting), (3, 3));
}

#[test]
fn a_loop_that_is_gone_hears_no_bell_and_drops_what_the_port_held() {
    let lp = EventLoop::new().unwrap();
    let held = Rc::new(());
    let theirs = Rc::clone(&held);
    let (port, arrived) = numbers(&lp, move |_, _| _ = Rc::clone(&theirs));
    let bell = port.bell();
    drop(lp);
    bring(&arrived, &bell, &[1]);
    assert_eq!((Rc::strong_count(&held), arrived.lock().unwrap().len()), (1, 1));
}

// --- ports that a descriptor feeds ------------------------------------------------------------------------------------

/// A port whose completions are the bytes that arrive at a socket, and the other end.
fn bytes(lp: &LoopHandle, mut on_byte: impl FnMut(&LoopHandle, u8) + 'static) -> (PullPort, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut reader = ours.try_clone().unwrap();
    let pull = move |into: &mut Vec<u8>| drop(reader.read_to_end(into)); // to where it would block
    (PullPort::fed_by(lp, ours, pull, move |lp, byte| on_byte(lp, byte)).unwrap(), theirs)
}

#[test]
fn what_a_descriptor_brings_is_delivered_as_if_the_bell_had_rung() {
    let lp = EventLoop::new().unwrap();
    let seen = Log::default();
    let theirs = Rc::clone(&seen);
    let (port, mut writer) = bytes(&lp, move |lp, byte| {
        log(&theirs, format!("completion {byte}"));
        let theirs = Rc::clone(&theirs);
        lp.next_tick(move |_| log(&theirs, format!("tick {byte}")));
    });
    let _work = lp.begin_request();
    for round in 0..3 {
        let immediate = Rc::clone(&seen);
        lp.set_immediate(move |_| log(&immediate, "immediate"));
        writer.write_all(&[round, 9]).unwrap();
        lp.run(RunMode::NoWait).unwrap();
        let expected = [format!("completion {round}"), format!("tick {round}"), "completion 9".into()];
        assert_eq!(seen.borrow()[..3], expected, "each edge is seen");
        assert_eq!(seen.take()[3..], ["tick 9", "immediate"]);
    }
    writer.write_all(&[1]).unwrap();
    port.close();
    lp.run(RunMode::NoWait).unwrap();
    assert!(seen.borrow().is_empty(), "a closed port delivers nothing");
    assert_eq!(writer.write(&[1]).unwrap_err().kind(), std::io::ErrorKind::BrokenPipe, "and lets go of it");
}

#[test]
fn a_panic_that_leaves_run_loses_nothing_that_a_descriptor_brought() {
    for schedule in [Schedule::node26(), Schedule::textbook()] {
        let lp = EventLoop::builder().schedule(schedule).build().unwrap();
        let seen = Log::default();
        let theirs = Rc::clone(&seen);
        let (_port, mut writer) = bytes(&lp, move |_, byte| {
            log(&theirs, byte.to_string());
            assert_ne!(byte, 2, "on purpose");
        });
        let _work = lp.begin_request();
        writer.write_all(&[1, 2, 3, 4]).unwrap();
        let turn = || lp.run(RunMode::NoWait).map(|_| ());
        let panics = (0..4).filter(|_| catch_unwind(AssertUnwindSafe(turn)).is_err()).count();
        assert_eq!((panics, seen.borrow().join(" ")), (1, "1 2 3 4".into()));
    }
}

#[test]
fn a_loop_that_goes_lets_go_of_what_fed_its_port() {
    let lp = EventLoop::new().unwrap();
    let (port, mut writer) = bytes(&lp, |_, _| unreachable!("no turn is run"));
    writer.write_all(&[1]).unwrap();
    let handle = lp.handle();
    drop(lp);
    assert_eq!(writer.write(&[1]).unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    drop(port);
    let late = PullPort::fed_by(&handle, std::io::stdin(), |_: &mut Vec<u8>| {}, |_, _| {});
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::NotConnected);
}
