//! Records what real Node.js does with scenarios, and writes it into their files.
//!
//!     cargo run -p phaseloop-tests --bin record -- [--runs N] [--workers N] FILE_OR_FOLDER...
//!
//! Each scenario runs in every profile that it names, N times on a quiet machine and once on a busy one. A
//! profile whose traces differ is left out, and so is a file without any. Exits with 1 if something was left
//! out.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to whoever started it")]

use phaseloop_tests::node::{Hog, Node, stable_trace};
use phaseloop_tests::scenario::{Profile, Scenario, load_file, load_folder};
use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn main() -> ExitCode {
    match record() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(left_out) => {
            eprintln!("{left_out} traces were left out");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Request {
    runs: u32,
    workers: usize,
    paths: Vec<PathBuf>,
}

/// One scenario in one profile.
struct Run<'a> {
    scenario: &'a Scenario,
    scenario_index: usize,
    profile: Profile,
}

/// What a run recorded, or why nothing.
type Recorded = Result<Vec<String>, String>;

/// Records and writes everything and returns how many traces were left out.
fn record() -> Result<usize, Box<dyn Error>> {
    let request = Request::read(env::args().skip(1))?;
    let nodes = installed()?;
    let mut files: Vec<(PathBuf, Scenario)> = Vec::new();
    for path in &request.paths {
        files.extend(scenarios_at(path)?);
    }
    let mut runs = Vec::new();
    for (scenario_index, (_, scenario)) in files.iter().enumerate() {
        let profiles = scenario.profiles.iter().filter(|profile| profile.node_version().is_some());
        runs.extend(profiles.map(|&profile| Run { scenario, scenario_index, profile }));
    }
    println!("{} scenarios, {} traces", files.len(), runs.len());
    let quiet = on_workers(request.workers, &runs, |run| {
        stable_trace(&nodes[&run.profile], run.scenario, request.runs)
    });
    let hog = Hog::start(HOG_THREADS);
    let busy = on_workers(request.workers, &runs, |run| stable_trace(&nodes[&run.profile], run.scenario, 1));
    drop(hog);
    let mut traces: Vec<Vec<(Profile, Vec<String>)>> =
        files.iter().map(|(_, scenario)| by_browser(scenario)).collect();
    let mut left_out = 0;
    for ((run, quiet), busy) in runs.iter().zip(quiet).zip(busy) {
        match agreed(quiet, busy) {
            Ok(trace) => traces[run.scenario_index].push((run.profile, trace)),
            Err(problem) => {
                left_out += 1;
                println!("{} in {}: {problem}", run.scenario.name, run.profile);
            }
        }
    }
    for ((path, mut scenario), traces) in files.into_iter().zip(traces) {
        if !traces.is_empty() {
            scenario.expect_traces(traces);
            fs::write(&path, scenario.to_json())?;
        }
    }
    Ok(left_out)
}

/// What `record_browser` has recorded stays.
fn by_browser(scenario: &Scenario) -> Vec<(Profile, Vec<String>)> {
    let recorded = scenario.expected(Profile::Browser);
    recorded.map(|trace| (Profile::Browser, trace.to_vec())).into_iter().collect()
}

fn agreed(quiet: Recorded, busy: Recorded) -> Recorded {
    let (quiet, busy) = (quiet?, busy?);
    if quiet == busy { Ok(quiet) } else { Err(format!("not stable\n  quiet {quiet:?}\n  busy  {busy:?}")) }
}

impl Request {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Request, Box<dyn Error>> {
        let mut request = Request { runs: 2, workers: 2, paths: Vec::new() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--runs" => request.runs = value()?.parse()?,
                "--workers" => request.workers = value()?.parse()?,
                _ => request.paths.push(PathBuf::from(argument)),
            }
        }
        if request.paths.is_empty() {
            Err("name a file or a folder of scenarios".into())
        } else {
            Ok(request)
        }
    }
}

fn installed() -> Result<BTreeMap<Profile, Node>, String> {
    let find = |profile| {
        let missing = || format!("{profile} is not installed: run tests/conformance/node/install.sh");
        Ok((profile, Node::installed(profile).ok_or_else(missing)?))
    };
    Profile::ALL.into_iter().map(find).collect()
}

fn scenarios_at(path: &Path) -> Result<Vec<(PathBuf, Scenario)>, Box<dyn Error>> {
    if !path.is_dir() {
        return Ok(vec![(path.to_owned(), load_file(path)?)]);
    }
    let file = |scenario: Scenario| (path.join(format!("{}.json", scenario.name)), scenario);
    Ok(load_folder(path)?.into_iter().map(file).collect())
}

/// Does all runs on so many threads; the results are in the order of the runs.
fn on_workers<'a>(
    workers: usize,
    runs: &[Run<'a>],
    work: impl Fn(&Run<'a>) -> Recorded + Sync,
) -> Vec<Recorded> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Recorded>> = runs.iter().map(|_| Mutex::new(Err("not run".to_owned()))).collect();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    // Relaxed: the counter only hands out numbers.
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(run), Some(slot)) = (runs.get(index), results.get(index)) else { break };
                    let result = work(run);
                    *slot.lock().expect("no worker panics with the lock") = result;
                }
            });
        }
    });
    results.into_iter().map(|result| result.into_inner().expect("no worker panics with the lock")).collect()
}

/// Threads that make the machine busy: enough for delays, few enough to finish.
const HOG_THREADS: usize = 2;
