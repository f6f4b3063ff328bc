//! Which rule moves a trace: found by running it, not by looking at labels.
//!
//! A recipe is a plain value, so any single rule of one profile can be put into another. Those that are needed to get from
//! one order to the other are the rules by which the two part.

use std::io;

use phaseloop_tests::scenario::Body;

use super::profile::Recipe;

/// A field of [`Recipe`] (or a few that go together), with the rules behind it.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// The field.
    pub field: &'static str,
    /// Numbers of SEMANTICS.
    pub rules: &'static str,
    /// What it decides.
    pub about: &'static str,
    /// Takes the field of the second recipe into the first.
    take: fn(&mut Recipe, &Recipe),
    /// The field's value, as Rust writes it.
    show: fn(&Recipe) -> String,
}

/// A knob for one field.
macro_rules! knob {
    ($($part:ident).+, $rules:literal, $about:literal) => {
        Knob {
            field: knob!(@last $($part).+),
            rules: $rules,
            about: $about,
            take: |recipe, other| recipe.$($part).+ = other.$($part).+.clone(),
            show: |recipe| format!("{:?}", recipe.$($part).+),
        }
    };
    (@last $first:ident . $last:ident) => { stringify!($last) };
}

/// All of them. A field of [`phaseloop::Schedule`] that has no row here is found by a test.
pub const KNOBS: &[Knob] = &[
    Knob {
        field: "turn, opening, once_ending",
        rules: "L6",
        about: "Where the timers stand: at the beginning of a turn up to libuv 1.44; since 1.45 once before the first turn \
                and then at the end of each, so that what is due runs before the loop asks whether it is alive.",
        take: |recipe, other| {
            recipe.schedule.turn = other.schedule.turn.clone();
            recipe.schedule.opening = other.schedule.opening.clone();
            recipe.schedule.once_ending = other.schedule.once_ending.clone();
        },
        show: |recipe| {
            let names: Vec<_> = recipe.schedule.turn.iter().map(ToString::to_string).collect();
            names.join(" ")
        },
    },
    knob!(schedule.pending_after_poll, "L2", "How often pending runs again right after poll."),
    knob!(
        schedule.timer_batch,
        "T15",
        "Up to libuv 1.47 a timers phase goes on until no timer is due; since 1.48 it runs what was due when it began."
    ),
    knob!(
        schedule.list_timers,
        "T6, T14, B3",
        "Which timers stand together: in Node those of one duration, with a loop timer for each list (10) or one for all; in a \
         browser each becomes a task when it is due, without a delay at once."
    ),
    knob!(
        schedule.shortest_delay,
        "B1",
        "What stands for a delay that is too short: 1 ms in Node, none in browsers."
    ),
    knob!(
        schedule.interval_beats,
        "T8, B5",
        "In Node an interval is due a period after its callback began; in browsers at whole periods after it was set."
    ),
    knob!(
        schedule.delays_are_whole,
        "T1",
        "Whether fractions of a millisecond are cut off before a list is chosen."
    ),
    knob!(
        schedule.odd_delays_warn,
        "T2",
        "Since Node 24 a delay that is negative or not a number is warned of."
    ),
    knob!(schedule.long_delays_warn, "T2", "A delay that is too long is warned of; not in browsers."),
    knob!(schedule.nested_clamp, "B1", "In browsers timers that are set by deeply nested timers wait 4 ms."),
    knob!(
        schedule.interval_survives_panic,
        "X9",
        "An interval that throws is armed again; in Node 10 it ends."
    ),
    knob!(
        schedule.drain_timers,
        "M1",
        "When ticks and microtasks are drained among timers: after each, or once a list (Node 10), or once a phase."
    ),
    knob!(
        schedule.drain_immediates,
        "M3",
        "When ticks and microtasks are drained among immediates: after each, or once a phase (Node 10)."
    ),
    knob!(
        schedule.immediate_batch,
        "I1, B2",
        "A check phase runs all immediates that were set before it; a browser takes one task a turn."
    ),
    knob!(
        schedule.panic_drains,
        "X1, B4",
        "In Node nothing is drained after a throw; in a browser microtasks run after it, as after any task."
    ),
    knob!(
        schedule.drain,
        "M4, M5",
        "When ticks and microtasks are drained in the other phases: after each callback; or, in the textbook, only when a \
         phase is over, and then after each phase."
    ),
    knob!(
        schedule.check_opens_with_drain,
        "X3",
        "From Node 12 to 24 the check phase begins with a drain, which finds what a throw left behind."
    ),
    knob!(
        schedule.last_panic_takes_new_immediates,
        "I5",
        "If the last immediate of a phase throws, the phase starts again with those that were set meanwhile; not in Node 10."
    ),
    knob!(
        schedule.wait_reads_clock,
        "T13, U3",
        "Node reads the clock before poll waits; libuv alone goes by the time of the turn's beginning and may oversleep."
    ),
    knob!(
        schedule.uncaught_queues_immediate,
        "X2",
        "In Node an exception that was handled queues an empty immediate."
    ),
    knob!(
        schedule.main_panic_drains,
        "X4",
        "A main program that throws is followed by a drain before the loop starts; not in Node 10."
    ),
    knob!(
        schedule.completions,
        "W2",
        "Completions arrive in poll; the textbook has them in pending, before the next poll."
    ),
    knob!(
        schedule.file_hops,
        "W3",
        "Since Node 26 a small file is read by one job of the pool; before, it takes four (open, fstat, read, close), and each \
         is a poll phase."
    ),
    knob!(
        language.await_takes_promises_as_they_are,
        "P2, P9",
        "Since Node 12 await takes a native promise as it is, which saves two microtasks."
    ),
    knob!(
        language.microtasks_are_plain,
        "X5",
        "Node 10 has no queueMicrotask: a microtask is a promise reaction, and its throw a rejection."
    ),
    knob!(
        language.rejections_are_reported_by_tasks,
        "X8, B5",
        "Node reports a rejection in the drain, a browser by a task of its own."
    ),
];

impl Knob {
    /// True if the two recipes differ in it.
    pub fn differs(&self, one: &Recipe, other: &Recipe) -> bool {
        let mut changed = one.clone();
        (self.take)(&mut changed, other);
        changed != *one
    }

    /// The value in a recipe.
    pub fn value(&self, recipe: &Recipe) -> String {
        (self.show)(recipe)
    }
}

/// A recipe with some knobs taken from another.
pub fn mixed(recipe: &Recipe, other: &Recipe, knobs: &[Knob]) -> Recipe {
    let mut recipe = recipe.clone();
    for knob in knobs {
        (knob.take)(&mut recipe, other);
    }
    recipe
}

/// The fewest knobs that lead from the order of `one` to that of `other`: a single one if there is one that does, else a
/// set of which none can be left out. Empty if the orders are the same.
///
/// # Errors
/// As [`Recipe::trace`].
pub fn responsible(program: &Body, one: &Recipe, other: &Recipe) -> io::Result<Vec<Knob>> {
    let wanted = other.trace(program)?;
    let leads_there = |knobs: &[Knob]| Ok::<_, io::Error>(mixed(one, other, knobs).trace(program)? == wanted);
    if leads_there(&[])? {
        return Ok(Vec::new());
    }
    let mut needed: Vec<Knob> = KNOBS.iter().filter(|knob| knob.differs(one, other)).copied().collect();
    for knob in &needed {
        if leads_there(&[*knob])? {
            return Ok(vec![*knob]);
        }
    }
    // From the end: what stands first in the table is kept if either of two would do.
    for index in (0..needed.len()).rev() {
        let mut fewer = needed.clone();
        fewer.remove(index);
        if leads_there(&fewer)? {
            needed = fewer;
        }
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use super::super::profile::PROFILES;
    use super::{KNOBS, mixed};

    #[test]
    fn all_knobs_together_make_one_profile_of_another() {
        for one in PROFILES {
            for other in PROFILES {
                let mut made = mixed(&one.recipe(), &other.recipe(), KNOBS);
                made.schedule.name = other.recipe().schedule.name;
                assert_eq!(made, other.recipe(), "{} to {}: a field has no knob", one.name, other.name);
            }
        }
    }
}
