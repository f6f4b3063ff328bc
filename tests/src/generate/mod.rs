//! Scenarios made from a seed, and the test whether a scenario is well defined.
//!
//! `grammar` writes programs that are likely to be well defined; `defined` keeps those that are: a trace is
//! forced if it survives the noise that FORMAT.md allows. `shrink` makes a failing scenario smaller.

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

#[cfg(test)]
mod tests {
    use super::scenario;

    #[test]
    fn a_seed_always_makes_the_same_scenario() {
        assert_eq!(scenario(7), scenario(7));
        assert_ne!(scenario(7).program, scenario(8).program);
    }

    #[test]
    fn every_operation_is_generated_in_programs_of_up_to_sixty() {
        let made: Vec<String> = (0..80).map(|seed| scenario(seed).to_json()).collect();
        for op in OPERATIONS {
            let needle = format!("\"op\": \"{op}\"");
            assert!(made.iter().any(|json| json.contains(&needle)), "no scenario has {op}");
        }
        for json in made {
            let ops = json.matches("\"op\":").count();
            assert!(ops <= 60, "{ops} operations:\n{json}");
        }
    }

    const OPERATIONS: [&str; 35] = [
        "log",
        "busy",
        "throw",
        "quit",
        "nextTick",
        "microtask",
        "promise",
        "async",
        "reject",
        "catch",
        "immediate",
        "timeout",
        "interval",
        "clear",
        "refresh",
        "ref",
        "unref",
        "pool",
        "stat",
        "readFile",
        "send",
        "echo",
        "close",
        "on",
        "once",
        "prepend",
        "prependOnce",
        "off",
        "offAll",
        "emit",
        "setMaxListeners",
        "beforeExit",
        "exit",
        "await",
        "return",
    ];
}
