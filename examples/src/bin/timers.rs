//! What kinds of timers are there, and when do they really run?
//!
//!     cargo run --release -p examples --bin timers
//!
//! A small timeline for each: one-shot timers in microseconds; a repeating timer behind a callback that blocks, with each
//! policy for the ticks it missed; `set_timeout` with Node's lists, and the order that surprises everybody (T5 in the
//! rules); an idle timeout that is refreshed; an interval that does not keep the loop alive; and the futures.
//!
//! The times are real, so they differ a little from run to run. The loop's own timers are never early, and late by up to a
//! millisecond, in which the system's wait counts. `set_timeout` counts whole milliseconds, as Node does, so it may also be
//! early by less than one.

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::timers;

const USAGE: Usage =
    Usage { name: "timers", about: "Shows the kinds of timers and when they really run.", flags: &[] };

fn main() -> ExitCode {
    USAGE.run(|page, _| timers::run(page))
}
