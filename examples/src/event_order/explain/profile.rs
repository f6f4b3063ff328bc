//! Whom one can ask for an order: a preset of the schedule, and the language that goes with it.

use std::io;

use phaseloop::{Drain, Phase, Schedule};
use phaseloop_tests::runner::{Language, Settings, Step, Time, language_of, steps};
use phaseloop_tests::scenario::{Body, Profile as Node};

use super::script::Script;
use crate::command_line::Refusal;

/// A name for an order, as the command line knows it.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// The name on the command line.
    pub name: &'static str,
    /// The name in a sentence.
    pub title: &'static str,
    /// What it is.
    pub about: &'static str,
    schedule: fn() -> Schedule,
    language: Node,
}

/// All profiles, oldest first. A new preset is a new row.
pub const PROFILES: &[Profile] = &[
    row(
        "node10",
        "Node 10",
        "libuv 1.34; queues drain once a list and once a phase",
        Schedule::node10,
        Node::Node10,
    ),
    row("node12", "Node 12", "libuv 1.40; timers begin a turn", Schedule::node12, Node::Node12),
    row("node16", "Node 16", "libuv 1.43; timers begin a turn", Schedule::node12, Node::Node16),
    row("node18", "Node 18", "libuv 1.44; timers begin a turn", Schedule::node12, Node::Node18),
    row("node20", "Node 20", "libuv 1.46; timers end a turn", Schedule::node20, Node::Node20),
    row("node22", "Node 22", "libuv 1.51; a timers phase never repeats", Schedule::node22, Node::Node22),
    row("node24", "Node 24", "libuv 1.51; odd delays warn", Schedule::node24, Node::Node24),
    row("node26", "Node 26", "libuv 1.52; a small file is read in one job", Schedule::node26, Node::Node26),
    row(
        "libuv_1_44",
        "libuv 1.44",
        "alone, without Node's rules; timers begin a turn",
        Schedule::libuv_1_44,
        Node::Node26,
    ),
    row("libuv", "libuv 1.48", "and later, alone, without Node's rules", Schedule::libuv, Node::Node26),
    row(
        "browser",
        "a browser",
        "Chromium 156: one queue of tasks, one task a turn",
        Schedule::browser,
        Node::Browser,
    ),
    row(
        "textbook",
        "the textbook",
        "the model that articles draw, and nobody runs",
        Schedule::textbook,
        Node::Node26,
    ),
];

const fn row(
    name: &'static str,
    title: &'static str,
    about: &'static str,
    schedule: fn() -> Schedule,
    language: Node,
) -> Profile {
    Profile { name, title, about, schedule, language }
}

/// The most that a program may do: what never ends is refused, and two orders are compared entry by entry.
pub const STEPS_MAX: usize = 2_000;

impl Profile {
    /// The profile of that name.
    ///
    /// # Errors
    /// A [`Refusal`] that names it, and those that there are.
    pub fn named(name: &str) -> io::Result<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name).ok_or_else(|| {
            let known: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
            Refusal::error(format!("unknown profile `{name}`; known are {}", known.join(", ")))
        })
    }

    /// What a script does that those whose order it is have no word for; it runs by the loop's own rules.
    pub fn foreign_to(&self, script: &Script) -> Option<String> {
        let operation = self.language.lacks(&script.program)?;
        let title = self.title;
        Some(format!(
            "There is no {operation} in {title}, to name one: what it lacks runs by the rules of the loop beneath."
        ))
    }

    /// What it is made of.
    pub fn recipe(&self) -> Recipe {
        Recipe { schedule: (self.schedule)(), language: language_of(self.language) }
    }
}

/// All by which a run is decided: plain values, so that a single rule of one profile can be put into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The loop's rules.
    pub schedule: Schedule,
    /// The language's.
    pub language: Language,
}

impl Recipe {
    /// When the queues are drained in a phase.
    pub fn drain_in(&self, phase: Phase) -> Drain {
        match phase {
            Phase::Timers => self.schedule.drain_timers,
            Phase::Check => self.schedule.drain_immediates,
            _ => self.schedule.drain,
        }
    }

    /// Runs a program in virtual time.
    ///
    /// # Errors
    /// The system's; and a [`Refusal`] if the program does not end.
    pub fn steps(&self, program: &Body) -> io::Result<Vec<Step>> {
        let settings = Settings {
            schedule: self.schedule.clone(),
            language: self.language,
            time: Time::Virtual,
            steps_max: STEPS_MAX,
        };
        steps(program, settings).map_err(|error| Refusal::error(format!("the scenario: {error}")))
    }

    /// Runs a program, and gives the labels alone.
    ///
    /// # Errors
    /// As [`steps`](Self::steps).
    pub fn trace(&self, program: &Body) -> io::Result<Vec<String>> {
        Ok(self.steps(program)?.into_iter().filter_map(|step| step.what.recorded()).collect())
    }
}
