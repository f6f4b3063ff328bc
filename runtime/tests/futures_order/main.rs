//! The rules of futures, F1 to F31 of ARCHITECTURE.md, as traces under several schedules. A test is named after its rule.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

#[path = "../loopback/mod.rs"]
mod loopback;
#[path = "../trace/mod.rs"]
mod trace;

mod at_once;
mod channels;
mod ends;
mod program;
mod queue;
mod select;
mod stage;
mod threads;
mod time;
mod wakes;
mod yields;
