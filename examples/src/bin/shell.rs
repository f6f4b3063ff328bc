//! How are children joined by pipes, watched and ended?
//!
//!     cargo run --release -p examples --bin shell
//!
//! For example: `seq 5 | tac`, `sleep 5 &`, `jobs`, `kill 1`, `wait`, `exit`.

use std::io;
use std::process::ExitCode;

use examples::command_line::{Flags, Usage};
use examples::page::Page;
use examples::shell;
use phaseloop::EventLoop;
use phaseloop::net::pipe;

const USAGE: Usage = Usage {
    name: "shell",
    about: "Runs lines of commands from standard input, with pipes and in the background.",
    flags: &[],
};

fn main() -> ExitCode {
    USAGE.run(run)
}

fn run(page: &Page, _flags: &Flags) -> io::Result<()> {
    let lp = EventLoop::new()?;
    let input = pipe::stdin(&lp)?;
    match lp.block_on(shell::run(&lp, &input, page))?? {
        0 => Ok(()),
        status => Err(io::Error::other(format!("the last job ended with {status}"))),
    }
}
