//! Records what real Chromium does with scenarios, and writes it into their files.
//!
//!     cargo run -p phaseloop-tests --bin record_browser -- [--runs N] FILE_OR_FOLDER...
//!
//! Each scenario that names the profile `browser` runs N times on a quiet machine and once on a busy one. One whose traces differ is
//! left as it is. Exits with 1 if there was one. `chromium` has to be on the search path.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to whoever started it")]

use phaseloop_tests::chromium::Chromium;
use phaseloop_tests::node::Hog;
use phaseloop_tests::peers::peer;
use phaseloop_tests::runner::check::scenarios_at;
use phaseloop_tests::scenario::{Profile, Scenario};
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match record() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(left_out) => {
            eprintln!("{left_out} scenarios were left out");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Records and writes everything and returns how many scenarios were left out.
fn record() -> Result<usize, Box<dyn Error>> {
    let (mut runs, mut paths) = (2, Vec::new());
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => runs = arguments.next().ok_or("--runs needs a value")?.parse()?,
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    if paths.is_empty() {
        return Err("name a file or a folder of scenarios".into());
    }
    let chromium = Chromium::new(peer("chromium").ok_or("there is no chromium on the search path")?);
    let mut files = Vec::new();
    for path in &paths {
        files.extend(scenarios_at(path)?.into_iter().map(|scenario| (file_of(path, &scenario), scenario)));
    }
    files.retain(|(_, scenario)| scenario.profiles.contains(&Profile::Browser));
    let scenarios: Vec<Scenario> = files.iter().map(|(_, scenario)| scenario.clone()).collect();
    let mut recorded = Vec::new();
    for _ in 0..runs {
        recorded.push(chromium.traces(&scenarios)?);
    }
    let hog = Hog::start(HOG_THREADS);
    recorded.push(chromium.traces(&scenarios)?);
    drop(hog);
    let mut left_out = 0;
    for (index, (file, mut scenario)) in files.into_iter().enumerate() {
        let mut traces: Vec<&Vec<String>> = recorded.iter().map(|traces| &traces[index]).collect();
        traces.dedup();
        if let [trace] = traces[..] {
            let others = scenario.profiles.iter().filter(|profile| profile.node_version().is_some());
            let mut all: Vec<_> =
                others.filter_map(|&other| Some((other, scenario.expected(other)?.to_vec()))).collect();
            all.push((Profile::Browser, trace.clone()));
            scenario.expect_traces(all);
            fs::write(&file, scenario.to_json())?;
        } else {
            left_out += 1;
            println!("{} is not stable\n  {traces:?}", scenario.name);
        }
    }
    println!("{} scenarios, {left_out} left out", scenarios.len());
    Ok(left_out)
}

fn file_of(path: &Path, scenario: &Scenario) -> PathBuf {
    if path.is_dir() { path.join(format!("{}.json", scenario.name)) } else { path.to_owned() }
}

/// Threads that make the machine busy: enough for delays, few enough to finish.
const HOG_THREADS: usize = 2;
