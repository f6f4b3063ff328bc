//! A page with a clock that the server drives by server-sent events.
//!
//! ```sh
//! cargo run --release -p examples --bin sse_ticks -- --addr 127.0.0.1:8080
//! curl -N http://127.0.0.1:8080/ticks
//! curl -N -H 'last-event-id: 3' http://127.0.0.1:8080/ticks
//! ```

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::{serve, sse_ticks};

const USAGE: Usage = Usage {
    name: "sse_ticks",
    about: "Tells every browser that looks at / the same tick, once a second, by server-sent events.",
    flags: &[
        ("--addr ADDRESS", "listens there; the default is 127.0.0.1:8080, and port 0 has the system choose"),
        (
            "--first NUMBER",
            "the number of the first tick, 1 by default: that behind the last one of the run before",
        ),
    ],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let first = flags.parsed("--first", 1)?;
        serve::run(page, flags, |lp| sse_ticks::handler(lp, first))
    })
}
