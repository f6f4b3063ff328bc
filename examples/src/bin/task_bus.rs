//! How do callbacks that somebody else waits for look? As an `EventEmitter`, or as tasks and a channel.
//!
//!     cargo run --release -p examples --bin task_bus
//!
//! A TaskBus accepts tasks and emits `Done` or `Error` after a timer. Events are an enum, so a typing error does not
//! compile. Listeners run inside `emit`, in the order of registration: prepended ones first, `once` a single time, removed
//! ones never. An `Error` that nobody listens to is given back to whoever emits, who here panics, which lands in the
//! loop's uncaught hook. A `ContextKey` knows in every listener which request a task belongs to, although nobody passes
//! it along. Then the same with tasks, a channel and no callback at all.

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::task_bus;

const USAGE: Usage = Usage {
    name: "task_bus",
    about: "Shows a typed event emitter, and the same with tasks and a channel.",
    flags: &[],
};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {})); // the panic is shown by the loop's uncaught hook
    USAGE.run(|page, _| task_bus::run(page))
}
