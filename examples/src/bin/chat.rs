//! Rooms of people who talk, over Socket.IO, with a page: open `http://127.0.0.1:8080/` in two windows.
//!
//! `cargo run --release -p examples --bin chat`, with an address to listen on somewhere else.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use examples::chat;
use phaseloop::{EventLoop, RunMode};
use phaseloop_server::http::Server;

fn main() -> ExitCode {
    let argument = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let Ok(address) = argument.parse() else {
        eprintln!(
            "chat: {argument:?} is no address with a port\nusage: chat [ADDRESS]; the default is 127.0.0.1:8080"
        );
        return ExitCode::from(2);
    };
    match run(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let lp = EventLoop::new()?;
    let server = Server::new(chat::handler()).on_trouble(|trouble| eprintln!("chat: {trouble}"));
    println!("open http://{}/", server.listen(&lp, address)?.local_addr()?);
    lp.run(RunMode::Default)?; // until the process is killed
    Ok(())
}
