//! What an entry of a trace comes from, and why it ran where it did.

use phaseloop::{Drain, FileHops, ListTimers, Phase, Place, QueueKind};

use super::profile::Recipe;

/// What an entry comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The operation.
    pub kind: Kind,
    /// The label of the callback that did it; none for the main program.
    pub parent: Option<String>,
}

/// The operation behind an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is an operation of the scenario format, or a prefix of an entry")]
pub enum Kind {
    Log,
    Tick,
    Microtask,
    Link,
    Thenable,
    AsyncCall,
    Immediate,
    Message,
    Timeout,
    Interval,
    Pool,
    ReadFile,
    Stream,
    Close,
    Listener,
    BeforeExit,
    Exit,
    Uncaught,
    Unhandled,
    Handled,
    Warning,
    Silent,
}

/// Why something ran where it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Numbers of SEMANTICS.
    pub rules: String,
    /// A sentence.
    pub text: String,
}

impl Kind {
    /// What an entry that is no label is, by its prefix.
    pub fn of_prefix(entry: &str) -> Self {
        match entry.split_once(':').map(|(prefix, _)| prefix) {
            Some("uncaught") => Self::Uncaught,
            Some("unhandled") => Self::Unhandled,
            Some("handled") => Self::Handled,
            Some("warning") => Self::Warning,
            _ => Self::Log,
        }
    }

    /// True if it is called by whatever runs, on the spot, and begins nothing of its own.
    pub fn is_synchronous(self) -> bool {
        matches!(self, Self::Log | Self::AsyncCall | Self::Listener | Self::Uncaught)
    }

    /// How it is called in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "synchronous code",
            Self::Tick => "process.nextTick",
            Self::Microtask => "queueMicrotask",
            Self::Link => "a promise reaction",
            Self::Thenable => "the `then` of a thenable",
            Self::AsyncCall => "the call of an async function",
            Self::Immediate => "setImmediate",
            Self::Message => "a posted message",
            Self::Timeout => "setTimeout",
            Self::Interval => "setInterval",
            Self::Pool => "a job of the pool",
            Self::ReadFile => "fs.readFile",
            Self::Stream => "data on a stream",
            Self::Close => "a close callback",
            Self::Listener => "a listener",
            Self::BeforeExit => "a beforeExit listener",
            Self::Exit => "an exit listener",
            Self::Uncaught => "the uncaught handler",
            Self::Unhandled => "the report of a rejection",
            Self::Handled => "the report of a late handler",
            Self::Warning => "a warning",
            Self::Silent => "a callback that records nothing",
        }
    }
}

/// Why something of that kind ran at that place.
pub fn why(kind: Kind, place: Place, recipe: &Recipe) -> Why {
    match kind {
        Kind::Unhandled | Kind::Handled if recipe.language.rejections_are_reported_by_tasks => Why::new(
            "B5",
            "In a page a task of its own reports this, behind the microtasks of the one before.",
        ),
        Kind::Uncaught if recipe.schedule.panic_drains => Why::new(
            "B4",
            "Nobody caught an exception: it is reported at once, and microtasks run as after any task.",
        ),
        Kind::Uncaught => {
            Why::new("X1", "Nobody caught an exception: the handler runs at once, and nothing is drained.")
        }
        Kind::Unhandled => Why::new(
            "X8, M6",
            "Ticks and microtasks are empty, and the rejected promise still has no handler: this is reported now.",
        ),
        Kind::Handled => Why::new(
            "X8",
            "The rejection had been reported; a handler came late, and the drain's end says so.",
        ),
        Kind::Warning => {
            Why::new("T2, V6", "Warnings are delivered by a tick, queued at the moment of the call.")
        }
        Kind::Listener => {
            Why::new("V1", "emit calls its listeners synchronously: this is still the same callback.")
        }
        Kind::Exit => {
            Why::new("E1, E3", "The end: exit listeners run synchronously, and what they queue is dropped.")
        }
        Kind::BeforeExit => {
            Why::new("E1", "The loop is no longer alive. beforeExit may give it something to do.")
        }
        _ => match place.queue {
            QueueKind::Ticks => at_checkpoint("Q1, Q2", "Ticks go before all microtasks", place, recipe),
            QueueKind::Microtasks => at_checkpoint(
                "Q1, Q3",
                "Ticks are empty, so microtasks run, first in, first out",
                place,
                recipe,
            ),
            QueueKind::Drained => Why::new("X8, M6", "Both queues are empty, and the hook is told so."),
            _ => in_phase(kind, place, recipe),
        },
    }
}

fn at_checkpoint(rules: &'static str, what: &str, place: Place, recipe: &Recipe) -> Why {
    let drain = place.phase.map_or(recipe.schedule.drain, |phase| recipe.drain_in(phase));
    let (more, when) = match (place.phase, drain) {
        (None, _) => (rules, "the main program has run to its end"),
        (Some(Phase::Timers), Drain::EachList) => ("M1", "the whole list of timers has run"),
        (Some(_), Drain::EachPhase | Drain::EachList) => {
            ("M3", "the phase is over; here queues drain only then")
        }
        (Some(Phase::Timers), _) => ("M1", "the timer before it is done"),
        (Some(Phase::Check), _) => ("M3", "the immediate before it is done"),
        (Some(Phase::Close), _) => ("M5", "the close callback before it is done"),
        (Some(_), _) => ("M4", "the callback before it is done"),
    };
    let rules = if more == rules { rules.to_owned() } else { format!("{rules}, {more}") };
    Why { rules, text: format!("{what}: {when}.") }
}

fn in_phase(kind: Kind, place: Place, recipe: &Recipe) -> Why {
    let is_page = recipe.schedule.list_timers == ListTimers::Tasks;
    match place.phase {
        Some(Phase::Check) if is_page => as_task(kind),
        None => Why::new("Q1", "The main program runs to its end before anything that it queued."),
        Some(Phase::Timers) if place.turn == 0 => {
            Why::new("L1, L6", "Due when the loop started: timers run once before the first turn.")
        }
        Some(Phase::Timers) if kind == Kind::Interval => {
            Why::new("T5, T8", "The interval was due. It is armed again from the start of its callback.")
        }
        Some(Phase::Timers) => {
            Why::new("T4, T5", "It was due when the timers phase came, and its list had its turn.")
        }
        Some(Phase::Check) => {
            Why::new("I1, L3", "Check comes right after poll; what is set here waits for the next turn.")
        }
        Some(Phase::Close) => Why::new("C1", "Close callbacks end a turn, last closed first."),
        Some(Phase::Pending) => {
            Why::new("W2", "The job was done. In this model completions arrive in pending, not in poll.")
        }
        Some(_) if kind == Kind::ReadFile && recipe.schedule.file_hops == FileHops::PerCall => Why::new(
            "W3",
            "The fourth job of readFile was done: open, fstat, read and close take a poll phase each.",
        ),
        Some(_) if kind == Kind::ReadFile => Why::new(
            "W3",
            "The file was read by one job, so its callback runs in the first poll phase after it.",
        ),
        Some(_) if kind == Kind::Silent => {
            Why::new("W3, P8", "This part is done; it records nothing, and hands on to the next.")
        }
        Some(_) if kind == Kind::Stream => {
            Why::new("W5", "Data was there when poll looked: one callback, one drain.")
        }
        Some(_) => Why::new("W2", "The job was done: its callback runs in the first poll phase after that."),
    }
}

/// In a page all is a task, and tasks are one queue.
fn as_task(kind: Kind) -> Why {
    match kind {
        Kind::Timeout | Kind::Interval => Why::new(
            "B3, B5",
            "A page has one queue of tasks. A timer joins it when it is due, by due time; without a delay at once.",
        ),
        _ => Why::new("B2, B5", "A page has one queue of tasks, first in, first out, and runs one a turn."),
    }
}

impl Why {
    fn new(rules: &str, text: &str) -> Self {
        Self { rules: rules.to_owned(), text: text.to_owned() }
    }
}
