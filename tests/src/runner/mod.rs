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

use crate::scenario::{Profile, Scenario};
use std::io;

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
    player::play(&scenario.program, profile, time)
}
