//! Fresh scenarios on real Node.js, on the loop and on the model: three witnesses, who must agree.
//!
//! Needs Node.js in `PHASELOOP_NODE_DIR`, in `target/node` or on the search path. `PHASELOOP_SCENARIOS` says
//! how many scenarios to make (default 25), `PHASELOOP_SEED` the first seed (default: always the same).

#![allow(
    clippy::print_stderr,
    reason = "what was skipped, and with which seed a failure can be repeated, is said aloud"
)]

use phaseloop_tests::generate;
use phaseloop_tests::model::trace;
use phaseloop_tests::node::Node;
use phaseloop_tests::runner::{self, Time};
use phaseloop_tests::scenario::{Profile, Scenario};
use std::env;

#[test]
fn fresh_scenarios_run_alike_on_node_the_loop_and_the_model() {
    let nodes = peers();
    if nodes.is_empty() {
        assert_ne!(env::var("PHASELOOP_REQUIRE_PEERS").as_deref(), Ok("1"), "no Node.js is installed");
        eprintln!("SKIPPED: no Node.js of a known version is installed");
        return;
    }
    let count = number("PHASELOOP_SCENARIOS").unwrap_or(25);
    let first_seed = number("PHASELOOP_SEED").unwrap_or(FIRST_SEED);
    let mut compared = 0;
    let mut differences = Vec::new();
    for seed in first_seed..first_seed + count {
        let scenario = generate::scenario(seed);
        for (profile, node) in nodes.iter().filter(|(profile, _)| scenario.profiles.contains(profile)) {
            compared += 1;
            differences.extend(difference(&scenario, *profile, node));
        }
    }
    eprintln!("PHASELOOP_SEED={first_seed}: compared {compared} traces of {count} scenarios");
    assert!(differences.is_empty(), "{} of {compared} differ\n{}", differences.len(), differences.join("\n"));
}

/// Where the witnesses differ, made as small as possible.
fn difference(scenario: &Scenario, profile: Profile, node: &Node) -> Option<String> {
    let differs = |scenario: &Scenario| recorded_otherwise(scenario, profile, node).is_some();
    if !differs(scenario) {
        return None;
    }
    let is_defined = |scenario: &Scenario| generate::defined_in(scenario).contains(&profile);
    let fails = |smaller: &Scenario| is_defined(smaller) && differs(smaller);
    let small = generate::shrink(scenario, fails);
    let recorded = recorded_otherwise(&small, profile, node);
    let (modelled, ran) = (trace(&small, profile), ran(&small, profile));
    Some(format!(
        "{} in {profile}\n  node  {recorded:?}\n  loop  {ran:?}\n  model {modelled:?}\n{}",
        small.name,
        small.to_json()
    ))
}

/// What Node.js does if it is not what both the loop and the model do. It must go on: a machine that stalls for long can
/// change any trace of Node.js once, while the other two run in virtual time.
fn recorded_otherwise(
    scenario: &Scenario,
    profile: Profile,
    node: &Node,
) -> Option<Result<Vec<String>, String>> {
    let ran = ran(scenario, profile);
    let agreed = ran == trace(scenario, profile);
    let mut recorded = Ok(Vec::new());
    for _ in 0..TRIES {
        recorded = node.trace(scenario);
        if agreed && recorded.as_ref() == Ok(&ran) {
            return None;
        }
    }
    Some(recorded)
}

/// What the loop does.
fn ran(scenario: &Scenario, profile: Profile) -> Vec<String> {
    runner::trace(scenario, profile, Time::Virtual).expect("the system has descriptors and threads")
}

/// The versions that are installed and behave differently; else what is on the search path.
fn peers() -> Vec<(Profile, Node)> {
    let installed =
        Profile::DISTINCT.into_iter().filter_map(|profile| Some((profile, Node::installed(profile)?)));
    let installed: Vec<_> = installed.collect();
    if installed.is_empty() { Node::on_path().into_iter().collect() } else { installed }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value}")))
}

/// Fixed, so that a run of the tests says the same each time. One of the scenarios that follow found a bug. Give another to
/// look further.
const FIRST_SEED: u64 = 1_795_444_300;

/// How often a trace may come out wrong before it counts.
const TRIES: u32 = 3;
