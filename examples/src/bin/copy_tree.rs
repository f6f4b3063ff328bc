//! How does a program give up half-way, and leave nothing half done?
//!
//!     cargo run --release -p examples --bin copy_tree -- target /elsewhere/copy      (Ctrl-C gives up)
//!
//! The copy is one operation, which takes a job for every 256 entries. To give it up is to drop it: the worker looks between
//! entries, and every 8 MiB, whether it is still wanted, and removes the file it was writing. The program waits for that
//! before it ends. A second Ctrl-C ends it at once.

use std::path::Path;
use std::process::ExitCode;

use examples::command_line::Usage;
use examples::copy_tree::{self, End};
use examples::page::Page;
use phaseloop::EventLoop;
use phaseloop::signal::{SecondSignal, shutdown_signal};

const USAGE: Usage = Usage {
    name: "copy_tree",
    about: "Copies a file or a folder with all that is in it; Ctrl-C gives up and leaves no half file.",
    flags: &[("FROM", "is copied"), ("TO", "is what the copy is called")],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let (from, to) = (Path::new(flags.required("FROM")?), Path::new(flags.required("TO")?));
        let lp = EventLoop::new()?;
        let mut shutdown = shutdown_signal(&lp, SecondSignal::Ends)?;
        match copy_tree::run(&lp, page, &Page::stderr(), (from, to), &mut shutdown)? {
            End::Done(_) => Ok(()),
            End::Cancelled => Err(std::io::Error::other("given up")),
        }
    })
}
