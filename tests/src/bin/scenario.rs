//! Runs a scenario on phaseloop and prints its trace, or checks many: see `--help`.
//!
//!     cargo run -q --release -p phaseloop-tests --bin scenario -- --profile node26 FILE
//!
//! Exits with 1 if a check found a difference, and with 2 if the command or a scenario cannot be understood.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to whoever started it")]

use phaseloop_tests::runner::command::Command;
use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Command::read(env::args_os().skip(1)).and_then(|command| command.run()) {
        Ok(answer) => {
            println!("{}", answer.text);
            if answer.is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}
