//! How does a loop compress a large file without standing still?
//!
//!     cargo run --release -p examples --bin gzip_file -- Cargo.lock
//!     cargo run --release -p examples --bin gzip_file -- --decompress --force Cargo.lock.gz
//!
//! One job on the pool reads, compresses and writes, with two buffers however long the file is. A counter that both sides see
//! moves the bar, which the loop draws. The new file gets its name at the end: there is never half of one.

use std::path::Path;
use std::process::ExitCode;

use examples::command_line::Usage;
use examples::gzip_file::{self, Options};
use examples::page::Page;

const USAGE: Usage = Usage {
    name: "gzip_file",
    about: "Compresses FILE into FILE.gz, which every gunzip can read.",
    flags: &[
        ("FILE", "is read, and stays"),
        ("--decompress", "from FILE.gz to FILE"),
        ("--force", "replaces what is there"),
    ],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let options = Options { decompress: flags.has("--decompress"), force: flags.has("--force") };
        gzip_file::run(page, &Page::stderr(), Path::new(flags.required("FILE")?), options).map(drop)
    })
}
