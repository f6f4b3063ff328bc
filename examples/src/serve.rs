//! What the examples of web servers share: an address, and a server on it until the program is ended.

use std::io;
use std::net::SocketAddr;

use phaseloop::{EventLoop, LoopHandle, RunMode};
use phaseloop_server::http::{Handler, Server};

use crate::command_line::{Flags, Refusal};
use crate::page::Page;

/// Serves what `make` makes at the address of `--addr`.
///
/// # Errors
/// A refusal for an address that is none; those of listening and of the loop.
pub fn run<H: Handler>(page: &Page, flags: &Flags, make: impl FnOnce(&LoopHandle) -> H) -> io::Result<()> {
    let address = match flags.value("--addr") {
        Some(text) => text.to_string_lossy().parse().map_err(|_| {
            Refusal::error(format!("--addr: {text:?} is no address with a port, such as 127.0.0.1:8080"))
        })?,
        None => SocketAddr::from(([127, 0, 0, 1], 8080)),
    };
    let lp = EventLoop::new()?;
    let told = page.clone();
    let server = Server::new(make(&lp)).on_trouble(move |trouble| told.line(trouble));
    let serving = server.listen(&lp, address)?;
    page.line(format_args!("listening on http://{}/", serving.local_addr()?));
    lp.run(RunMode::Default).map(drop) // until the program is ended
}
