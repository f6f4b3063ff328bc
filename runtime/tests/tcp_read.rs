//! Reading on TCP with callbacks: starting and stopping, ends and errors, budgets, and what the loop lets go of.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::thread;

use phaseloop::net::{ReadEvent, TcpStream};
use phaseloop::{EventLoop, Limits};
use socket2::SockRef;

mod loopback;
use loopback::{
    Dropped, Log, block_on, finish, is_broken, loop_with, ms, new_loop, pair, pattern, reset, run, turns_in,
    with_peer,
};

/// Has each read bring at most `len` bytes.
fn loop_with_small_reads(len: usize) -> EventLoop {
    loop_with(Limits { read_buffer_len: NonZeroUsize::new(len).expect("not zero"), ..Limits::default() })
}

/// A read callback that logs bytes as text.
fn note(log: &Log) -> impl FnMut(&TcpStream, ReadEvent<'_>) + 'static {
    let log = log.clone();
    move |_, event| match event {
        ReadEvent::Data(data) => log.add(String::from_utf8_lossy(data)),
        ReadEvent::End => log.add("end"),
        ReadEvent::Failed(error) => log.add(format!("{:?}", error.kind())),
    }
}

#[test]
fn every_read_callback_has_its_own_checkpoint() {
    let lp = loop_with_small_reads(1);
    let (stream, mut peer) = with_peer(&lp);
    let log = Log::default();
    let reads = log.clone();
    stream
        .read_start(move |stream, event| {
            let ReadEvent::Data(data) = event else { return };
            let byte = String::from_utf8_lossy(data).into_owned();
            let (tick, microtask) = (reads.clone(), reads.clone());
            reads.add(byte.clone());
            let (one, other) = (format!("{byte} microtask"), format!("{byte} tick"));
            stream.lp().queue_microtask(move |_| microtask.add(one));
            stream.lp().next_tick(move |_| tick.add(other));
        })
        .unwrap();
    peer.write_all(b"ab").unwrap();
    drop((stream, peer));
    finish(lp);
    assert_eq!(log.lines(), ["a", "a tick", "a microtask", "b", "b tick", "b microtask"]);
}

#[test]
fn stopping_in_the_callback_stops_at_once() {
    let lp = loop_with_small_reads(1);
    let (stream, mut peer) = with_peer(&lp);
    let log = Log::default();
    let mut reads = note(&log);
    peer.write_all(b"abc").unwrap();
    stream
        .read_start(move |stream, event| {
            reads(stream, event);
            stream.read_stop();
        })
        .unwrap();
    run(&lp); // nothing keeps the loop alive once it has stopped
    assert_eq!(log.lines(), ["a"]);
    stream.read_start(note(&log)).unwrap();
    drop((stream, peer));
    finish(lp);
    assert_eq!(log.lines(), ["a", "b", "c", "end"]);
}

#[test]
fn a_callback_may_stop_and_start_reading() {
    let lp = loop_with_small_reads(1);
    let (stream, mut peer) = with_peer(&lp);
    let log = Log::default();
    let (first, second) = (log.clone(), log.clone());
    stream
        .read_start(move |stream, _| {
            first.add("first");
            stream.read_stop();
            let second = second.clone();
            stream.read_start(move |_, event| second.add(format!("second {event:?}"))).unwrap();
        })
        .unwrap();
    peer.write_all(b"ab").unwrap();
    drop((stream, peer));
    finish(lp);
    assert_eq!(log.lines(), ["first", "second Data([98])", "second End"]);
}

#[test]
fn stopping_from_another_callback_of_the_same_poll_is_obeyed() {
    let lp = new_loop();
    let (one, mut one_peer) = with_peer(&lp);
    let (other, mut other_peer) = with_peer(&lp);
    let log = Log::default();
    for (stream, rival) in [(&one, other.clone()), (&other, one.clone())] {
        let mut reads = note(&log);
        stream
            .read_start(move |stream, event| {
                reads(stream, event);
                rival.read_stop();
                stream.read_stop();
            })
            .unwrap();
    }
    one_peer.write_all(b"x").unwrap();
    other_peer.write_all(b"x").unwrap();
    run(&lp);
    assert_eq!(log.lines(), ["x"]);
    drop((one, other));
    finish(lp);
}

#[test]
fn a_reader_that_starts_late_gets_what_came_before() {
    for with_end in [false, true] {
        let lp = new_loop();
        let (stream, mut peer) = with_peer(&lp);
        peer.write_all(b"early").unwrap();
        let peer = (!with_end).then_some(peer);
        turns_in(&lp, ms(5)); // the event comes while nobody reads
        let log = Log::default();
        stream.read_start(note(&log)).unwrap();
        turns_in(&lp, ms(5));
        assert_eq!(log.lines()[0], "early");
        assert_eq!(log.len(), if with_end { 2 } else { 1 });
        drop((stream, peer));
        finish(lp);
        assert_eq!(log.lines(), ["early", "end"]);
    }
}

#[test]
fn data_that_nobody_reads_does_not_spin() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    peer.write_all(&[0; 1000]).unwrap();
    // Something else is under way on the stream, so that events go to its callbacks.
    let log = Log::default();
    stream.read_start(note(&log)).unwrap();
    stream.read_stop();
    stream.queue_write(&pattern(4 * 1024 * 1024)).unwrap();
    let turns = turns_in(&lp, ms(50));
    assert!(turns < 20, "{turns} turns passed while nothing was to be done");
    drop(peer);
    let turns = turns_in(&lp, ms(50));
    assert!(turns < 20, "{turns} turns passed after the peer had gone");
    assert_eq!(log.len(), 0);
    drop(stream);
    finish(lp);
}

#[test]
fn an_idle_reader_does_not_spin() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    let log = Log::default();
    stream.read_start(note(&log)).unwrap();
    peer.write_all(b"x").unwrap();
    let turns = turns_in(&lp, ms(30));
    assert!(turns < 10, "{turns} turns");
    assert_eq!(log.lines(), ["x"]);
    stream.close();
    finish(lp);
}

#[test]
fn data_and_end_that_come_together_are_told_apart() {
    // Longer than, as long as, and shorter than a read.
    for len in [100, 64, 63, 1] {
        let lp = loop_with_small_reads(64);
        let (stream, mut peer) = with_peer(&lp);
        peer.write_all(&vec![b'x'; len]).unwrap();
        drop(peer);
        let log = Log::default();
        stream.read_start(note(&log)).unwrap();
        run(&lp);
        let mut lines = log.lines();
        assert_eq!(lines.pop().as_deref(), Some("end"));
        assert_eq!(lines.concat().len(), len);
        // The end stays, for whoever asks again.
        let later = Log::default();
        stream.read_start(note(&later)).unwrap();
        run(&lp);
        assert_eq!(later.lines(), ["end"]);
        assert_eq!(block_on(&lp, stream.read(&mut [0; 8])).unwrap(), 0);
        assert_eq!(block_on(&lp, stream.read(&mut [0; 8])).unwrap(), 0);
        drop(stream);
        finish(lp);
    }
}

#[test]
fn a_reset_ends_reading_with_an_error_and_closes_nothing() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    let log = Log::default();
    stream.read_start(note(&log)).unwrap();
    reset(peer);
    run(&lp); // a reader that failed does not keep the loop alive
    assert_eq!(log.lines(), ["ConnectionReset"]);
    assert!(!stream.is_closed());
    assert!(is_broken(&stream.queue_write(b"x").unwrap_err()));
    stream.close();
    finish(lp);
}

#[test]
fn urgent_data_does_not_spin() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    let log = Log::default();
    stream.read_start(note(&log)).unwrap();
    peer.write_all(b"a").unwrap();
    SockRef::from(&peer).send_out_of_band(b"!").unwrap();
    peer.write_all(b"b").unwrap();
    let turns = turns_in(&lp, ms(30));
    assert!(turns < 10, "{turns} turns");
    assert_eq!(log.lines().concat(), "ab");
    stream.close();
    finish(lp);
}

#[test]
fn the_fronts_take_over_from_each_other() {
    let lp = loop_with_small_reads(2);
    let (stream, mut peer) = with_peer(&lp);
    let log = Log::default();
    let mut reads = note(&log);
    peer.write_all(b"abcdef").unwrap();
    stream
        .read_start(move |stream, event| {
            reads(stream, event);
            stream.read_stop();
        })
        .unwrap();
    run(&lp);
    assert_eq!(log.lines(), ["ab"]);
    let mut buf = [0; 2];
    block_on(&lp, stream.read_exact(&mut buf)).unwrap();
    assert_eq!(buf, *b"cd");
    stream.read_start(note(&log)).unwrap();
    drop(peer);
    run(&lp);
    assert_eq!(log.lines(), ["ab", "ef", "end"]);
    drop(stream);
    // A short read by a future, then a callback, then a future again.
    let (stream, mut peer) = with_peer(&lp);
    peer.write_all(b"x").unwrap();
    assert_eq!(block_on(&lp, stream.read(&mut [0; 8])).unwrap(), 1);
    let later = Log::default();
    stream.read_start(note(&later)).unwrap();
    peer.write_all(b"y").unwrap();
    turns_in(&lp, ms(5));
    stream.read_stop();
    drop(peer);
    assert_eq!(block_on(&lp, stream.read(&mut [0; 8])).unwrap(), 0);
    assert_eq!(later.lines(), ["y"]);
    drop(stream);
    finish(lp);
}

/// Sends without end until the other side closes.
fn flood(mut peer: std::net::TcpStream) -> thread::JoinHandle<()> {
    thread::spawn(move || while peer.write_all(&[0; 4096]).is_ok() {})
}

#[test]
fn a_flood_lets_timers_and_other_streams_go_on() {
    let lp = loop_with(Limits {
        read_buffer_len: NonZeroUsize::new(64).unwrap(),
        reads_per_turn: std::num::NonZeroU32::new(4).expect("not zero"),
        ..Limits::default()
    });
    let (flooded, peer) = with_peer(&lp);
    let (quiet, mut quiet_peer) = with_peer(&lp);
    flooded.read_start(|_, event| assert!(matches!(event, ReadEvent::Data(_)))).unwrap();
    let sender = flood(peer);
    let log = Log::default();
    let (timers, ends) = (log.clone(), flooded.clone());
    lp.timer(ms(10), move |_| {
        timers.add("timer");
        quiet_peer.write_all(b"quiet").unwrap();
    });
    let mut reads = note(&log);
    quiet
        .read_start(move |stream, event| {
            reads(stream, event);
            stream.close();
            ends.close();
        })
        .unwrap();
    drop((flooded, quiet));
    finish(lp);
    sender.join().unwrap();
    assert_eq!(log.lines(), ["timer", "quiet"]);
}

#[test]
fn a_turn_reads_no_more_than_its_budget() {
    let lp = loop_with(Limits {
        read_buffer_len: NonZeroUsize::new(1).unwrap(),
        reads_per_turn: std::num::NonZeroU32::new(4).expect("not zero"),
        ..Limits::default()
    });
    let (stream, mut peer) = with_peer(&lp);
    peer.write_all(&[b'x'; 64]).unwrap();
    let (in_turn, most) = (Rc::new(Cell::new((0, 0))), Rc::new(Cell::new(0)));
    let highest = Rc::clone(&most);
    // A callback that starts reading again and again gets no larger share by that.
    restart(
        &stream,
        Rc::new(move |stream: &TcpStream| {
            let turn = stream.lp().metrics().turns;
            let (known, count) = in_turn.get();
            let count = if known == turn { count + 1 } else { 1 };
            in_turn.set((turn, count));
            highest.set(highest.get().max(count));
        }),
    );
    drop(peer);
    run(&lp);
    assert!(most.get() <= 4, "one turn made {} reads", most.get());
    drop(stream);
    finish(lp);
}

#[test]
fn further_waits_of_a_poll_phase_give_no_second_budget() {
    let lp = loop_with(Limits {
        read_buffer_len: NonZeroUsize::new(64).unwrap(),
        events_per_wait: NonZeroUsize::new(1).unwrap(), // each wait comes back full, so poll waits again
        reads_per_turn: std::num::NonZeroU32::new(4).expect("not zero"),
        ..Limits::default()
    });
    let most = Rc::new(Cell::new(0));
    let mut senders = Vec::new();
    for _ in 0..2 {
        let (stream, peer) = with_peer(&lp);
        let (highest, mut last) = (Rc::clone(&most), (0, 0));
        let mut total = 0;
        stream
            .read_start(move |stream, _| {
                let turn = stream.lp().metrics().turns;
                last = if last.0 == turn { (turn, last.1 + 1) } else { (turn, 1) };
                highest.set(highest.get().max(last.1));
                total += 1;
                if total == 2000 {
                    stream.close();
                }
            })
            .unwrap();
        senders.push(flood(peer));
    }
    finish(lp);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert!(most.get() <= 4, "one stream had {} reads in one turn", most.get());
}

#[test]
fn a_read_callback_that_panics_goes_on_with_the_next_bytes() {
    let lp = loop_with_small_reads(1);
    let (stream, mut peer) = with_peer(&lp);
    let log = Log::default();
    let (caught, mut reads) = (log.clone(), note(&log));
    lp.on_uncaught(move |_, uncaught| caught.add(uncaught.message().unwrap_or("?")));
    stream
        .read_start(move |stream, event| {
            let panics = matches!(event, ReadEvent::Data(b"!"));
            reads(stream, event);
            assert!(!panics, "caught");
        })
        .unwrap();
    peer.write_all(b"a!b").unwrap();
    drop((stream, peer));
    finish(lp);
    assert_eq!(log.lines(), ["a", "!", "caught", "b", "end"]);
}

/// Calls `on_data` with a callback that is replaced each time, until the end of the stream.
fn restart(stream: &TcpStream, on_data: Rc<dyn Fn(&TcpStream)>) {
    let started = stream.read_start(move |stream, event| {
        if matches!(event, ReadEvent::Data(_)) {
            on_data(stream);
            restart(stream, Rc::clone(&on_data));
        }
    });
    started.expect("the stream is open");
}

#[test]
fn a_stream_may_be_closed_in_its_read_callback() {
    let lp = loop_with_small_reads(1);
    let (stream, mut peer) = with_peer(&lp);
    let (dropped, drops) = Dropped::new();
    let log = Log::default();
    let (mut reads, closes) = (note(&log), log.clone());
    peer.write_all(b"abc").unwrap();
    let own = stream.clone();
    stream
        .read_start(move |stream, event| {
            dropped.keep();
            reads(stream, event);
            let closes = closes.clone();
            assert!(own.close_with(move |_| closes.add("closed")));
            assert!(stream.read_start(|_, _| {}).is_err());
        })
        .unwrap();
    drop(stream);
    finish(lp);
    assert_eq!(log.lines(), ["a", "closed"]);
    assert_eq!(drops.get(), 1);
}

#[test]
fn the_last_clone_may_be_dropped_in_its_read_callback() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    let own = Rc::new(RefCell::new(Some(stream.clone())));
    peer.write_all(b"abc").unwrap();
    stream
        .read_start(move |stream, _| {
            own.take();
            stream.read_stop();
        })
        .unwrap();
    drop(stream);
    finish(lp);
    assert_eq!(loopback::read_all(&peer), b"");
}

#[test]
fn callbacks_are_dropped_at_the_end_of_the_stream() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let (dropped, drops) = Dropped::new();
    let own = a.clone();
    a.read_start(move |_, _| {
        dropped.keep();
        let _cycle = &own;
    })
    .unwrap();
    b.close();
    drop(a);
    finish(lp);
    assert_eq!(drops.get(), 1);
}

#[test]
fn callbacks_that_own_their_stream_are_dropped_with_the_loop() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    let (dropped, drops) = Dropped::new();
    let own = stream.clone();
    stream
        .read_start(move |_, _| {
            dropped.keep();
            let _cycle = &own;
        })
        .unwrap();
    let (queued, queued_drops) = Dropped::new();
    let own = stream.clone();
    stream
        .queue_write_with(&pattern(1024 * 1024), move |_, _| {
            queued.keep();
            let _cycle = &own;
        })
        .unwrap();
    drop(stream);
    drop(lp);
    assert_eq!((drops.get(), queued_drops.get()), (1, 1));
    // The socket went with them.
    peer.set_nodelay(true).unwrap();
    while peer.write_all(b"x").is_ok() {}
}

#[test]
fn an_unreferenced_reader_does_not_hold_the_loop() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    stream.read_start(|_, _| {}).unwrap();
    stream.unref();
    run(&lp);
    stream.ref_();
    assert!(lp.is_alive());
    assert!(lp.why_alive()[0].starts_with("TcpStream (active) from "));
    drop(peer);
    drop(stream);
    finish(lp);
}
