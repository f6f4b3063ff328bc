//! How is a file followed without blocking the loop?
//!
//!     cargo run --release -p examples --bin tail_f -- FILE
//!
//! The reads are on the blocking pool; a timer says when to look again.

use std::io;
use std::process::ExitCode;

use std::path::Path;
use std::time::Duration;

use examples::command_line::{Flags, Refusal, Usage};
use examples::page::Page;
use examples::tail_f::{self, From};
use phaseloop::EventLoop;

const USAGE: Usage = Usage {
    name: "tail_f",
    about: "Shows what is appended to a file, as it is.",
    flags: &[
        ("FILE", "is followed, also when it is replaced"),
        ("--all", "begins with what it holds already"),
    ],
};

fn main() -> ExitCode {
    USAGE.run(run)
}

fn run(page: &Page, flags: &Flags) -> io::Result<()> {
    let path = Path::new(flags.value("FILE").ok_or_else(|| Refusal::error("say which file"))?);
    let from = if flags.has("--all") { From::Beginning } else { From::End };
    let lp = EventLoop::new()?;
    // Until the process is killed, or reading fails.
    lp.block_on(tail_f::follow(&lp, path, from, Duration::from_millis(250), page))?
}
