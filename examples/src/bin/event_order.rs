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
//!     cargo run --release -p examples --bin event_order -- --explain --profile node22
//!     cargo run --release -p examples --bin event_order -- --explain FILE --profile textbook --html order.html
//!     cargo run --release -p examples --bin event_order -- --compare node22,node26 --html parting.html
//!
//! These take one script, the article's or a scenario of `tests/conformance/FORMAT.md`, and say of each label in which
//! turn, in which phase and from which queue it ran; as a page, with the phases as lanes, also why. Two profiles stand
//! side by side, with a mark where they part and the number of the rule (`tests/conformance/SEMANTICS.md`): it is found by
//! giving the one profile the rules of the other until it has its order.
//!
//! The order is forced: the main program blocks until timers are due and jobs are done, because otherwise some of it is
//! a race, in Node as here. The file is read by threads that come back through `phaseloop::request::Port`, until `fs-pool`
//! does it; see `examples/src/event_order/files.rs`.

use std::path::Path;
use std::process::ExitCode;

use examples::command_line::Usage;
use examples::event_order::{self, explain::Request};

const USAGE: Usage = Usage {
    name: "event_order",
    about: "Shows in which order each version of Node and libuv, and the textbook, would run a script.",
    flags: &[
        ("--node", "runs it in the installed Node too"),
        ("--explain", "says where each label of one script ran: the turn, the phase and the queue"),
        ("FILE", "a scenario to explain (tests/conformance/FORMAT.md); without it, the article's script"),
        (
            "--profile P",
            "by whose order: node26, node22, libuv, browser, textbook, ... An unknown one lists them all",
        ),
        ("--compare P,Q", "puts two profiles side by side, and says where they part and by which rule"),
        ("--html OUT", "writes the explanation as a page that needs nothing else"),
    ],
};

/// A small file that is there wherever the example was built.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

fn main() -> ExitCode {
    USAGE.run(|page, flags| match Request::read(flags)? {
        Some(request) => request.run(page),
        None => event_order::run(page, Path::new(FILE), flags.has("--node")),
    })
}
