//! Scenarios made from a seed, and the test whether a scenario is well defined.
//!
//! `grammar` writes programs that are likely to be well defined; `defined` keeps those that are: a trace is forced if it
//! survives the noise that FORMAT.md allows. `shrink` makes a failing scenario smaller.

mod defined;
mod grammar;
mod kinds;
mod shrink;

pub use defined::defined_in;
pub use shrink::shrink;

use crate::scenario::Scenario;
use grammar::Grammar;

/// The scenario of that seed, always the same one. It is defined in at least one profile.
pub fn scenario(seed: u64) -> Scenario {
    let mut attempt = 0;
    loop {
        let program = Grammar::new(seed, attempt).program();
        let mut scenario = Scenario {
            name: format!("generated-{seed}"),
            rule: "generated".to_owned(),
            about: format!("Made from seed {seed}."),
            profiles: Vec::new(),
            program,
            expect: Vec::new(),
        };
        scenario.profiles = defined_in(&scenario);
        if !scenario.profiles.is_empty() {
            return scenario;
        }
        attempt += 1;
    }
}
