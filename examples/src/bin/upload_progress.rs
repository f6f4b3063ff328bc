//! Uploads that go to the disk piece by piece, and whose progress every browser sees.
//!
//! ```sh
//! cargo run --release -p examples --bin upload_progress -- --addr 127.0.0.1:8080 uploads
//! curl -N http://127.0.0.1:8080/progress &
//! curl -T big.iso http://127.0.0.1:8080/files/
//! ```

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use examples::command_line::{Refusal, Usage};
use examples::{serve, upload_progress};
use fs_pool::fs::Fs;
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;

const USAGE: Usage = Usage {
    name: "upload_progress",
    about: "Puts files that are uploaded into FOLDER, which must be there, and shows at / how far they are.",
    flags: &[
        ("--addr ADDRESS", "listens there; the default is 127.0.0.1:8080, and port 0 has the system choose"),
        ("FOLDER", "where files go"),
    ],
};

fn main() -> ExitCode {
    USAGE.run(|page, flags| {
        let folder = flags.value("FOLDER").map(PathBuf::from).unwrap_or_default();
        if !folder.is_dir() {
            return Err(Refusal::error(format!("{folder:?} is no folder that files could go to")));
        }
        let pool = Pool::builder().build().map_err(io::Error::other)?;
        serve::run(page, flags, |lp| upload_progress::app(&Fs::new(&LoopPool::new(lp, &pool)), folder))
    })
}
