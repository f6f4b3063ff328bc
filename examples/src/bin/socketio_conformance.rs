//! The server that the protocol suites of Engine.IO v4 and Socket.IO v5 are run against, with the handlers they ask for.
//!
//! `cargo run --release -p examples --bin socketio_conformance -- 3000`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::env;
use std::error::Error;
use std::process::ExitCode;

use examples::socketio_conformance;
use phaseloop::{EventLoop, RunMode};

fn main() -> ExitCode {
    let argument = env::args().nth(1);
    let port = match argument.as_deref().map(str::parse) {
        None => 3000,
        Some(Ok(port)) => port,
        Some(Err(error)) => {
            eprintln!("socketio_conformance: {}: {error}", argument.unwrap_or_default());
            eprintln!(
                "usage: socketio_conformance [PORT]\n\n  PORT  listen there; 3000 by default, and 0 has the system choose"
            );
            return ExitCode::from(2);
        }
    };
    match run(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("socketio_conformance: port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(port: u16) -> Result<(), Box<dyn Error>> {
    let lp = EventLoop::new()?;
    let serving = socketio_conformance::server().listen(&lp, ([0, 0, 0, 0], port).into())?;
    println!("listening on http://localhost:{}/", serving.local_addr()?.port());
    lp.run(RunMode::Default)?; // until the process is killed
    Ok(())
}
