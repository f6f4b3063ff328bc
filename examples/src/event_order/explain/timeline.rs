//! A run, cut into callbacks: each with what its checkpoint drained.

use std::io;

use phaseloop::{Drain, Phase, Place, QueueKind};
use phaseloop_tests::runner::What;

use super::cause::{Cause, Kind, Why, why};
use super::profile::{Profile, Recipe};
use super::script::Script;

/// What ran, in order.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The rules it ran by.
    pub recipe: Recipe,
    /// Each entry of the trace, and each callback that recorded nothing.
    pub entries: Vec<Entry>,
}

/// Something that ran, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The label, or a word for a callback that has none.
    pub text: String,
    /// Its number in the trace, from 1. None if it is not in the trace.
    pub number: Option<usize>,
    /// The turn, the phase and the queue.
    pub place: Place,
    /// What it comes from.
    pub cause: Cause,
    /// Why it ran there.
    pub why: Why,
    /// Where it stands among callbacks.
    pub role: Role,
    /// It ran outside of the phases, and the loop was no longer alive.
    pub is_end: bool,
}

/// Where an entry stands among callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is a callback of a phase, or begins the main program or a hook.
    Callback,
    /// It ran at the checkpoint after a callback.
    Drained,
    /// The first that ran when a phase, or a list of timers, was over: where the schedule drains only then.
    DrainedLate,
    /// It ran inside of the entry before it, synchronously.
    Inside,
}

impl Timeline {
    /// Runs a script in a profile.
    ///
    /// # Errors
    /// As [`Recipe::steps`].
    pub fn of(script: &Script, profile: &Profile) -> io::Result<Self> {
        let recipe = profile.recipe();
        let steps = recipe.steps(&script.program)?;
        let (mut entries, mut number) = (Vec::<Entry>::with_capacity(steps.len()), 0);
        for step in steps {
            let (text, cause) = match step.what {
                What::Recorded(text) => {
                    let cause = script.cause(&text);
                    (text, cause)
                }
                What::Silent(word) => (word.to_owned(), Cause { kind: Kind::Silent, parent: None }),
            };
            let is_silent = cause.kind == Kind::Silent;
            number += usize::from(!is_silent);
            let role = role(entries.last(), cause.kind, step.place, &recipe);
            let why = why(cause.kind, step.place, &recipe);
            let number = (!is_silent).then_some(number);
            let was_end = entries.last().is_some_and(|last| last.is_end || last.place.phase.is_some());
            let is_end = step.place.phase.is_none()
                && (was_end || matches!(cause.kind, Kind::BeforeExit | Kind::Exit));
            entries.push(Entry { text, number, place: step.place, cause, why, role, is_end });
        }
        Ok(Self { recipe, entries })
    }

    /// The entries of the trace.
    pub fn trace(&self) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.number.is_some()).collect()
    }

    /// The entries, a slice for each callback with what its checkpoint drained.
    pub fn callbacks(&self) -> impl Iterator<Item = &[Entry]> {
        self.entries.chunk_by(|_, next| !matches!(next.role, Role::Callback | Role::DrainedLate))
    }

    /// Turns that were begun.
    pub fn turns(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.place.turn)
    }
}

impl Entry {
    /// The stage outside of the phases, or the phase.
    pub fn phase_name(&self) -> String {
        match self.place.phase {
            Some(phase) => phase.to_string(),
            None if self.is_end => "end".to_owned(),
            None => "main".to_owned(),
        }
    }

    /// The queue it was taken from, as one word.
    pub fn queue_name(&self) -> &'static str {
        match (self.place.queue, self.place.phase) {
            (QueueKind::Ticks, _) => "tick",
            (QueueKind::Microtasks, _) => "microtask",
            (QueueKind::Drained, _) => "drained",
            (_, None) if self.cause.kind == Kind::BeforeExit => "before exit",
            (_, None) if self.cause.kind == Kind::Exit => "exit",
            (_, None) => "program",
            (_, Some(_)) => "callback",
        }
    }

    /// The turn in words.
    pub fn turn_name(&self) -> String {
        match (self.place.turn, self.place.phase) {
            (_, None) if self.is_end => "at the end".to_owned(),
            (0, None) => "before the loop".to_owned(),
            (0, Some(_)) => "before turn 1".to_owned(),
            (turn, _) => format!("turn {turn}"),
        }
    }
}

fn role(last: Option<&Entry>, kind: Kind, place: Place, recipe: &Recipe) -> Role {
    let same = |last: &Entry| (last.place.turn, last.place.phase) == (place.turn, place.phase);
    let Some(last) = last.filter(|last| same(last)) else { return Role::Callback };
    match place.queue {
        _ if kind.is_synchronous() && last.place.queue == place.queue => Role::Inside,
        QueueKind::Callbacks if kind == Kind::Thenable => Role::Inside,
        QueueKind::Callbacks => Role::Callback,
        _ if last.place.queue == QueueKind::Callbacks && !drains_at_once(place, recipe) => Role::DrainedLate,
        _ => Role::Drained,
    }
}

fn drains_at_once(place: Place, recipe: &Recipe) -> bool {
    place.phase.is_none_or(|phase| recipe.drain_in(phase) == Drain::EachCallback)
}

/// The phases of a turn in which something ran.
pub fn phases_used(timelines: &[&Timeline]) -> Vec<Phase> {
    let mut used = Vec::new();
    for phase in timelines.iter().flat_map(|timeline| &timeline.entries).filter_map(|entry| entry.place.phase)
    {
        if !used.contains(&phase) {
            used.push(phase);
        }
    }
    used
}
