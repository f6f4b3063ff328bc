//! In which order do the halves of nested middleware run?
//!
//!     cargo run --release -p examples --bin onion
//!
//! What stands before `next.run` runs from the outside in, what stands after it from the inside out. An error goes out through
//! the layers, and what stands after `next.run` is left out unless a layer catches it.

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::onion;

const USAGE: Usage = Usage {
    name: "onion",
    about: "Shows the order of middleware around middleware, in the style of Koa.",
    flags: &[],
};

fn main() -> ExitCode {
    USAGE.run(|page, _| onion::run(page))
}
