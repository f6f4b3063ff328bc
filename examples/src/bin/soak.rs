//! Is anything left when sockets, pipes, timers and children come and go all day?
//!
//!     cargo run --release -p examples --bin soak -- --count 1000000
//!
//! It fails if it ends with other descriptors or threads, or with more memory, than it began with.

use std::io;
use std::process::ExitCode;

use examples::command_line::{Flags, Usage};
use examples::page::Page;
use examples::soak::{self, ROUND};

const USAGE: Usage = Usage {
    name: "soak",
    about: "Opens and closes many things, and looks whether anything is left.",
    flags: &[("--count NUMBER", "opens and closes so many; the default is 20000")],
};

fn main() -> ExitCode {
    USAGE.run(run)
}

fn run(page: &Page, flags: &Flags) -> io::Result<()> {
    soak::run(flags.parsed("--count", 20 * ROUND)?, page)
}
