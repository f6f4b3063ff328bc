//! Can a program that has a loop of its own run phaseloop inside it? Yes: it waits for one descriptor more.
//!
//!     cargo run --release -p examples --bin embed
//!     cargo run --release -p examples --bin embed -- --stdin     (type lines; ctrl-D ends)
//!
//! The host waits in `poll(2)` for its own input and for the loop's `backend_fd`, for as long as `backend_timeout` says,
//! and then calls `run(RunMode::NoWait)`: one turn that never blocks. Timers, a task, and closures that another thread
//! posts through a `Remote` all run on the host's thread, between its own events. The loop has no thread of its own.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use examples::command_line::Usage;
use examples::embed;

const USAGE: Usage = Usage {
    name: "embed",
    about: "Drives a loop from a foreign poll loop.",
    flags: &[("--stdin", "the host waits for standard input instead of a pipe")],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let input = if flags.has("--stdin") {
            io::stdin().as_fd().try_clone_to_owned()?
        } else {
            embed::three_lines()?
        };
        embed::run(page, input)
    })
}
