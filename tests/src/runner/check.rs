//! Compares what scenarios do on phaseloop with their recorded traces.

use super::{Time, trace};
use crate::scenario::{Profile, Scenario, ScenarioError, load_file, load_folder};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A trace that is not as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The scenario.
    pub name: String,
    /// Where it differs.
    pub profile: Profile,
    /// What Node.js recorded.
    pub recorded: Vec<String>,
    /// What phaseloop did.
    pub ran: Vec<String>,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How many traces were compared.
    pub compared: usize,
    /// Those that differ, in the order of the scenarios.
    pub differences: Vec<Difference>,
}

/// Runs each scenario in each of `profiles` that it has a trace for, some at a time.
///
/// # Errors
/// The system's, when no descriptor or thread is left.
///
/// # Panics
/// If a run does.
pub fn check(
    scenarios: &[Scenario],
    profiles: &[Profile],
    time: Time,
    at_a_time: usize,
) -> io::Result<Report> {
    let pairs =
        scenarios.iter().flat_map(|scenario| profiles.iter().map(move |profile| (scenario, *profile)));
    let runs: Vec<Run<'_>> = pairs
        .filter_map(|(scenario, profile)| {
            Some(Run { scenario, profile, recorded: scenario.expected(profile)? })
        })
        .collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> io::Result<()> {
        // Relaxed: only uniqueness matters.
        while let Some((index, run)) = take(&runs, next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(difference) = run.difference(time)? {
                found.lock().expect("no thread panics while it holds it").push((index, difference));
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_a_time.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no run panics"))
    })?;
    let mut found = found.into_inner().expect("no thread panics while it holds it");
    found.sort_by_key(|(index, _)| *index);
    let differences = found.into_iter().map(|(_, difference)| difference).collect();
    Ok(Report { compared: runs.len(), differences })
}

/// The scenarios of a file or a folder.
///
/// # Errors
/// Those of [`load_file`] and [`load_folder`].
pub fn scenarios_at(path: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    if path.is_dir() { load_folder(path) } else { Ok(vec![load_file(path)?]) }
}

/// The scenarios of several files and folders.
///
/// # Errors
/// As [`scenarios_at`].
pub fn scenarios_at_all(paths: &[PathBuf]) -> Result<Vec<Scenario>, ScenarioError> {
    let found: Result<Vec<Vec<Scenario>>, ScenarioError> =
        paths.iter().map(|path| scenarios_at(path)).collect();
    Ok(found?.into_iter().flatten().collect())
}

/// A scenario in a profile.
struct Run<'a> {
    scenario: &'a Scenario,
    profile: Profile,
    recorded: &'a [String],
}

impl Run<'_> {
    fn difference(&self, time: Time) -> io::Result<Option<Difference>> {
        let ran = trace(self.scenario, self.profile, time)?;
        Ok((ran != self.recorded).then(|| Difference {
            name: self.scenario.name.clone(),
            profile: self.profile,
            recorded: self.recorded.to_vec(),
            ran,
        }))
    }
}

fn take<'a, 'b>(runs: &'b [Run<'a>], index: usize) -> Option<(usize, &'b Run<'a>)> {
    Some((index, runs.get(index)?))
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, profile, recorded, ran } = self;
        write!(f, "{name} in {profile}\n  recorded {recorded:?}\n  ran      {ran:?}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        let same = self.compared - self.differences.len();
        write!(f, "{same} of {} traces are as recorded", self.compared)
    }
}
