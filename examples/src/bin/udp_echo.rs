//! How little is a UDP server?
//!
//!     cargo run --release -p examples --bin udp_echo -- --addr 127.0.0.1:7010
//!
//! Then, for example, `nc -u 127.0.0.1 7010`.

use std::io;
use std::process::ExitCode;

use examples::command_line::{Flags, Usage};
use examples::page::Page;
use examples::udp_echo;
use phaseloop::{EventLoop, RunMode};

const USAGE: Usage = Usage {
    name: "udp_echo",
    about: "Sends back each datagram that it gets.",
    flags: &[("--addr ADDRESS", "receives there; the default is 127.0.0.1:7010")],
};

fn main() -> ExitCode {
    USAGE.run(run)
}

fn run(page: &Page, flags: &Flags) -> io::Result<()> {
    let address = flags.parsed("--addr", ([127, 0, 0, 1], 7010).into())?;
    let lp = EventLoop::new()?;
    page.line(format!("listening on {}", udp_echo::serve(&lp, address, page)?));
    lp.run(RunMode::Default)?; // until the process is killed
    Ok(())
}
