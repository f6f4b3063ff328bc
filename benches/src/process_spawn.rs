//! What does it cost to spawn `/bin/true` and to learn of its end, one child after the other?

use std::process;

use phaseloop::process::Command;

use crate::peers::phaseloop::block_on;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const PROGRAM: &str = "/bin/true";

/// One child. `std` blocks its thread in `wait`, which a loop can not.
pub const QUESTIONS: &[Question] = &[Question {
    name: "process_spawn",
    operation: "child",
    unit: Unit::WallUs,
    full: 1000,
    brief: 20,
    goals: &[Goal { of: "phaseloop", bound: Bound::Times(1.0, "std") }],
    contestants: &[Contestant::ours("phaseloop", ours), Contestant::peer("std", std)],
}];

fn ours(count: u64) -> Sample {
    block_on(async |lp| {
        let watch = Stopwatch::start();
        for _ in 0..count {
            let child = Command::new(PROGRAM).spawn(&lp).expect("it can be run");
            assert!(child.wait().await.expect("it is ours").success());
        }
        watch.stop(count)
    })
}

fn std(count: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..count {
        let mut child = process::Command::new(PROGRAM).spawn().expect("it can be run");
        assert!(child.wait().expect("it is ours").success());
    }
    watch.stop(count)
}
