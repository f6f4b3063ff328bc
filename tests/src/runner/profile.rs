//! What makes a profile: a schedule for the loop, and what its version of the language does.

use crate::scenario::Profile;
use phaseloop::Schedule;

/// The rules that are the JavaScript engine's and not the loop's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// `await` takes a native promise as it is, instead of wrapping it in another. SEMANTICS P2, P9.
    pub await_takes_promises_as_they_are: bool,
    /// There is `queueMicrotask`; else a microtask is the reaction of a promise. SEMANTICS X5.
    pub microtasks_are_plain: bool,
    /// Rejections are reported by tasks, and not in the drain. SEMANTICS B5.
    pub rejections_are_reported_by_tasks: bool,
}

/// The schedule of the loop that runs a profile.
pub fn schedule_of(profile: Profile) -> Schedule {
    match profile {
        Profile::Node10 => Schedule::node10(),
        Profile::Node12 | Profile::Node16 | Profile::Node18 => Schedule::node12(),
        Profile::Node20 => Schedule::node20(),
        Profile::Node22 => Schedule::node22(),
        Profile::Node24 => Schedule::node24(),
        Profile::Node26 => Schedule::node26(),
        Profile::Browser => Schedule::browser(),
    }
}

/// What the profile's version of the language does.
pub fn language_of(profile: Profile) -> Language {
    let modern = profile != Profile::Node10;
    Language {
        await_takes_promises_as_they_are: modern,
        microtasks_are_plain: modern,
        rejections_are_reported_by_tasks: profile == Profile::Browser,
    }
}
