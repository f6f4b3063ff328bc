//! How late is a message if every message leaves a flood of ticks?
//!
//! 32 connections get a byte each at the same moment; each read callback queues 10 ticks that take 2 us. A schedule that drains
//! after each callback lets the last message wait for the ticks of all others; one that drains when the phase is over
//! reads all messages first, and finishes the first one later.

use std::cell::Cell;
use std::io::Write;
use std::net::TcpStream as StdStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use phaseloop::net::{ReadEvent, TcpStream};
use phaseloop::{LoopHandle, Schedule};

use super::{Left, Log, Observed, connections, new_loop, run_to_stop, us, work};

const CONNECTIONS: u64 = 32;
const TICKS: u32 = 10;
const TICK: Duration = us(2);

struct Messages {
    peers: Vec<StdStream>,
    /// When the last byte of the round was sent.
    sent: Cell<Instant>,
    rounds: Left,
    /// Messages of the round whose last tick has not run.
    unfinished: Cell<u64>,
    read: Log,
    finished: Log,
}

/// Sends `ops` messages, rounded up to whole rounds.
pub(super) fn run(schedule: Schedule, ops: u64) -> Observed {
    let lp = new_loop(schedule);
    let (ours, peers): (Vec<_>, Vec<_>) = (0..CONNECTIONS).map(|_| connections::pair()).unzip();
    let messages = Rc::new(Messages {
        peers,
        sent: Cell::new(Instant::now()),
        rounds: Left::new(ops.div_ceil(CONNECTIONS)),
        unfinished: Cell::new(0),
        read: Log::default(),
        finished: Log::default(),
    });
    for socket in ours {
        let stream = TcpStream::from_std(&lp, socket).expect("phaseloop takes the socket");
        let messages = Rc::clone(&messages);
        let reading = stream.read_start(move |stream, event| match event {
            ReadEvent::Data(bytes) => on_message(&messages, stream.lp(), bytes.len()),
            _ => unreachable!("nobody closes a connection"),
        });
        reading.expect("the stream is open");
    }
    let first = Rc::clone(&messages);
    lp.set_immediate(move |_| send_round(&first));
    run_to_stop(&lp);
    let series = vec![
        messages.read.series("from sent to its read callback"),
        messages.finished.series("from sent to its last tick"),
    ];
    let rounded = ops.div_ceil(CONNECTIONS) * CONNECTIONS;
    assert!(
        series.iter().all(|series| series.late.len() as u64 == rounded),
        "every message was read and finished"
    );
    Observed { series, ratio: None }
}

fn send_round(messages: &Messages) {
    messages.unfinished.set(CONNECTIONS);
    for mut peer in &messages.peers {
        peer.write_all(b"x").expect("one byte fits");
    }
    messages.sent.set(Instant::now());
}

fn on_message(messages: &Rc<Messages>, lp: &LoopHandle, len: usize) {
    assert_eq!(len, 1, "a round is read before the next is sent");
    messages.read.add(messages.sent.get().elapsed());
    for _ in 1..TICKS {
        lp.next_tick(|_| work(TICK));
    }
    let messages = Rc::clone(messages);
    lp.next_tick(move |lp| {
        work(TICK);
        messages.finished.add(messages.sent.get().elapsed());
        messages.unfinished.update(|left| left - 1);
        if messages.unfinished.get() > 0 {
            return;
        }
        if messages.rounds.is_last() {
            return lp.stop();
        }
        lp.set_immediate(move |_| send_round(&messages));
    });
}
