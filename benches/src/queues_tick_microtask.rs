//! What do a nextTick callback and a microtask cost, each queued by the one before?
//!
//! Only Node.js has both queues, so it is the one peer.

use std::cell::Cell;
use std::rc::Rc;

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const GOALS: &[Goal] = &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.15) }];

/// One callback of each of the two queues.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "queues_next_tick",
        operation: "callback",
        unit: Unit::CpuNs,
        full: 5_000_000,
        brief: 1_000,
        goals: GOALS,
        contestants: &[
            Contestant::ours("phaseloop", |ops| phaseloop(ops, next_tick)),
            Contestant::peer("node", |ops| peers::node::run("queues_next_tick.js", ops)),
        ],
    },
    Question {
        name: "queues_microtask",
        operation: "callback",
        unit: Unit::CpuNs,
        full: 5_000_000,
        brief: 1_000,
        goals: GOALS,
        contestants: &[
            Contestant::ours("phaseloop", |ops| phaseloop(ops, queue_microtask)),
            Contestant::peer("node", |ops| peers::node::run("queues_microtask.js", ops)),
        ],
    },
];

/// Queues a callback that counts, and queues the next until there were so many.
type Queue = fn(&phaseloop::LoopHandle, Rc<Cell<u64>>, u64);

fn phaseloop(ops: u64, queue: Queue) -> Sample {
    let lp = peers::phaseloop::new_loop();
    let ran = Rc::new(Cell::new(0));
    let watch = Stopwatch::start();
    queue(&lp, ran.clone(), ops);
    peers::phaseloop::run(&lp);
    let sample = watch.stop(ops);
    assert_eq!(ran.get(), ops);
    sample
}

fn next_tick(lp: &phaseloop::LoopHandle, ran: Rc<Cell<u64>>, ops: u64) {
    lp.next_tick(move |lp| {
        ran.set(ran.get() + 1);
        if ran.get() < ops {
            next_tick(lp, ran, ops);
        }
    });
}

fn queue_microtask(lp: &phaseloop::LoopHandle, ran: Rc<Cell<u64>>, ops: u64) {
    lp.queue_microtask(move |lp| {
        ran.set(ran.get() + 1);
        if ran.get() < ops {
            queue_microtask(lp, ran, ops);
        }
    });
}
