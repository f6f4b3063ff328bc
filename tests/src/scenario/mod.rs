//! Scenarios: small programs for an event loop, together with the trace that each Node.js version produces.
//!
//! The format is described in `tests/conformance/FORMAT.md`. Reading is strict: an unknown operation, field
//! or profile, a wrong type, a label used twice or an id that names no label is an error that says where it
//! stands.
//!
//! A runner walks [`Scenario::program`] and compares its trace with [`Scenario::expected`].

mod cursor;
mod lacking;
mod load;
mod operation;
mod parse;
mod profile;
mod text;
pub mod visit;
mod write;

pub use cursor::ScenarioError;
pub use load::{load_file, load_folder};
pub use operation::{
    AsyncCall, Await, Body, Callback, Label, Link, LinkOn, Listen, Op, Operand, PromiseStart, Step,
};
pub use parse::parse;
pub use profile::Profile;

/// A program and what is known about its traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Unique, and the name of its file.
    pub name: String,
    /// The rule of SEMANTICS.md it is about, or `combined`, or `generated`.
    pub rule: String,
    /// One sentence for people.
    pub about: String,
    /// The profiles in which the program is well defined.
    pub profiles: Vec<Profile>,
    /// The main body.
    pub program: Body,
    /// The recorded traces.
    pub expect: Vec<Expectation>,
}

/// The trace that some profiles share.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// The profiles that behave alike.
    pub profiles: Vec<Profile>,
    /// What they record.
    pub trace: Vec<String>,
}

impl Scenario {
    /// The trace recorded for `profile`, or none if the scenario is not run there.
    pub fn expected(&self, profile: Profile) -> Option<&[String]> {
        self.expect.iter().find(|group| group.profiles.contains(&profile)).map(|group| &*group.trace)
    }

    /// Replaces the expectations by these traces, grouped by what is equal.
    pub fn expect_traces(&mut self, traces: impl IntoIterator<Item = (Profile, Vec<String>)>) {
        self.expect.clear();
        for (profile, trace) in traces {
            match self.expect.iter_mut().find(|group| group.trace == trace) {
                Some(group) => group.profiles.push(profile),
                None => self.expect.push(Expectation { profiles: vec![profile], trace }),
            }
        }
    }
}
