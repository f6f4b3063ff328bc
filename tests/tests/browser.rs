//! phaseloop orders callbacks as a page in Chromium does: the recorded traces come out the same on the real loop, and Chromium,
//! where it is installed, still gives them.

#![cfg(unix)]

use phaseloop_tests::chromium::Chromium;
use phaseloop_tests::peers::peer;
use phaseloop_tests::runner::check::{Report, check};
use phaseloop_tests::runner::{self, Time};
use phaseloop_tests::scenario::{Profile, Scenario, load_folder};
use std::path::Path;

#[test]
fn the_corpus_runs_as_recorded() {
    let report = run(&corpus(), Time::Virtual);
    assert!(report.compared >= SCENARIOS_MIN, "{report}");
    assert!(report.differences.is_empty(), "{report}");
}

#[test]
fn the_corpus_runs_as_recorded_in_real_time() {
    let scenarios = corpus();
    let mut report = run(&scenarios, Time::Real);
    // A machine that stalls for long can change any trace once: what differs must go on to differ.
    report.differences.retain(|difference| {
        let scenario = scenarios.iter().find(|scenario| scenario.name == difference.name);
        let scenario = scenario.expect("the report is about these scenarios");
        (1..TRIES).all(|_| {
            let ran = runner::trace(scenario, difference.profile, Time::Real);
            ran.expect("the system has descriptors and threads") != difference.recorded
        })
    });
    assert!(report.differences.is_empty(), "{report}");
}

#[test]
fn chromium_runs_the_corpus_as_recorded() {
    let Some(binary) = peer("chromium") else { return };
    let (chromium, mut left) = (Chromium::new(binary), corpus());
    let mut differences = Vec::new();
    for _ in 0..TRIES {
        let traces = chromium.traces(&left).expect("each page sends a trace");
        differences.clear();
        let mut again = Vec::new();
        for (scenario, trace) in left.into_iter().zip(traces) {
            let recorded = scenario.expected(Profile::Browser).expect("the scenario was recorded");
            if trace != recorded {
                differences.push(format!("{}\n  recorded {recorded:?}\n  Chromium {trace:?}", scenario.name));
                again.push(scenario);
            }
        }
        left = again;
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn run(scenarios: &[Scenario], time: Time) -> Report {
    check(scenarios, &[Profile::Browser], time, AT_A_TIME).expect("the system has descriptors and threads")
}

fn corpus() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/browser");
    load_folder(&folder).expect("the scenarios are read")
}

/// Few, as FORMAT.md advises for real time.
const AT_A_TIME: usize = 4;

/// How often a trace may come out wrong in real time before it counts.
const TRIES: u32 = 3;

/// Fewer would show that the corpus was not found.
const SCENARIOS_MIN: usize = 30;
