//! The Node.js versions that are told apart, and the browser.

use std::fmt;

/// A Node.js version whose order of callbacks was recorded, or a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// Node 10: queues drain once per list of timers and once per check phase.
    Node10,
    /// Node 12: queues drain after each callback.
    Node12,
    /// Node 16; as 12.
    Node16,
    /// Node 18; as 12.
    Node18,
    /// Node 20: timers end a turn.
    Node20,
    /// Node 22: the timers phase never repeats.
    Node22,
    /// Node 24: as 22, and negative durations warn.
    Node24,
    /// Node 26: the check phase does not open with a drain.
    Node26,
    /// A page in Chromium: one queue of tasks. Not all operations are to be had there.
    Browser,
}

impl Profile {
    /// All profiles of Node.js, oldest first: those of a scenario that names none.
    pub const ALL: [Profile; 8] = [
        Profile::Node10,
        Profile::Node12,
        Profile::Node16,
        Profile::Node18,
        Profile::Node20,
        Profile::Node22,
        Profile::Node24,
        Profile::Node26,
    ];

    /// All profiles, the browser last.
    pub fn every() -> impl Iterator<Item = Profile> {
        Profile::ALL.into_iter().chain([Profile::Browser])
    }

    /// One profile for each behaviour of Node.js, as long as no timer has a negative duration.
    pub const DISTINCT: [Profile; 5] =
        [Profile::Node10, Profile::Node18, Profile::Node20, Profile::Node22, Profile::Node26];

    /// The name in scenario files.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Node10 => "node10",
            Profile::Node12 => "node12",
            Profile::Node16 => "node16",
            Profile::Node18 => "node18",
            Profile::Node20 => "node20",
            Profile::Node22 => "node22",
            Profile::Node24 => "node24",
            Profile::Node26 => "node26",
            Profile::Browser => "browser",
        }
    }

    /// The exact version of Node.js that the traces were recorded with; none for the browser.
    pub fn node_version(self) -> Option<&'static str> {
        Some(match self {
            Profile::Node10 => "10.24.1",
            Profile::Node12 => "12.22.12",
            Profile::Node16 => "16.20.2",
            Profile::Node18 => "18.20.8",
            Profile::Node20 => "20.19.5",
            Profile::Node22 => "22.20.0",
            Profile::Node24 => "24.9.0",
            Profile::Node26 => "26.10.0",
            Profile::Browser => return None,
        })
    }

    /// The profile of that name.
    pub fn from_name(name: &str) -> Option<Profile> {
        Profile::every().find(|profile| profile.name() == name)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
