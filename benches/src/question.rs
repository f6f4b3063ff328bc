//! A question, who answers it, and what an answer is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One thing that is measured, and everyone it is measured on.
pub struct Question {
    /// The name on the command line and in tables: `area_what`.
    pub name: &'static str,
    /// What one operation is, in a few words.
    pub operation: &'static str,
    /// Which figure of a sample is the answer.
    pub unit: Unit,
    /// How many operations one run does when it is timed.
    pub full: u64,
    /// How many it does when only the answer is checked.
    pub brief: u64,
    /// What phaseloop is to reach.
    pub goals: &'static [Goal],
    /// Who answers. The floor first, then phaseloop, then the peers.
    pub contestants: &'static [Contestant],
}

/// Someone who answers a question.
#[derive(Clone, Copy)]
pub struct Contestant {
    /// The name on the command line and in tables. A second way to use the same peer has a second name.
    pub name: &'static str,
    /// Whether it is compared, compared with, or only shown.
    pub side: Side,
    /// Does so many operations, checks that they were done, and says what they cost.
    pub run: fn(u64) -> Sample,
}

/// On whose side a contestant stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The least that the work can cost, written by hand for this one purpose. Shown, never compared with.
    Floor,
    /// phaseloop, in one of its ways of use.
    Ours,
    /// Another runtime: the goals are ratios to the best of these in the same run.
    Peer,
}

/// What is to be reached.
#[derive(Clone, Copy)]
pub struct Goal {
    /// The contestant that is to reach it, by its full name.
    pub of: &'static str,
    /// The bound.
    pub bound: Bound,
}

/// The bound of a goal: the figure is to be at most this.
#[derive(Clone, Copy)]
pub enum Bound {
    /// So many times the best peer's figure.
    TimesBest(f64),
    /// So many times the figure of the named peer.
    Times(f64, &'static str),
    /// An absolute figure in the question's unit.
    AtMost(f64),
}

/// What one run cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// How many operations were done.
    pub ops: u64,
    /// CPU time of the measured process, all threads.
    pub cpu: Duration,
    /// Time on the wall.
    pub wall: Duration,
    /// How much the measured process grew, in bytes. Zero where nobody asks.
    pub grown_bytes: u64,
}

/// Which figure of a sample answers the question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// CPU time of the process an operation, in nanoseconds.
    CpuNs,
    /// CPU time of the process an operation, in microseconds.
    CpuUs,
    /// Time on the wall an operation, in microseconds.
    WallUs,
    /// Resident memory an operation, in bytes.
    Bytes,
}

impl Contestant {
    /// A hand-written floor.
    pub const fn floor(name: &'static str, run: fn(u64) -> Sample) -> Self {
        Contestant { name, side: Side::Floor, run }
    }

    /// phaseloop, in one of its ways of use.
    pub const fn ours(name: &'static str, run: fn(u64) -> Sample) -> Self {
        Contestant { name, side: Side::Ours, run }
    }

    /// A peer.
    pub const fn peer(name: &'static str, run: fn(u64) -> Sample) -> Self {
        Contestant { name, side: Side::Peer, run }
    }
}

impl Sample {
    /// The cost of one operation in `unit`.
    pub fn figure(&self, unit: Unit) -> f64 {
        let total = match unit {
            Unit::CpuNs => self.cpu.as_nanos() as f64,
            Unit::CpuUs => self.cpu.as_nanos() as f64 / 1e3,
            Unit::WallUs => self.wall.as_nanos() as f64 / 1e3,
            Unit::Bytes => self.grown_bytes as f64,
        };
        total / self.ops as f64
    }
}

impl Unit {
    /// The unit as tables print it.
    pub fn label(self) -> &'static str {
        match self {
            Unit::CpuNs => "ns CPU",
            Unit::CpuUs => "us CPU",
            Unit::WallUs => "us wall",
            Unit::Bytes => "B RSS",
        }
    }
}
