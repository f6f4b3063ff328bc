//! What do a nextTick callback and a microtask cost, each queued by the one before?
//!
//! Only Node.js has both queues, so it is the one peer.

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Unit};

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
        contestants: &[Contestant::peer("node", |ops| peers::node::run("queues_next_tick.js", ops))],
    },
    Question {
        name: "queues_microtask",
        operation: "callback",
        unit: Unit::CpuNs,
        full: 5_000_000,
        brief: 1_000,
        goals: GOALS,
        contestants: &[Contestant::peer("node", |ops| peers::node::run("queues_microtask.js", ops))],
    },
];
