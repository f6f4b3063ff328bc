//! In which order do ticks, promises, timers, immediates and a file read run? It depends on whom you ask.
//!
//! Runs the ordering script of every Node.js tutorial under each preset of `Schedule`: four Nodes, a browser, two libuvs,
//! and the model that textbooks draw. Presets with the same order share a column; rows that differ begin with a star. Three
//! smaller scripts follow, one for each other rule by which versions differ.
//!
//!     cargo run --release -p examples --bin event_order
//!     cargo run --release -p examples --bin event_order -- --node
//!
//! The second also runs each script in the `node` on PATH, and puts it under its order, or beside them all if it has one
//! of its own.
//!
//! The order is forced: the main program blocks until timers are due and jobs are done, because otherwise some of it is
//! a race, in Node as here. The file is read by threads that come back through `phaseloop::request::Port`, until `fs-pool`
//! does it; see `examples/src/event_order/files.rs`.

use std::path::Path;
use std::process::ExitCode;

use examples::command_line::Usage;
use examples::event_order;

const USAGE: Usage = Usage {
    name: "event_order",
    about: "Shows in which order each version of Node and libuv, and the textbook, would run a script.",
    flags: &[("--node", "runs it in the installed Node too")],
};

/// A small file that is there wherever the example was built.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

fn main() -> ExitCode {
    USAGE.run(|page, flags| event_order::run(page, Path::new(FILE), flags.has("--node")))
}
