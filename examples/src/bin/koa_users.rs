//! Users in memory behind a JSON interface, in the style of Koa.
//!
//! ```sh
//! cargo run --release -p examples --bin koa_users -- --addr 127.0.0.1:8080
//! curl -H 'content-type: application/json' -d '{"name":"ada"}' http://127.0.0.1:8080/api/users
//! ```

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::{koa_users, serve};

const USAGE: Usage = Usage {
    name: "koa_users",
    about: "Serves users as JSON at /api/users, in the style of Koa.",
    flags: &[(
        "--addr ADDRESS",
        "listens there; the default is 127.0.0.1:8080, and port 0 has the system choose",
    )],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let log = page.clone();
        serve::run(page, flags, |_| koa_users::app(move |line| log.line(line)))
    })
}
