//! Users in memory behind a JSON interface, in the style of Express, with logging in.
//!
//! ```sh
//! cargo run --release -p examples --bin express_users -- --addr 127.0.0.1:8080
//! curl -H 'content-type: application/json' -d '{"name":"ada"}' http://127.0.0.1:8080/users
//! ```

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::{express_users, serve};

const USAGE: Usage = Usage {
    name: "express_users",
    about: "Serves users as JSON at /users and sessions at /session, in the style of Express.",
    flags: &[(
        "--addr ADDRESS",
        "listens there; the default is 127.0.0.1:8080, and port 0 has the system choose",
    )],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let log = page.clone();
        serve::run(page, flags, |_| express_users::app(move |line| log.line(line)))
    })
}
