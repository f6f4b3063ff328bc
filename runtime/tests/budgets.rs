//! What keeps one busy task, source or listener from having a turn to itself.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::io::Write;
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::num::NonZeroUsize;
use std::rc::Rc;

use phaseloop::net::{ReadEvent, TcpListener, TcpStream};
use phaseloop::{EventLoop, Limits, RunMode};
use trace::Trace;

/// A loop with small limits.
fn limited() -> EventLoop {
    let limits = Limits {
        task_io_budget: std::num::NonZeroU32::new(3).expect("not zero"),
        reads_per_turn: std::num::NonZeroU32::new(2).expect("not zero"),
        accepts_per_turn: std::num::NonZeroU32::new(2).expect("not zero"),
        read_buffer_len: NonZeroUsize::new(1).unwrap(),
        ..Limits::default()
    };
    EventLoop::builder().limits(limits).build().unwrap()
}

/// A stream of the loop with six bytes to read.
fn filled(lp: &EventLoop) -> (TcpStream, StdStream) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let mut peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.write_all(b"abcdef").unwrap();
    (TcpStream::from_std(lp, listener.accept().unwrap().0).unwrap(), peer)
}

#[test]
fn a_task_that_always_finds_data_lets_others_run_after_its_budget() {
    let (lp, trace) = (limited(), Trace::default());
    let (stream, _peer) = filled(&lp);
    let reads = trace.clone();
    let reader = async move {
        stream.readable().await.unwrap(); // counts as well
        for _ in 0..5 {
            stream.read_exact(&mut [0]).await.unwrap();
            reads.log("read");
        }
    };
    let reader = lp.spawn(reader);
    let checks = trace.clone();
    let check = phaseloop::Check::new(&lp);
    check.start(move |_| checks.log("check")).unwrap();
    for _ in 0..10 {
        lp.run(RunMode::NoWait).unwrap();
    }
    assert!(reader.is_finished());
    let mut log = trace.take();
    log.dedup_by(|a, b| *a == "check" && *b == "check");
    let reads: Vec<_> =
        log.split(|line| line == "check").map(<[String]>::len).filter(|len| *len > 0).collect();
    assert_eq!(reads, [2, 3], "three operations in one go, the first of which only waited");
}

#[test]
fn a_read_callback_reads_no_more_than_its_share_of_a_turn() {
    let (lp, trace) = (limited(), Trace::default());
    let (stream, _peer) = filled(&lp);
    let reads = trace.clone();
    stream
        .read_start(move |_, event| {
            if let ReadEvent::Data(bytes) = event {
                reads.log(String::from_utf8_lossy(bytes));
            }
        })
        .unwrap();
    let mut turns = Vec::new();
    for _ in 0..10 {
        lp.run(RunMode::NoWait).unwrap();
        turns.push(trace.take().concat());
    }
    turns.retain(|bytes| !bytes.is_empty());
    assert_eq!(turns.concat(), "abcdef");
    assert!(turns.len() >= 2, "not in one turn: {turns:?}");
}

#[test]
fn a_listener_accepts_no_more_than_its_share_of_a_turn_and_goes_on_after_a_panic() {
    let (lp, trace) = (limited(), Trace::default());
    let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (accepts, mut first) = (trace.clone(), true);
    let accepted = Rc::new(std::cell::RefCell::new(Vec::new()));
    let kept = Rc::clone(&accepted);
    listener
        .on_connection(move |_, connection| {
            kept.borrow_mut().push(connection.unwrap());
            accepts.log("accepted");
            if std::mem::take(&mut first) {
                panic!("leaves");
            }
        })
        .unwrap();
    lp.run(RunMode::NoWait).unwrap();
    let _peers: Vec<_> = (0..5).map(|_| StdStream::connect(address).unwrap()).collect();
    let run = std::panic::AssertUnwindSafe(|| lp.run(RunMode::NoWait));
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(trace.take().len(), 1);
    for _ in 0..10 {
        lp.run(RunMode::NoWait).unwrap();
    }
    assert_eq!(trace.take().len(), 4);
    accepted.take();
}

#[test]
fn a_task_that_goes_on_after_a_stream_was_closed_lets_others_run() {
    let lp = limited();
    let (stream, _peer) = filled(&lp);
    stream.close();
    let failed = Rc::new(std::cell::Cell::new(0));
    let fails = Rc::clone(&failed);
    let reader = lp.spawn(async move {
        while fails.get() < 100 {
            stream.read(&mut [0]).await.unwrap_err();
            fails.set(fails.get() + 1);
        }
    });
    let seen = Rc::new(std::cell::Cell::new(0));
    let sees = Rc::clone(&seen);
    lp.set_immediate(move |_| sees.set(failed.get()));
    lp.block_on(reader).unwrap().unwrap();
    lp.run(RunMode::NoWait).unwrap();
    assert!((1..=6).contains(&seen.get()), "{} errors passed before an immediate ran", seen.get());
}
