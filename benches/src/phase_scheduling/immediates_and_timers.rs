//! How late is a timeout, and how many immediates run for each, if there are always immediates?
//!
//! 8 immediates set themselves again and again; each takes 5 us and leaves 4 ticks of 2 us. Beside them 16 timeouts of 1 ms
//! do the same. Both get their turn under every schedule: the question is how the time is divided.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use phaseloop::{LoopHandle, Schedule};

use super::{Left, Log, Observed, new_loop, run_to_stop, us, work};

const IMMEDIATES: usize = 8;
const TIMEOUTS: usize = 16;
const DELAY: Duration = Duration::from_millis(1);
const CALLBACK: Duration = us(5);
const TICKS: u32 = 4;
const TICK: Duration = us(2);

struct Both {
    left: Left,
    late: Log,
    rounds: Log,
    immediates: Cell<u64>,
}

/// Waits for `ops` timeouts.
pub(super) fn run(schedule: Schedule, ops: u64) -> Observed {
    let lp = new_loop(schedule);
    let both = Rc::new(Both {
        left: Left::new(ops),
        late: Log::default(),
        rounds: Log::default(),
        immediates: Cell::new(0),
    });
    (0..IMMEDIATES).for_each(|_| set_immediate(&lp, Rc::clone(&both)));
    (0..TIMEOUTS).for_each(|_| set_timeout(&lp, Rc::clone(&both)));
    run_to_stop(&lp);
    let series = vec![
        both.late.series("a timeout of 1 ms, after it was due"),
        both.rounds.series("an immediate, after it was set"),
    ];
    let immediates = both.immediates.get();
    assert_eq!(series[0].late.len() as u64, ops, "every timeout ran");
    assert!(immediates >= IMMEDIATES as u64, "every immediate ran");
    Observed { series, ratio: Some(("immediates a timeout", immediates as f64 / ops as f64)) }
}

fn callback(lp: &LoopHandle) {
    work(CALLBACK);
    (0..TICKS).for_each(|_| lp.next_tick(|_| work(TICK)));
}

fn set_immediate(lp: &LoopHandle, both: Rc<Both>) {
    let set = Instant::now();
    lp.set_immediate(move |lp| {
        both.rounds.add(set.elapsed());
        both.immediates.update(|count| count + 1);
        callback(lp);
        set_immediate(lp, both);
    });
}

fn set_timeout(lp: &LoopHandle, both: Rc<Both>) {
    let due = Instant::now() + DELAY;
    lp.set_timeout(DELAY, move |lp| {
        if both.left.is_over() {
            return;
        }
        both.late.add(due.elapsed()); // zero for one that is early by a fraction, as Node's may be
        callback(lp);
        if both.left.is_last() {
            return lp.stop();
        }
        set_timeout(lp, both);
    });
}
