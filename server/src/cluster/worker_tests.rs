//! Workers whose primary does not read.

use std::os::unix::net::UnixStream as StdUnixStream;

use phaseloop::net::UnixStream;
use phaseloop::{EventLoop, RunMode};

use super::*;

/// A worker, and the end of a primary that reads nothing.
fn unheard(lp: &LoopHandle) -> (Worker, StdUnixStream) {
    let (ours, theirs) = StdUnixStream::pair().expect("a pair");
    let stream = UnixStream::from_std(lp, ours).expect("a stream");
    let channel = Channel::new(stream, Framing::OWN, Worker::channel_limits());
    (Worker::open(channel, Seat { id: 1, slot: 0, listeners: Vec::new(), grace_ms: 1 }), theirs)
}

#[test]
fn the_end_does_not_wait_for_ever_for_a_primary_that_does_not_read() {
    let lp = EventLoop::new().expect("a loop");
    let (worker, _theirs) = unheard(&lp);
    while worker.send(&"x".repeat(100_000)).is_ok() {}
    assert!(worker.inner.channel.send_queue_len() > 0);
    worker.end();
    lp.run(RunMode::Default).expect("it runs");
    assert!(worker.inner.is_done.get() && worker.inner.is_over.get());
}

#[test]
fn a_worker_that_can_not_say_what_it_must_disconnects() {
    let lp = EventLoop::new().expect("a loop");
    let (worker, _theirs) = unheard(&lp);
    while worker.inner.channel.send(vec![0; 100_000]).is_ok() {}
    worker.say(&ToPrimary::Refused { connection: 1 });
    assert!(worker.inner.channel.is_connected(), "there is room for a short word");
    while worker.inner.channel.send("x").is_ok() {}
    worker.say(&ToPrimary::Refused { connection: 2 });
    assert!(!worker.inner.channel.is_connected());
    worker.end();
    lp.run(RunMode::Default).expect("it runs");
    assert!(worker.inner.is_over.get());
}
