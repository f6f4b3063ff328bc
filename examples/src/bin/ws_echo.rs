//! A WebSocket server that sends back what it gets; with `--client`, a client that does so with a server of test cases.
//!
//! `cargo run --release -p examples --bin ws_echo -- --addr 127.0.0.1:9002`, and then for example `wscat -c ws://127.0.0.1:9002`.
//!
//! All cases of the Autobahn suite, with kosoku from PyPI: against the server `kosoku -m fuzzingclient ws://127.0.0.1:9002`; against the
//! client `kosoku -m fuzzingserver 127.0.0.1:9001`, and then this program with `--client ws://127.0.0.1:9001`.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use examples::command_line::{Flags, Refusal, Usage};
use examples::page::Page;
use examples::{descriptors, ws_echo};
use phaseloop::{EventLoop, RunMode};
use phaseloop_server::client::Client;
use phaseloop_server::ws::DeflateContext;

const USAGE: Usage = Usage {
    name: "ws_echo",
    about: "a WebSocket server that sends back what it gets",
    flags: &[
        ("--addr ADDRESS", "listen there; the default is 127.0.0.1:9002, and port 0 has the system choose"),
        ("--client URI", "be the client of a server of test cases instead, such as ws://127.0.0.1:9001"),
        ("--keep-context", "compress with references to earlier messages, where the peer wants that too"),
    ],
};

fn main() -> ExitCode {
    USAGE.run(run)
}

fn run(page: &Page, flags: &Flags) -> io::Result<()> {
    let lp = EventLoop::new()?;
    let context = match flags.has("--keep-context") {
        true => DeflateContext::Connection,
        false => DeflateContext::Message,
    };
    if let Some(server) = text(flags, "--client") {
        let client = Client::new(&lp);
        let count = lp.block_on(async { ws_echo::be_tested(&client, &server, context).await })?;
        page.line(format!("{} cases were played", count.map_err(io::Error::other)?));
        return Ok(());
    }
    let address = text(flags, "--addr").unwrap_or_else(|| "127.0.0.1:9002".to_owned());
    let address: SocketAddr = address.parse().map_err(|_| {
        Refusal::error(format!("--addr: {address:?} is no address with a port, such as 127.0.0.1:9002"))
    })?;
    // Where the limit can not be raised, fewer connections are served.
    let _ = descriptors::raise_limit();
    let serving = ws_echo::server(context).listen(&lp, address)?;
    page.line(format!("listening on ws://{}/", serving.local_addr()?));
    page.finish()?;
    lp.run(RunMode::Default)?; // until the process is killed
    Ok(())
}

fn text(flags: &Flags, flag: &str) -> Option<String> {
    flags.value(flag).map(|value| value.to_string_lossy().into_owned())
}
