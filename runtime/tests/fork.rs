//! A loop in a forked child. A binary of its own: children leave by `_exit`, and tests take turns.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use phaseloop::net::{ReadEvent, TcpStream};
use phaseloop::signal::{Signal, SignalWatcher};
use phaseloop::{EventLoop, RunMode, Timer, Wakeup};

#[path = "fork/sys.rs"]
mod sys;

/// One fork at a time.
static TURN: Mutex<()> = Mutex::new(());

const TURNS_MAX: u32 = 1000;

/// Runs `child` in a child, and then `parent` here; fails if either does.
fn fork(child: impl FnOnce(), parent: impl FnOnce()) {
    let code = sys::in_child(child);
    parent();
    assert!(code.wait(), "the child failed");
}

/// A connected pair.
fn pair() -> (StdStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, peer)
}

/// Runs until nothing is left, but not for ever.
fn run(lp: &EventLoop) {
    for _ in 0..TURNS_MAX {
        if !lp.is_alive() {
            return;
        }
        lp.run(RunMode::Once).unwrap();
    }
    panic!("the loop is alive after {TURNS_MAX} turns: {:?}", lp.why_alive());
}

#[test]
fn a_timer_goes_on_in_the_child() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let lp = EventLoop::new().unwrap();
    let timer = Timer::new(&lp);
    timer.start(Duration::from_millis(5), |timer| timer.close()).unwrap();
    lp.run(RunMode::NoWait).unwrap();
    let (here, there) = (&lp, &lp);
    fork(
        || {
            there.after_fork_child().unwrap();
            run(there);
            assert!(timer.is_closing());
        },
        || run(here),
    );
}

/// A loop that reads from a connection, sends back what comes, and ends with the stream.
fn echo() -> (EventLoop, StdStream) {
    let lp = EventLoop::new().unwrap();
    let (ours, peer) = pair();
    let stream = TcpStream::from_std(&lp, ours).unwrap();
    stream
        .read_start(|stream, event| match event {
            ReadEvent::Data(bytes) => stream.queue_write(bytes).unwrap(),
            _ => stream.close(),
        })
        .unwrap();
    lp.run(RunMode::NoWait).unwrap();
    (lp, peer)
}

/// Has the loop echo, and end.
fn converse(lp: &EventLoop, mut peer: &StdStream) {
    peer.write_all(b"ping").unwrap();
    let mut buf = [0; 4];
    peer.set_nonblocking(true).unwrap();
    for _ in 0..TURNS_MAX {
        lp.run(RunMode::Once).unwrap();
        if peer.read(&mut buf).is_ok() {
            break;
        }
    }
    assert_eq!(&buf, b"ping");
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    run(lp);
}

#[test]
fn a_source_goes_on_in_the_child() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (lp, peer) = echo();
    fork(
        || {
            lp.after_fork_child().unwrap();
            converse(&lp, &peer);
        },
        || {},
    );
}

#[test]
fn the_parents_source_is_unharmed_by_a_child_that_closes_its_own() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (lp, peer) = echo();
    let lp = Rc::new(lp);
    let theirs = Rc::clone(&lp);
    let code = sys::in_child(move || {
        theirs.after_fork_child().unwrap();
        theirs.run(RunMode::NoWait).unwrap();
        let timer = Timer::new(&theirs);
        timer.start(Duration::from_millis(1), |timer| timer.lp().stop()).unwrap();
        theirs.run(RunMode::Default).unwrap();
    });
    assert!(code.wait(), "the child failed");
    converse(&lp, &peer);
}

#[test]
fn wakeups_reach_the_loop_of_their_own_process() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let lp = EventLoop::new().unwrap();
    let wakeup = Wakeup::new(&lp, |wakeup| wakeup.close());
    let sender = wakeup.sender();
    lp.run(RunMode::NoWait).unwrap();
    let _fd = lp.backend_fd().unwrap(); // makes the alarm, which the child must not share
    fork(
        || {
            lp.after_fork_child().unwrap();
            let sender = sender.clone();
            let thread = std::thread::spawn(move || sender.send());
            run(&lp);
            thread.join().unwrap().unwrap();
        },
        || {
            let sender = sender.clone();
            let thread = std::thread::spawn(move || sender.send());
            run(&lp);
            thread.join().unwrap().unwrap();
        },
    );
}

#[test]
fn a_signal_watcher_goes_on_in_the_child_without_disturbing_the_parent() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let lp = EventLoop::new().unwrap();
    let watcher = SignalWatcher::new(&lp).unwrap();
    watcher.start(Signal::USR1, |watcher, _| watcher.close()).unwrap();
    let send =
        || rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1).unwrap();
    let code = sys::in_child(|| {
        lp.after_fork_child().unwrap();
        send();
        run(&lp);
        assert!(watcher.is_closing());
    });
    assert!(code.wait(), "the child failed");
    lp.run(RunMode::NoWait).unwrap();
    assert!(!watcher.is_closing(), "the child's signal is not the parent's");
    send();
    run(&lp);
    assert!(watcher.is_closing());
}
