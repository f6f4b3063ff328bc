//! The rules of SEMANTICS.md as a small program in virtual time.
//!
//! It knows nothing of any event loop implementation: it is a third witness beside real Node.js and
//! phaseloop. Where the three disagree, two of them show which one is wrong. [`Rules`] is plain data with one
//! field a rule, so that a test can break each rule by itself and ask whether any scenario notices.
//!
//! How to read it: `machine` is the process from the main body to the exit listeners, and the loop; `timers`,
//! `poll` and `check` are the phases; `drain` is what happens between callbacks; `execute` is what operations
//! do; `tasks` is the loop of a page; `promise`, `async_function` and `emitter` are the machines behind the operations of that name.

mod async_function;
mod check;
mod drain;
mod emitter;
mod execute;
mod machine;
mod noise;
mod poll;
mod promise;
mod rules;
mod tasks;
mod timer_lists;
mod timers;

pub use noise::{Jitter, Noise, Quiet};
pub use rules::Rules;

use crate::scenario::{Profile, Scenario};
use machine::Machine;

/// The trace that the rules of `profile` force.
pub fn trace(scenario: &Scenario, profile: Profile) -> Vec<String> {
    trace_by(scenario, Rules::of(profile), &mut Quiet)
}

/// The trace that `rules` force if everything takes as long as `noise` says.
pub fn trace_by(scenario: &Scenario, rules: Rules, noise: &mut dyn Noise) -> Vec<String> {
    run_by(scenario, rules, noise).trace
}

/// As [`trace_by`], with more to say.
pub fn run_by(scenario: &Scenario, rules: Rules, noise: &mut dyn Noise) -> Run {
    Machine::new(rules, noise).run(&scenario.program)
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What it recorded.
    pub trace: Vec<String>,
    /// How long it took, in milliseconds of virtual time.
    pub lasted_ms: f64,
}
