//! A folder as a web site: ranges, conditions, types, compressed neighbours, a page for what is not there.
//!
//! ```sh
//! cargo run --release -p examples --bin static_site -- --addr 127.0.0.1:8080 target/doc
//! curl -r 0-99 http://127.0.0.1:8080/phaseloop/
//! ```

use std::io;
use std::path::Path;
use std::process::ExitCode;

use examples::command_line::{Refusal, Usage};
use examples::{serve, static_site};
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;

const USAGE: Usage = Usage {
    name: "static_site",
    about: "Serves the files below FOLDER; where it is not given, those below the current one.",
    flags: &[
        ("--addr ADDRESS", "listens there; the default is 127.0.0.1:8080, and port 0 has the system choose"),
        ("FOLDER", "what is served"),
    ],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let folder = Path::new(flags.value("FOLDER").unwrap_or(".".as_ref()));
        if !folder.is_dir() {
            return Err(Refusal::error(format!("{}: no folder", folder.display())));
        }
        let pool = Pool::builder().build().map_err(io::Error::other)?;
        let log = page.clone();
        serve::run(page, flags, |lp| {
            static_site::app(&LoopPool::new(lp, &pool), folder, move |line| log.line(line))
        })
    })
}
