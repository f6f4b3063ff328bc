//! How are many files hashed on several threads, in little memory, with the lines always in the same order?
//!
//!     cargo run --release -p examples --bin sha_tree -- . > sums
//!     sha256sum --check sums
//!
//! The loop walks the tree, and hands files to the pool: four for each worker, no more. Each is read by its worker with one
//! buffer, however long it is. Digests are written in the order of the names, so the first one that is not ready holds
//! the walk up.

use std::path::Path;
use std::process::ExitCode;

use examples::command_line::Usage;
use examples::page::Page;
use examples::sha_tree;

const USAGE: Usage = Usage {
    name: "sha_tree",
    about: "Writes the SHA-256 of each file below a folder, as sha256sum does.",
    flags: &[("FOLDER", "is walked; links are not followed")],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let errors = Page::stderr();
        let summary = sha_tree::run(page, &errors, Path::new(flags.required("FOLDER")?))?;
        errors.line(format!("{} files, {} bytes", summary.files, summary.bytes));
        match summary.failed {
            0 => Ok(()),
            failed => Err(std::io::Error::other(format!("{failed} could not be read"))),
        }
    })
}
