//! Foreign descriptors: level semantics, one event a turn, and who may watch what.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod loopback;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use loopback::{Dropped, Log, block_on, finish, new_loop, run, std_pair};
use phaseloop::{EventLoop, HandleKind, Outcome, PollEvents, PollFd, RunMode, Wakeup};
use rustix::io::Errno;
use socket2::SockRef;

const READABLE: PollEvents = PollEvents::READABLE;
const WRITABLE: PollEvents = PollEvents::WRITABLE;
const DISCONNECT: PollEvents = PollEvents::DISCONNECT;

fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    (a, b)
}

fn code(error: &std::io::Error) -> Option<i32> {
    error.raw_os_error()
}

#[test]
fn what_is_not_read_is_reported_again_in_each_turn_and_once() {
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    let poll = PollFd::new(&lp, ours).unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    poll.start(READABLE, move |_, events| {
        assert_eq!(events.unwrap(), READABLE);
        count.set(count.get() + 1);
    })
    .unwrap();
    theirs.write_all(b"x").unwrap();
    for turn in 1..=5 {
        lp.run(RunMode::NoWait).unwrap();
        assert_eq!(calls.get(), turn, "one call a turn");
    }
    poll.get_ref().read_exact(&mut [0]).unwrap();
    for _ in 0..3 {
        lp.run(RunMode::NoWait).unwrap();
    }
    // What was asked for before the read may be reported once more; from then on there is silence.
    let after = calls.get();
    assert!(after <= 6, "{after}");
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(calls.get(), after);
    poll.close();
    finish(lp);
}

#[test]
fn a_half_read_socket_is_reported_until_it_is_empty() {
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(&[7; 10]).unwrap();
    drop(theirs);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let bytes = Rc::clone(&seen);
    let poll = PollFd::new(&lp, ours).unwrap();
    poll.start(READABLE, move |poll, events| {
        events.unwrap();
        let mut buf = [0; 3];
        match poll.get_ref().read(&mut buf).unwrap() {
            0 => poll.close(),
            len => bytes.borrow_mut().extend_from_slice(&buf[..len]),
        }
    })
    .unwrap();
    run(&lp);
    assert_eq!(*seen.borrow(), [7; 10]);
}

#[test]
fn a_handle_is_called_once_a_turn_though_poll_waits_again() {
    // With room for one event a wait, the phase waits up to 48 times.
    let limits = phaseloop::Limits { events_per_wait: 1.try_into().unwrap(), ..Default::default() };
    let lp = loopback::loop_with(limits);
    let calls = Rc::new(Cell::new(0));
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let poll = PollFd::new(&lp, ours).unwrap();
    let count = Rc::clone(&calls);
    poll.start(READABLE | WRITABLE, move |poll, _| {
        count.set(count.get() + 1);
        // A start in the callback does not have the phase call again either.
        let count = Rc::clone(&count);
        poll.start(READABLE | WRITABLE, move |_, _| count.set(count.get() + 1)).unwrap();
    })
    .unwrap();
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(calls.get(), 1);
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(calls.get(), 2);
    poll.close();
    finish(lp);
}

/// Pumps `total` bytes between two sockets that are only polled, each write and read of its own size.
fn pump(duplex: bool) {
    let lp = new_loop();
    let (a, b) = std_pair();
    let total: usize = 300_000;
    let ends = Rc::new(Cell::new(0));
    let side = |socket: net::TcpStream, sends: bool| {
        socket.set_nonblocking(true).unwrap();
        let (mut sent, mut got) = (if sends { 0 } else { total }, 0);
        let expects = if duplex || !sends { total } else { 0 };
        let ends = Rc::clone(&ends);
        let interest = if sends { READABLE | WRITABLE | DISCONNECT } else { READABLE | DISCONNECT };
        let poll = PollFd::new(&lp, socket).unwrap();
        poll.start(interest, move |poll, events| {
            let (events, mut socket) = (events.unwrap(), poll.get_ref());
            if events.contains(WRITABLE) && sent < total {
                let chunk = [1; 7000];
                sent += socket.write(&chunk[..chunk.len().min(total - sent)]).unwrap_or(0);
                if sent == total {
                    socket.shutdown(net::Shutdown::Write).unwrap();
                }
            }
            let mut at_end = false;
            if events.contains(READABLE) {
                let mut buf = [0; 5000];
                match socket.read(&mut buf) {
                    Ok(0) => at_end = true,
                    Ok(len) => got += len,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            if sent == total && at_end {
                assert!(events.contains(DISCONNECT), "the end comes with a disconnect");
                assert_eq!(got, expects);
                ends.set(ends.get() + 1);
                poll.close();
            }
        })
        .unwrap();
        if !sends {
            poll.get_ref().shutdown(net::Shutdown::Write).unwrap();
        }
    };
    side(a, true);
    side(b, duplex);
    finish(lp);
    assert_eq!(ends.get(), 2);
}

#[test]
fn a_duplex_pump_sees_every_event() {
    pump(true);
}

#[test]
fn a_one_way_pump_sees_every_event() {
    pump(false);
}

#[test]
fn a_disconnect_is_told_apart_from_unread_bytes_without_spinning() {
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"unread").unwrap();
    let log = Log::default();
    let poll = PollFd::new(&lp, ours).unwrap();
    let lines = log.clone();
    poll.start(DISCONNECT, move |poll, events| {
        lines.add(format!("{:?}", events.unwrap()));
        poll.close();
    })
    .unwrap();
    lp.run(RunMode::NoWait).unwrap();
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(log.len(), 0, "bytes are no disconnect");
    assert_eq!(lp.backend_timeout(), None, "and do not keep the loop busy");
    drop(theirs);
    run(&lp);
    assert_eq!(log.lines(), ["{\"disconnect\"}"]);
}

#[test]
fn urgent_data_is_priority() {
    let lp = new_loop();
    let (ours, theirs) = std_pair();
    let poll = PollFd::new(&lp, ours).unwrap();
    let got = Rc::new(Cell::new(None));
    let found = Rc::clone(&got);
    poll.start(PollEvents::PRIORITY, move |poll, events| {
        found.set(Some(events.unwrap()));
        poll.close();
    })
    .unwrap();
    SockRef::from(&theirs).send_out_of_band(b"!").unwrap();
    finish(lp);
    assert_eq!(got.get(), Some(PollEvents::PRIORITY));
}

#[test]
fn closing_in_the_callback_is_the_last_that_is_heard() {
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let log = Log::default();
    let poll = PollFd::new(&lp, ours).unwrap();
    let lines = log.clone();
    let (guard, drops) = Dropped::new();
    poll.start(READABLE, move |poll, _| {
        guard.keep();
        lines.add("event");
        let lines = lines.clone();
        assert!(poll.close_with(move |_| lines.add("closed")));
        assert!(!poll.close_with(|_| unreachable!("it was closed before")));
        assert!(poll.start(READABLE, |_, _| {}).is_err());
    })
    .unwrap();
    run(&lp);
    assert_eq!(log.lines(), ["event", "closed"]);
    assert_eq!(drops.get(), 1, "the callback is dropped");
    drop(poll);
    lp.close().unwrap();
}

#[test]
fn stopping_another_handle_in_a_callback_keeps_its_event_from_it() {
    let lp = new_loop();
    let (a, mut to_a) = pair();
    let (b, mut to_b) = pair();
    to_a.write_all(b"x").unwrap();
    to_b.write_all(b"x").unwrap();
    let (a, b) = (PollFd::new(&lp, a).unwrap(), PollFd::new(&lp, b).unwrap());
    let calls = Rc::new(Cell::new(0));
    for (this, other) in [(&a, b.clone()), (&b, a.clone())] {
        let calls = Rc::clone(&calls);
        this.start(READABLE, move |this, _| {
            calls.set(calls.get() + 1);
            other.stop();
            this.stop();
        })
        .unwrap();
    }
    run(&lp);
    assert_eq!(calls.get(), 1);
    a.close();
    b.close();
    drop((a, b));
    finish(lp);
}

#[test]
fn a_second_active_handle_on_a_descriptor_is_refused() {
    let lp = new_loop();
    let (ours, _theirs) = pair();
    let shared = Rc::new(ours);
    let first = PollFd::new(&lp, Rc::clone(&shared)).unwrap();
    let second = PollFd::new(&lp, shared).unwrap();
    first.start(READABLE, |_, _| {}).unwrap();
    let error = second.start(READABLE, |_, _| {}).unwrap_err();
    assert_eq!(code(&error), Some(Errno::EXIST.raw_os_error()));
    assert!(!second.is_active());
    first.stop();
    second.start(READABLE, |_, _| {}).expect("the first was stopped");
    first.close();
    second.close();
    finish(lp);
}

#[test]
fn a_regular_file_and_a_folder_are_refused() {
    let lp = new_loop();
    for path in [file!().rsplit('/').next().map(|name| format!("tests/{name}")).unwrap(), "tests".to_owned()]
    {
        let poll = PollFd::new(&lp, File::open(path).unwrap()).unwrap();
        let error = poll.start(READABLE, |_, _| unreachable!("it was refused")).unwrap_err();
        assert_eq!(code(&error), Some(Errno::PERM.raw_os_error()));
        let error = block_on(&lp, poll.ready(READABLE)).unwrap_err();
        assert_eq!(code(&error), Some(Errno::PERM.raw_os_error()));
    }
    finish(lp);
}

#[test]
fn an_empty_interest_is_refused() {
    let lp = new_loop();
    let poll = PollFd::new(&lp, pair().0).unwrap();
    let error = poll.start(PollEvents::default(), |_, _| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    drop(poll);
    finish(lp);
}

#[test]
fn a_callback_may_change_the_interest() {
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let log = Log::default();
    let lines = log.clone();
    let poll = PollFd::new(&lp, ours).unwrap();
    poll.start(WRITABLE, move |poll, events| {
        lines.add(format!("first {:?}", events.unwrap()));
        let lines = lines.clone();
        poll.start(READABLE, move |poll, events| {
            lines.add(format!("second {:?}", events.unwrap()));
            poll.close();
        })
        .unwrap();
    })
    .unwrap();
    drop(poll);
    finish(lp);
    assert_eq!(log.lines(), ["first {\"writable\"}", "second {\"readable\"}"]);
}

#[test]
fn an_unreferenced_handle_does_not_hold_the_loop() {
    let lp = new_loop();
    let (ours, _theirs) = pair();
    let poll = PollFd::new(&lp, ours).unwrap();
    assert!(!lp.is_alive(), "a handle that is not started does not either");
    poll.start(READABLE, |_, _| {}).unwrap();
    assert!(lp.is_alive());
    let mut kinds = Vec::new();
    lp.walk(|info| kinds.push((info.kind, info.active)));
    assert_eq!(kinds, [(HandleKind::PollFd, true)]);
    poll.unref();
    run(&lp);
    poll.ref_();
    assert!(lp.is_alive());
    poll.close();
    run(&lp);
}

#[test]
fn a_nested_loop_is_polled_by_its_descriptor() {
    let outer = new_loop();
    let inner = Rc::new(EventLoop::new().unwrap());
    let log = Log::default();
    let lines = log.clone();
    let wakeup = Wakeup::new(&inner, move |wakeup| {
        lines.add("woken");
        wakeup.close();
    });
    let sender = wakeup.sender();
    let guest = Rc::clone(&inner);
    let poll = PollFd::new(&outer, inner.backend_fd().unwrap()).unwrap();
    poll.start(READABLE, move |poll, events| {
        events.unwrap();
        if guest.run(RunMode::NoWait).unwrap() == Outcome::Finished {
            poll.close();
        }
    })
    .unwrap();
    drop(poll);
    let thread = std::thread::spawn(move || sender.send());
    run(&outer);
    thread.join().unwrap().unwrap();
    inner.run(RunMode::Default).unwrap();
    assert_eq!(log.lines(), ["woken"]);
}

#[test]
fn events_of_a_closed_descriptor_never_reach_the_next_owner_of_its_number() {
    use std::os::fd::AsRawFd;
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    let number = ours.as_raw_fd();
    let poll = PollFd::new(&lp, sys::number(number)).unwrap();
    poll.start(READABLE, |_, _| panic!("its descriptor was closed")).unwrap();
    theirs.write_all(b"x").unwrap();
    drop(ours); // against the rules: it is watched
    let (next, mut peer) = pair();
    let next = sys::renumber(OwnedFd::from(next), number);
    let log = Log::default();
    let lines = log.clone();
    let second = PollFd::new(&lp, next).unwrap();
    second
        .start(READABLE, move |second, events| {
            lines.add(format!("{:?}", events.unwrap()));
            second.close();
        })
        .unwrap();
    poll.close(); // must not unregister the new owner
    peer.write_all(b"y").unwrap();
    run(&lp);
    assert_eq!(log.lines(), ["{\"readable\"}"]);
}

#[test]
fn a_future_waits_beside_the_callback() {
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    let poll = PollFd::new(&lp, ours).unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    poll.start(READABLE, move |poll, _| {
        count.set(count.get() + 1);
        if poll.get_ref().read(&mut [0; 8]).is_ok_and(|len| len == 0) {
            poll.stop();
        }
    })
    .unwrap();
    let both = async { futures::future::join(poll.ready(WRITABLE), poll.ready(READABLE | DISCONNECT)).await };
    theirs.write_all(b"x").unwrap();
    let (writable, readable) = block_on(&lp, both);
    assert_eq!((writable.unwrap(), readable.unwrap()), (WRITABLE, READABLE));
    drop(theirs);
    run(&lp);
    assert!(calls.get() >= 2);
    poll.close();
    drop(poll);
    finish(lp);
}

#[test]
fn a_future_that_is_dropped_waits_for_nothing() {
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    let poll = PollFd::new(&lp, ours).unwrap();
    let waits = poll.ready(READABLE);
    let abandoned = block_on(&lp, async { futures::future::select(waits, std::future::ready(())).await });
    drop(abandoned);
    theirs.write_all(b"x").unwrap();
    let events = lp.metrics().events;
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(lp.metrics().events, events);
    let ours = poll.into_inner().expect("the loop holds it no more");
    drop(ours);
    finish(lp);
}

#[test]
fn closing_ends_what_waits() {
    let lp = new_loop();
    let (ours, _theirs) = pair();
    let poll = PollFd::new(&lp, ours).unwrap();
    let waits = lp.spawn(poll.ready(READABLE));
    lp.set_immediate(move |_| poll.close());
    let error = block_on(&lp, waits).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    finish(lp);
}

#[test]
fn a_panic_of_the_callback_does_not_end_the_level() {
    let lp = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let poll = PollFd::new(&lp, ours).unwrap();
    let mut calls = 0;
    poll.start(READABLE, move |poll, _| {
        calls += 1;
        assert!(calls > 1, "the first call panics");
        poll.close();
    })
    .unwrap();
    drop(poll);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lp.run(RunMode::Default)));
    assert!(panicked.is_err());
    finish(lp);
}

#[test]
fn a_loop_that_is_dropped_drops_the_callback() {
    let lp = new_loop();
    let (ours, _theirs) = pair();
    let (guard, drops) = Dropped::new();
    let poll = PollFd::new(&lp, ours).unwrap();
    let own = poll.clone();
    poll.start(READABLE, move |_, _| {
        guard.keep();
        own.stop();
    })
    .unwrap();
    drop(lp);
    assert_eq!(drops.get(), 1);
    assert!(poll.start(READABLE, |_, _| {}).is_err());
}

#[path = "poll_fd/sys.rs"]
mod sys;
