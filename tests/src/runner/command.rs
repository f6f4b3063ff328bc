//! The command line of the scenario runner.

use super::check::{check, scenarios_at_all};
use super::{Time, trace};
use crate::scenario::{Profile, parse};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// How it is used.
pub const USAGE: &str = "usage: scenario [--real-time | --virtual-time] --profile PROFILE FILE
       scenario [--real-time | --virtual-time] [--profile PROFILE] --check PATH...

Prints the trace of a scenario as one line, a JSON array. With --check, compares the scenarios of files and folders with
the traces that were recorded.
Profiles: node10, node12, node16, node18, node20, node22, node24, node26, browser.";

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are the words of the command line, which `USAGE` explains")]
pub enum Command {
    /// Print the trace of a file in a profile.
    Run { file: PathBuf, profile: Profile, time: Time },
    /// Compare with the recorded traces.
    Check { paths: Vec<PathBuf>, profiles: Vec<Profile>, time: Time },
    /// Print how it is used.
    Help,
}

/// What is to be printed, and whether all is as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// For stdout.
    pub text: String,
    /// False if a trace differs from what was recorded.
    pub is_good: bool,
}

impl Command {
    /// Reads a command line, without the program's name.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut paths, mut profile, mut time, mut checks) = (Vec::new(), None, Time::Real, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match &*argument.to_string_lossy() {
                "--help" => return Ok(Self::Help),
                "--check" => checks = true,
                "--real-time" => time = Time::Real,
                "--virtual-time" => time = Time::Virtual,
                "--profile" if profile.is_some() => return Err("a second --profile".to_owned()),
                "--profile" => profile = Some(profile_named(arguments.next())?),
                option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
                _ => paths.push(PathBuf::from(&argument)),
            }
        }
        match (checks, profile) {
            (true, _) if paths.is_empty() => Err("name a file or a folder to check".to_owned()),
            (true, None) => Ok(Self::Check { paths, profiles: Profile::every().collect(), time }),
            (true, Some(profile)) => Ok(Self::Check { paths, profiles: vec![profile], time }),
            (false, None) => Err("--profile is missing".to_owned()),
            (false, Some(profile)) => match <[PathBuf; 1]>::try_from(paths) {
                Ok([file]) => Ok(Self::Run { file, profile, time }),
                Err(_) => Err("name one file".to_owned()),
            },
        }
    }

    /// Does what was asked for.
    ///
    /// # Errors
    /// A file that cannot be read or is no scenario, a check without a trace, or the system's refusal, in words.
    ///
    /// # Panics
    /// If a run does.
    pub fn run(&self) -> Result<Answer, String> {
        match self {
            Self::Run { file, profile, time } => run_file(file, *profile, *time),
            Self::Check { paths, profiles, time } => {
                let scenarios = scenarios_at_all(paths).map_err(|error| error.to_string())?;
                let report =
                    check(&scenarios, profiles, *time, at_a_time(*time)).map_err(|e| e.to_string())?;
                if report.compared == 0 {
                    return Err(format!("nothing to compare: no trace is recorded in {}", named(paths)));
                }
                Ok(Answer { text: report.to_string(), is_good: report.differences.is_empty() })
            }
            Self::Help => Ok(Answer { text: USAGE.to_owned(), is_good: true }),
        }
    }
}

fn run_file(file: &Path, profile: Profile, time: Time) -> Result<Answer, String> {
    let name = file.display().to_string();
    let json = fs::read_to_string(file).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let scenario = parse(&name, &json).map_err(|error| error.to_string())?;
    let trace = trace(&scenario, profile, time).map_err(|error| format!("{name}: {error}"))?;
    let text = serde_json::to_string(&trace).map_err(|error| format!("{name}: {error}"))?;
    Ok(Answer { text, is_good: true })
}

fn profile_named(name: Option<OsString>) -> Result<Profile, String> {
    let name = name.ok_or("--profile needs a value")?;
    let name = name.to_string_lossy();
    Profile::from_name(&name).ok_or_else(|| {
        let known: Vec<_> = Profile::every().map(Profile::name).collect();
        format!("unknown profile `{name}`; known are {}", known.join(", "))
    })
}

fn named(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

/// How many scenarios run at a time. In real time few: they sleep mostly, but what is late there can change a trace.
fn at_a_time(time: Time) -> usize {
    match time {
        Time::Real => 4,
        Time::Virtual => 2,
    }
}
