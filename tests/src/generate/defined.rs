//! Whether a trace is forced.

use crate::model::{Jitter, Quiet, Rules, run_by, trace_by};
use crate::scenario::{Profile, Scenario};

/// The profiles in which a scenario is well defined and worth running: nothing changes however late things
/// are, it does not take long, and something is recorded.
pub fn defined_in(scenario: &Scenario) -> Vec<Profile> {
    let distinct: Vec<Profile> = Profile::DISTINCT.into_iter().filter(|&p| is_defined(scenario, p)).collect();
    let like = |profile| match profile {
        Profile::Node12 | Profile::Node16 => Profile::Node18,
        Profile::Node24 => Profile::Node22,
        other => other,
    };
    Profile::ALL.into_iter().filter(|&profile| distinct.contains(&like(profile))).collect()
}

fn is_defined(scenario: &Scenario, profile: Profile) -> bool {
    let rules = Rules::of(profile);
    let quiet = run_by(scenario, rules, &mut Quiet);
    let is_short = quiet.lasted_ms <= LASTED_MS_MAX && quiet.trace.len() <= TRACE_LEN_MAX;
    let is_forced = |seed| trace_by(scenario, rules, &mut Jitter::new(seed)) == quiet.trace;
    quiet.trace.len() >= TRACE_LEN_MIN && is_short && (0..SEEDS).all(is_forced)
}

/// How many kinds of noise a trace has to survive.
const SEEDS: u64 = 250;

/// Shorter traces show too little.
const TRACE_LEN_MIN: usize = 6;

/// Longer traces are hard to read when they fail.
const TRACE_LEN_MAX: usize = 120;

/// Longer scenarios take too long in real time.
const LASTED_MS_MAX: f64 = 1000.0;
