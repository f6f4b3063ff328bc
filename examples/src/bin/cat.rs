//! Can files be copied to standard output piece by piece, in little memory, from an event loop?
//!
//!     cargo run --release -p examples --bin cat -- Cargo.toml README.md
//!     some-program | cargo run --release -p examples --bin cat -- Cargo.toml -
//!
//! Each file is a `ReadStream`, standard output a `WriteStream`: chunks of 64 KiB come from the pool, and none is read while
//! more than a chunk waits to be written. So a terabyte takes as much memory as a page.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use examples::cat::{self, Ends};
use examples::command_line::Usage;
use examples::page::Page;

const USAGE: Usage = Usage {
    name: "cat",
    about: "Writes files to standard output, one after the other.",
    flags: &[("FILE...", "is written; `-`, or none, is standard input")],
};

fn main() -> ExitCode {
    USAGE.run(|_, flags| {
        let ends = Ends {
            input: File::from(io::stdin().as_fd().try_clone_to_owned()?),
            output: File::from(io::stdout().as_fd().try_clone_to_owned()?),
        };
        let mut files = flags.values("FILE...");
        if files.is_empty() {
            files.push("-".into());
        }
        match cat::run(&files, ends, &Page::stderr())? {
            0 => Ok(()),
            failed => Err(io::Error::other(format!("{failed} of {} could not be read", files.len()))),
        }
    })
}
