//! How do many connections share something, with callbacks and without a lock?
//!
//!     cargo run --release -p examples --bin chat_tcp -- --addr 127.0.0.1:7009
//!
//! Then, in several terminals, `nc 127.0.0.1 7009`: the first line is a name.

use std::io;
use std::process::ExitCode;

use examples::chat_tcp;
use examples::command_line::{Flags, Usage};
use examples::page::Page;
use phaseloop::{EventLoop, RunMode};

const USAGE: Usage = Usage {
    name: "chat_tcp",
    about: "A chat over TCP: what one says, all others hear.",
    flags: &[("--addr ADDRESS", "listens there; the default is 127.0.0.1:7009")],
};

fn main() -> ExitCode {
    USAGE.run(run)
}

fn run(page: &Page, flags: &Flags) -> io::Result<()> {
    let address = flags.parsed("--addr", ([127, 0, 0, 1], 7009).into())?;
    let lp = EventLoop::new()?;
    let listener = chat_tcp::serve(&lp, address, page)?;
    page.line(format!("listening on {}", listener.local_addr()?));
    lp.run(RunMode::Default)?; // until the process is killed
    Ok(())
}
