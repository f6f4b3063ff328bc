//! How late is a timeout if poll always finds something?
//!
//! 32 connections pass a byte to and fro, both ends on the loop, and each read callback takes 10 us; so a turn takes about
//! half a millisecond. Beside them 16 timeouts of 1 ms are set again and again, and each leaves 5 ticks of 2 us.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use phaseloop::net::{ReadEvent, TcpStream};
use phaseloop::{EventLoop, LoopHandle, Schedule};

use super::{Left, Log, Observed, connections, new_loop, run_to_stop, us, work};

const CONNECTIONS: usize = 32;
const READ: Duration = us(10);
const TIMEOUTS: usize = 16;
const DELAY: Duration = Duration::from_millis(1);
const TICKS: u32 = 5;
const TICK: Duration = us(2);

struct Timeouts {
    left: Left,
    late: Log,
    reads: Cell<u64>,
}

/// Waits for `ops` timeouts.
pub(super) fn run(schedule: Schedule, ops: u64) -> Observed {
    let lp = new_loop(schedule);
    let timeouts = Rc::new(Timeouts { left: Left::new(ops), late: Log::default(), reads: Cell::new(0) });
    for _ in 0..CONNECTIONS {
        ping_pong(&lp, &timeouts);
    }
    for _ in 0..TIMEOUTS {
        set(&lp, Rc::clone(&timeouts));
    }
    run_to_stop(&lp);
    let series = vec![timeouts.late.series("a timeout of 1 ms, after it was due")];
    assert_eq!(series[0].late.len() as u64, ops, "every timeout ran");
    assert!(timeouts.reads.get() > 0, "the flood was there");
    Observed { series, ratio: Some(("reads a timeout", timeouts.reads.get() as f64 / ops as f64)) }
}

fn ping_pong(lp: &EventLoop, timeouts: &Rc<Timeouts>) {
    let (near, far) = connections::pair();
    for end in [near, far] {
        let stream = TcpStream::from_std(lp, end).expect("phaseloop takes the socket");
        let timeouts = Rc::clone(timeouts);
        let reading = stream.read_start(move |stream, event| match event {
            ReadEvent::Data(bytes) => {
                work(READ);
                timeouts.reads.update(|reads| reads + 1);
                stream.queue_write(bytes).expect("one byte fits");
            }
            _ => unreachable!("nobody closes a connection"),
        });
        reading.expect("the stream is open");
        if begins(&stream) {
            stream.queue_write(b"x").expect("one byte fits");
        }
    }
}

/// One end of each pair begins: the one whose port is the lower.
fn begins(stream: &TcpStream) -> bool {
    let ports = stream.local_addr().and_then(|own| Ok((own.port(), stream.peer_addr()?.port())));
    ports.is_ok_and(|(own, peer)| own < peer)
}

/// Sets a timeout that notes how late it is, leaves ticks, and is set again.
fn set(lp: &LoopHandle, timeouts: Rc<Timeouts>) {
    let due = Instant::now() + DELAY;
    lp.set_timeout(DELAY, move |lp| {
        if timeouts.left.is_over() {
            return;
        }
        timeouts.late.add(due.elapsed()); // zero for one that is early by a fraction, as Node's may be
        (0..TICKS).for_each(|_| lp.next_tick(|_| work(TICK)));
        if timeouts.left.is_last() {
            return lp.stop();
        }
        set(lp, timeouts);
    });
}
