//! The scenarios that ship can be read, and writing them loses nothing.

use phaseloop_tests::scenario::{Scenario, load_folder, parse};
use std::path::Path;

#[test]
fn a_scenario_survives_being_written() {
    for scenario in given() {
        let json = scenario.to_json();
        assert_eq!(parse(&scenario.name, &json), Ok(scenario), "{json}");
    }
}

fn given() -> Vec<Scenario> {
    load_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/given"))
        .expect("the scenarios are read")
}
