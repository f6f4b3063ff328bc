//! The model of the rules agrees with real Node.js and real Chromium, and the scenarios notice when any one rule is broken.

use phaseloop_tests::model::{Jitter, Quiet, Rules, trace, trace_by};
use phaseloop_tests::scenario::{Profile, Scenario, load_folder};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_model_agrees_with_every_recorded_trace() {
    let mut compared = 0;
    let mut differences = Vec::new();
    for scenario in all() {
        for profile in Profile::every() {
            let Some(recorded) = scenario.expected(profile) else { continue };
            compared += 1;
            let modelled = trace(&scenario, profile);
            if modelled != recorded {
                differences.push(format!(
                    "{} in {profile}\n  real  {recorded:?}\n  model {modelled:?}",
                    scenario.name
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{} of {compared} differ\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn every_broken_rule_is_noticed() {
    let scenarios = all();
    let mut unnoticed: BTreeSet<&str> =
        Rules::of(Profile::Node26).mutants().iter().map(|(name, _)| *name).collect();
    for profile in Profile::every() {
        for (name, mutant) in Rules::of(profile).mutants() {
            if unnoticed.contains(name) && scenarios.iter().any(|scenario| notices(scenario, profile, mutant))
            {
                unnoticed.remove(name);
            }
        }
    }
    assert!(unnoticed.is_empty(), "no scenario notices if these rules are broken: {unnoticed:?}");
}

/// A rule that a browser does not share with Node.js is noticed in the browser, not just somewhere.
#[test]
fn every_broken_rule_of_the_browser_is_noticed_there() {
    let (scenarios, rules) = (all(), Rules::of(Profile::Browser));
    let own = rules.differing(Rules::of(Profile::Node26));
    let unnoticed: Vec<&str> = rules
        .mutants()
        .into_iter()
        .filter(|(name, _)| own.contains(name))
        .filter(|(_, mutant)| !scenarios.iter().any(|scenario| notices(scenario, Profile::Browser, *mutant)))
        .map(|(name, _)| name)
        .collect();
    assert!(unnoticed.is_empty(), "no scenario of a page notices if these rules are broken: {unnoticed:?}");
}

fn notices(scenario: &Scenario, profile: Profile, mutant: Rules) -> bool {
    scenario.expected(profile).is_some_and(|recorded| trace_by(scenario, mutant, &mut Quiet) != recorded)
}

#[test]
fn every_scenario_is_well_defined() {
    let mut loose = Vec::new();
    for scenario in all() {
        for profile in Profile::every() {
            let Some(recorded) = scenario.expected(profile) else { continue };
            for seed in 0..16 {
                let modelled = trace_by(&scenario, Rules::of(profile), &mut Jitter::up_to(3, seed));
                if modelled != recorded {
                    loose.push(format!(
                        "{} in {profile}, seed {seed}\n  real  {recorded:?}\n  noisy {modelled:?}",
                        scenario.name
                    ));
                    break;
                }
            }
        }
    }
    assert!(loose.is_empty(), "{} traces depend on how long things take\n{}", loose.len(), loose.join("\n"));
}

fn all() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let folders = ["given", "corpus", "generated", "browser"];
    folders.iter().flat_map(|name| load_folder(&folder.join(name)).expect("the scenarios are read")).collect()
}
