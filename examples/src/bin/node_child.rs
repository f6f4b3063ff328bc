//! How does a parent on the loop talk to a Node program?
//!
//!     cargo run --release -p examples --bin node_child
//!
//! It spawns Node with a channel, as Node's `fork` does. The child has `process.send` and the event `message`, and knows of
//! nothing else. A listening socket goes with a message, and the child serves on it.

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::node_child;

const USAGE: Usage =
    Usage { name: "node_child", about: "Exchanges messages and a socket with a Node program.", flags: &[] };

fn main() -> ExitCode {
    USAGE.run(|page, _| node_child::run(page))
}
