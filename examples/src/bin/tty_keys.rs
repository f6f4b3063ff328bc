//! What does a terminal send for each key?
//!
//!     cargo run --release -p examples --bin tty_keys
//!
//! Raw mode is left in whatever way the program ends.

use std::io;
use std::process::ExitCode;

use examples::command_line::{Flags, Usage};
use examples::page::Page;
use examples::tty_keys;
use phaseloop::EventLoop;
use phaseloop::net::pipe;

const USAGE: Usage = Usage {
    name: "tty_keys",
    about: "Names each key as it is pressed, and the size of the window as it changes.",
    flags: &[],
};

fn main() -> ExitCode {
    USAGE.run(run)
}

fn run(page: &Page, _flags: &Flags) -> io::Result<()> {
    let lp = EventLoop::new()?;
    let stream = pipe::stdin(&lp)?;
    lp.block_on(tty_keys::run(&lp, io::stdin(), &stream, page))?
}
