//! Runs scenarios on phaseloop, through its public API alone.
//!
//! Everything that FORMAT.md calls an operation of the loop is one: timers are phaseloop's timers, `pool` is a job of a real
//! pool, `send` a byte on a real connection, a throw a panic that the uncaught hook takes. Only what belongs to the
//! language is made here: promises and async functions, over `queue_microtask`.
//!
//! How to read it: `player` is one run; `execute` says what operations do; `throw`, `promise`, `async_function` and
//! `listeners` are the machines behind operations; `jobs`, `stream` and `echo` are what comes from outside the loop;
//! `profile` says which values make a profile. `check` compares with recorded traces, and `command` is the command line.

mod async_function;
pub mod check;
pub mod command;
mod echo;
mod execute;
mod jobs;
mod listeners;
mod player;
mod profile;
mod promise;
mod small_file;
mod stream;
mod throw;

use crate::scenario::{Body, Profile, Scenario};
use phaseloop::{Place, Schedule};
use std::io;

pub use profile::{Language, language_of, schedule_of};

/// Which time a scenario runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// The system's.
    #[default]
    Real,
    /// Waiting for a timer and `busy` take no time. Where a job or a socket is to come, it is waited for really.
    Virtual,
}

/// Runs a scenario and gives its trace.
///
/// # Errors
/// The system's, when no descriptor or thread is left; `InvalidInput` that names an operation which the profile lacks.
///
/// # Panics
/// If a socket or a file of the scenario fails.
pub fn trace(scenario: &Scenario, profile: Profile, time: Time) -> io::Result<Vec<String>> {
    if let Some(operation) = profile.lacks(&scenario.program) {
        let problem = format!("{}: the profile {profile} has no operation \"{operation}\"", scenario.name);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let settings = Settings {
        schedule: schedule_of(profile),
        language: language_of(profile),
        time,
        steps_max: usize::MAX,
    };
    let steps = steps(&scenario.program, settings)?;
    Ok(steps.into_iter().filter_map(|step| step.what.recorded()).collect())
}

/// Something that a run did, and where the loop was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it did.
    pub what: What,
    /// The turn, the phase and the queue.
    pub place: Place,
}

/// What a step of a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An entry of the trace.
    Recorded(String),
    /// A callback that records nothing, with a word for what it did: an await goes on, a part of a file was done.
    Silent(&'static str),
}

impl What {
    /// The entry of the trace, if it is one.
    pub fn recorded(self) -> Option<String> {
        match self {
            Self::Recorded(entry) => Some(entry),
            Self::Silent(_) => None,
        }
    }
}

/// How a program is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The loop's.
    pub schedule: Schedule,
    /// What the language does.
    pub language: Language,
    /// Which time it runs in.
    pub time: Time,
    /// How many steps it may take: a timer that refreshes itself goes on for ever.
    pub steps_max: usize,
}

/// Runs a program by any schedule, and says where each step ran.
///
/// # Errors
/// As [`trace`], and if it takes more steps than it may.
///
/// # Panics
/// As [`trace`].
pub fn steps(program: &Body, settings: Settings) -> io::Result<Vec<Step>> {
    player::play(program, settings)
}
