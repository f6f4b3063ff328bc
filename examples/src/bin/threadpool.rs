//! Who waits for whom on the thread pool? Six hashes and six files on four workers: the experiment of every article on libuv.
//!
//!     cargo run --release -p examples --bin threadpool
//!     cargo run --release -p examples --bin threadpool -- /elsewhere/picture.svg
//!
//! In Node, `crypto.pbkdf2` and `fs.readFile` share one pool and one queue, so that a file waits until a hash is done: first
//! timeline. Here the pool has classes. Give hashing all workers but one, and files never wait for it: second timeline. Last,
//! a 4 KiB read beside 64 hashes that would take for ever. The picture shows both timelines; it is light or dark as the
//! viewer is.

use std::path::Path;
use std::process::ExitCode;

use examples::command_line::Usage;
use examples::threadpool;

const USAGE: Usage = Usage {
    name: "threadpool",
    about: "Shows six hashes and six files on four workers, with one class and with several.",
    flags: &[("PICTURE", "is written; the default is target/threadpool.svg")],
};

/// A file that is there wherever the example was built.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");

/// Of PBKDF2 with SHA-512: those of Node's documentation. Some 50 ms.
const ITERATIONS: u32 = 100_000;

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let picture = flags.value("PICTURE").map_or(Path::new("target/threadpool.svg"), Path::new);
        threadpool::show(page, Path::new(FILE), ITERATIONS, Some(picture))
    })
}
