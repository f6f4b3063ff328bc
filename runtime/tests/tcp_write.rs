//! Writing on TCP with callbacks: order, completion, limits, and peers that go away.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read};
use std::rc::Rc;

use phaseloop::Limits;
use phaseloop::net::{ReadEvent, TcpStream, WriteRefused};

mod loopback;
use loopback::{
    Log, finish, is_broken, is_cancelled, loop_with, ms, new_loop, pair, pattern, read_all, reset, run,
    run_while, turns_in, with_peer,
};

const MB: usize = 1024 * 1024;

/// Collects what arrives until the end of the stream, and closes then.
fn collect(stream: &TcpStream) -> Rc<RefCell<Vec<u8>>> {
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let arrived = Rc::clone(&bytes);
    let started = stream.read_start(move |stream, event| match event {
        ReadEvent::Data(data) => arrived.borrow_mut().extend_from_slice(data),
        ReadEvent::End => stream.close(),
        ReadEvent::Failed(error) => panic!("reading failed: {error}"),
    });
    started.expect("the stream is open");
    bytes
}

/// A write callback that logs `name` and the kind of error.
fn note(log: &Log, name: impl Into<String>) -> impl FnOnce(&TcpStream, std::io::Result<()>) + 'static {
    let (log, name) = (log.clone(), name.into());
    move |_, result| match result {
        Ok(()) => log.add(name),
        Err(error) if is_cancelled(&error) => log.add(format!("{name} cancelled")),
        Err(error) if is_broken(&error) => log.add(format!("{name} broken")),
        Err(error) => log.add(format!("{name} {error:?}")),
    }
}

#[test]
fn write_queue_order_holds_across_a_shutdown() {
    let lp = new_loop();
    let (writer, reader) = pair(&lp);
    let arrived = collect(&reader);
    let log = Log::default();
    let bytes = pattern(MB);
    for (index, part) in bytes.chunks(bytes.len() / 4).enumerate() {
        writer.queue_write_with(part, note(&log, index.to_string())).unwrap();
    }
    assert!(writer.write_queue_len() > 0, "a megabyte must not fit, or the test shows nothing");
    writer.shutdown_with(note(&log, "shutdown")).unwrap();
    assert!(log.lines().is_empty());
    drop((writer, reader));
    finish(lp);
    assert_eq!(log.lines(), ["0", "1", "2", "3", "shutdown"]);
    assert!(*arrived.borrow() == bytes);
}

#[test]
fn writes_in_a_row_complete_in_a_row() {
    let lp = new_loop();
    let (writer, reader) = pair(&lp);
    let arrived = collect(&reader);
    let log = Log::default();
    let expected: Vec<String> = (0..1000).map(|index| index.to_string()).collect();
    for name in &expected {
        writer.queue_write_with(name.as_bytes(), note(&log, name)).unwrap();
    }
    writer.shutdown_with(|_, result| result.unwrap()).unwrap();
    drop((writer, reader));
    finish(lp);
    assert_eq!(log.lines(), expected);
    assert_eq!(*arrived.borrow(), expected.concat().as_bytes());
}

#[test]
fn writing_a_lot_completes_all_of_it() {
    let lp = new_loop();
    let (writer, reader) = pair(&lp);
    let arrived = collect(&reader);
    let log = Log::default();
    let bytes = pattern(8 * MB);
    for index in 0..3 {
        writer.queue_write_with(&bytes, note(&log, index.to_string())).unwrap();
    }
    writer.shutdown_with(note(&log, "shutdown")).unwrap();
    drop((writer, reader));
    finish(lp);
    assert_eq!(log.lines(), ["0", "1", "2", "shutdown"]);
    assert!(*arrived.borrow() == bytes.repeat(3));
}

#[test]
fn empty_writes_complete_in_their_place() {
    let lp = new_loop();
    let (writer, reader) = pair(&lp);
    collect(&reader);
    let log = Log::default();
    writer.queue_write_with(b"", note(&log, "first")).unwrap();
    writer.queue_write_with(&pattern(MB), note(&log, "long")).unwrap();
    writer.queue_write_with(b"", note(&log, "last")).unwrap();
    writer.shutdown_with(note(&log, "shutdown")).unwrap();
    drop((writer, reader));
    finish(lp);
    assert_eq!(log.lines(), ["first", "long", "last", "shutdown"]);
}

#[test]
fn try_write_never_queues_and_never_overtakes() {
    let lp = new_loop();
    let (writer, reader) = pair(&lp);
    let bytes = pattern(4 * MB);
    let mut sent = 0;
    let error = loop {
        match writer.try_write(&bytes[sent..]) {
            Ok(len) => sent += len,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(writer.write_queue_len(), 0);

    let (middle, end) = bytes[sent..].split_at(MB);
    let late = end.to_vec();
    let refused = Rc::new(Cell::new(0));
    let count = Rc::clone(&refused);
    writer.queue_write_with(middle, |_, result| result.unwrap()).unwrap();
    assert_eq!(writer.try_write(b"not before the rest").unwrap_err().kind(), ErrorKind::WouldBlock);
    let arrived = collect(&reader);
    let other = writer.clone();
    let tick = phaseloop::Idle::new(&lp);
    tick.start(move |tick| {
        if other.write_queue_len() > 0 {
            assert_eq!(other.try_write(b"nor now").unwrap_err().kind(), ErrorKind::WouldBlock);
            count.set(count.get() + 1);
            return;
        }
        other.queue_write(&late).unwrap();
        other.shutdown_with(|_, result| result.unwrap()).unwrap();
        tick.close();
    })
    .unwrap();
    drop((writer, reader));
    finish(lp);
    assert!(refused.get() > 0);
    assert!(*arrived.borrow() == bytes);
}

#[test]
fn a_stream_that_refused_a_try_is_not_writable() {
    let lp = new_loop();
    let (writer, mut peer) = with_peer(&lp);
    let mut fills = 0;
    let task = loop {
        while writer.try_write(&[7; 1000]).is_ok() {}
        let other = writer.clone();
        let task = lp.spawn(async move { other.writable().await });
        let turns = turns_in(&lp, ms(60));
        assert!(turns < 10, "waiting for a full stream took {turns} turns");
        if !task.is_finished() {
            break task;
        }
        // The system made room, as bytes moved on to the peer's buffer. That comes to an end.
        fills += 1;
        assert!(fills < 20, "a full stream is still writable");
    };
    peer.set_nonblocking(true).unwrap();
    let mut buf = vec![0; MB];
    run_while(&lp, || {
        let _nothing_there = peer.read(&mut buf);
        !task.is_finished()
    });
    writer.try_write(&[7]).unwrap();
    drop((writer, task));
    finish(lp);
}

#[test]
fn callbacks_never_run_inside_the_call_that_caused_them() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let log = Log::default();
    b.read_start(|_, _| {}).unwrap();
    a.queue_write_with(b"x", note(&log, "write")).unwrap();
    a.shutdown_with(note(&log, "shutdown")).unwrap();
    let closed = log.clone();
    assert!(a.close_with(move |_| closed.add("close")));
    assert!(!a.close_with(|_| panic!("closed twice")));
    assert_eq!(log.len(), 0);
    b.close();
    finish(lp);
    assert_eq!(log.lines(), ["write", "shutdown", "close"]);
}

#[test]
fn closing_cancels_what_is_queued_once_and_in_order() {
    let lp = new_loop();
    let (writer, peer) = with_peer(&lp);
    let log = Log::default();
    writer.queue_write_with(&pattern(MB), note(&log, "1")).unwrap();
    writer.queue_write(b"nobody asks for this one").unwrap();
    writer.queue_write_with(b"x", note(&log, "2")).unwrap();
    writer.shutdown_with(note(&log, "shutdown")).unwrap();
    let closed = log.clone();
    writer.close_with(move |_| closed.add("close"));
    assert_eq!(writer.write_queue_len(), 0);
    assert_eq!(log.len(), 0);
    drop((writer, peer));
    finish(lp);
    assert_eq!(log.lines(), ["1 cancelled", "2 cancelled", "shutdown cancelled", "close"]);
}

#[test]
fn a_shutdown_after_writes_sends_them_first() {
    let lp = new_loop();
    let (writer, peer) = with_peer(&lp);
    let reader = std::thread::spawn(move || read_all(&peer));
    let bytes = pattern(2 * MB);
    writer.queue_write(&bytes).unwrap();
    writer
        .shutdown_with(|stream, result| {
            result.unwrap();
            assert_eq!(stream.write_queue_len(), 0);
        })
        .unwrap();
    drop(writer);
    finish(lp);
    assert!(reader.join().unwrap() == bytes);
}

#[test]
fn a_second_shutdown_is_refused() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let log = Log::default();
    a.shutdown_with(note(&log, "first")).unwrap();
    let refused = a.shutdown_with(|_, _| panic!("it was refused")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotConnected);
    run(&lp);
    assert!(a.shutdown_with(|_, _| panic!("it was refused")).is_err());
    drop((a, b));
    finish(lp);
    assert_eq!(log.lines(), ["first"]);
}

#[test]
fn both_sides_may_shut_down_at_the_same_time() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let log = Log::default();
    for (name, stream) in [("a", &a), ("b", &b)] {
        let ends = log.clone();
        stream.read_start(move |_, event| ends.add(format!("{name} {event:?}"))).unwrap();
        stream.shutdown_with(note(&log, format!("{name} shutdown"))).unwrap();
    }
    drop((a, b));
    finish(lp);
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["a End", "a shutdown", "b End", "b shutdown"]);
}

#[test]
fn after_the_peers_end_a_stream_can_still_be_written() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let arrived = collect(&a);
    b.read_start(|stream, event| {
        if matches!(event, ReadEvent::End) {
            stream.queue_write(b"goodbye").unwrap();
            stream.shutdown_with(|_, result| result.unwrap()).unwrap();
        }
    })
    .unwrap();
    a.shutdown_with(|_, result| result.unwrap()).unwrap();
    drop((a, b));
    finish(lp);
    assert_eq!(*arrived.borrow(), b"goodbye");
}

#[test]
fn nothing_can_be_written_after_a_shutdown() {
    let lp = new_loop();
    let (writer, reader) = pair(&lp);
    let arrived = collect(&reader);
    let bytes = pattern(MB);
    writer.queue_write(&bytes).unwrap();
    writer.shutdown_with(|_, result| result.unwrap()).unwrap();
    let refused = |stream: &TcpStream| {
        assert_eq!(stream.queue_write(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(stream.try_write(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let with = stream.queue_write_with(b"late", |_, _| panic!("it was refused"));
        assert_eq!(with.unwrap_err().kind(), ErrorKind::BrokenPipe);
    };
    refused(&writer); // the shutdown waits for the queue
    run(&lp);
    refused(&writer); // it is done
    assert!(*arrived.borrow() == bytes);
    drop((writer, reader));
    finish(lp);
}

#[test]
fn a_write_to_a_peer_that_is_gone_reports_it() {
    let lp = new_loop();
    let (writer, peer) = with_peer(&lp);
    drop(peer);
    let broken = Rc::new(Cell::new(false));
    run_while(&lp, || {
        let seen = Rc::clone(&broken);
        let written = writer.queue_write_with(b"x", move |_, result| seen.set(seen.get() | result.is_err()));
        assert!(written.as_ref().is_ok() || is_broken(written.as_ref().unwrap_err()));
        written.is_ok() && !broken.get()
    });
    assert!(!writer.is_closed());
    drop(writer);
    finish(lp);
}

#[test]
fn a_peer_that_goes_away_in_mid_write_is_noticed() {
    for by_reset in [false, true] {
        let lp = new_loop();
        let (writer, mut peer) = with_peer(&lp);
        let log = Log::default();
        writer.queue_write_with(&pattern(4 * MB), note(&log, "first")).unwrap();
        writer.queue_write_with(b"x", note(&log, "second")).unwrap();
        peer.read_exact(&mut [0; 1000]).unwrap();
        if by_reset {
            reset(peer)
        } else {
            drop(peer)
        }
        drop(writer);
        finish(lp);
        assert_eq!(log.lines(), ["first broken", "second broken"]);
    }
}

#[test]
fn a_queued_write_that_nobody_asks_for_closes_the_stream_when_it_fails() {
    let lp = new_loop();
    let (writer, peer) = with_peer(&lp);
    let log = Log::default();
    writer.queue_write(&pattern(4 * MB)).unwrap();
    writer.queue_write_with(b"x", note(&log, "second")).unwrap();
    reset(peer);
    run(&lp);
    assert!(writer.is_closed());
    assert_eq!(log.lines(), ["second cancelled"]);
    drop(writer);
    finish(lp);
}

#[test]
fn a_reset_is_seen_by_reader_and_writer() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    let log = Log::default();
    let reads = log.clone();
    stream
        .read_start(move |_, event| match event {
            ReadEvent::Failed(error) if is_broken(&error) => reads.add("read broken"),
            other => panic!("a reset is no {other:?}"),
        })
        .unwrap();
    stream.queue_write_with(&pattern(4 * MB), note(&log, "write")).unwrap();
    reset(peer);
    run(&lp);
    assert_eq!(log.lines(), ["read broken", "write broken"]);
    // Neither readable nor writable any more.
    assert!(is_broken(&stream.try_write(b"x").unwrap_err()));
    stream.close();
    finish(lp);
}

#[test]
fn the_queue_of_a_stream_whose_peer_never_reads_is_bounded() {
    let max = 100_000;
    let lp = loop_with(Limits { write_queue_len_max: max, ..Limits::default() });
    let (writer, peer) = with_peer(&lp);
    let piece = pattern(10_000);
    let mut taken = 0;
    let refused = loop {
        match writer.queue_write(&piece) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(writer.write_queue_len() <= max);
        assert!(taken < 10_000, "it takes all there is");
    };
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    let queued = writer.write_queue_len();
    assert!(queued > max - piece.len() && queued <= max);
    // What was refused left nothing behind: the peer gets whole pieces.
    writer.shutdown_with(|_, result| result.unwrap()).unwrap();
    let reader = std::thread::spawn(move || read_all(&peer));
    drop(writer);
    finish(lp);
    assert!(reader.join().unwrap() == piece.repeat(taken));
}

#[test]
fn one_write_longer_than_the_limit_is_refused_whole() {
    let lp = loop_with(Limits { write_queue_len_max: 1000, ..Limits::default() });
    let (writer, peer) = with_peer(&lp);
    let refused = writer.queue_write_with(&pattern(4 * MB), |_, _| panic!("it was refused")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "waiting would be of no use");
    let inner = refused.get_ref().and_then(|inner| inner.downcast_ref::<WriteRefused>());
    assert_eq!(inner, Some(&WriteRefused { len: 4 * MB, queued: 0, limit: 1000 }));
    assert!(refused.to_string().contains("4194304") && refused.to_string().contains("1000"), "{refused}");
    assert_eq!(writer.write_queue_len(), 0);
    drop(writer);
    assert_eq!(read_all(&peer).len(), 0);
    finish(lp);
}

#[test]
fn a_stream_may_be_closed_in_its_write_and_shutdown_callbacks() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let log = Log::default();
    let closes = log.clone();
    a.queue_write_with(b"x", move |stream, _| {
        stream.close_with(move |_| closes.add("a closed"));
    })
    .unwrap();
    a.queue_write_with(b"y", note(&log, "y")).unwrap();
    let closes = log.clone();
    b.shutdown_with(move |stream, _| {
        stream.close_with(move |_| closes.add("b closed"));
    })
    .unwrap();
    drop((a, b));
    finish(lp);
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["a closed", "b closed", "y"]);
}

#[test]
fn short_writes_that_wait_are_bounded_in_number() {
    let lp = loop_with(Limits { queued_writes_max: 3, ..Limits::default() });
    let (stream, _peer) = with_peer(&lp);
    stream.queue_write(&pattern(1_000_000)).unwrap();
    stream.queue_write(b"").unwrap();
    stream.queue_write_with(b"x", |_, _| {}).unwrap();
    let refused = stream.queue_write(b"").unwrap_err();
    assert!(refused.kind() == ErrorKind::WouldBlock && refused.to_string().contains('3'), "{refused}");
    let refused = stream.queue_write_with(b"y", |_, _| panic!("it was refused")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    stream.close();
    run(&lp);
}
