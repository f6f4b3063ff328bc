//! How does a program hear of changes to files, and end when it is told to?
//!
//!     cargo run --release -p examples --bin watch -- --recursive .      (Ctrl-C ends)
//!
//! The kernel's events come in the poll phase, each with a checkpoint of its own. The two halves of a rename are joined; what
//! was lost in an overflow is said to be lost. A recursive watcher has the pool look at the tree, and says when all of it is
//! in view.

use std::process::ExitCode;

use examples::command_line::{Refusal, Usage};
use examples::watch::{self, Depth, End};
use phaseloop::EventLoop;
use phaseloop::signal::{SecondSignal, shutdown_signal};

const USAGE: Usage = Usage {
    name: "watch",
    about: "Says what happens to files and folders, until Ctrl-C.",
    flags: &[
        ("PATH...", "are watched: a file, or a folder with what is directly in it"),
        ("--recursive", "watches all folders below as well"),
    ],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let paths = flags.values("PATH...");
        if paths.is_empty() {
            return Err(Refusal::error("say what to watch; see `--help`"));
        }
        let depth = if flags.has("--recursive") { Depth::Tree } else { Depth::Folder };
        let lp = EventLoop::new()?;
        let mut shutdown = shutdown_signal(&lp, SecondSignal::Ends)?;
        match watch::run(&lp, page, &paths, depth, &mut shutdown)? {
            End::Gone => page.line("all that was watched is gone"),
            End::Cancelled => page.line("ended"),
        }
        Ok(())
    })
}
