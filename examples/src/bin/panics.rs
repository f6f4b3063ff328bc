//! What happens when a callback, a task, a tick or a listener panics?
//!
//!     cargo run --release -p examples --bin panics
//!
//! A panic in a callback goes to the loop's uncaught hook. Without one it leaves `run`; the loop is intact, and the next
//! `run` goes on with what was left. A panic in a task never gets that far: it is the task's result, or, if nobody
//! joins the task, it is counted and given to a hook of its own. What a panic leaves undrained is Node's rule: nothing
//! runs between a callback that throws and the next one.

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::panics;

const USAGE: Usage =
    Usage { name: "panics", about: "Shows what a panic does in each place where it can happen.", flags: &[] };

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {})); // std's message for each panic would only repeat the page
    USAGE.run(|page, _| panics::run(page))
}
