//! A forwarder between TCP and Unix sockets. The forwarding itself is in `examples::port_forward`.
//!
//! `cargo run --release -p examples --bin port_forward -- 127.0.0.1:7008 127.0.0.1:7007`, with `echo` at the other end.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::env;
use std::io;
use std::process::ExitCode;

use examples::page::Page;
use examples::port_forward::{Place, serve};
use phaseloop::{EventLoop, RunMode};

const USAGE: &str = "\
usage: port_forward FROM TO

  FROM, TO  an address such as 127.0.0.1:7008, or unix:PATH, or unix:@NAME; port 0 has the system choose
  --help    say this";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let places = match &*arguments {
        [from, to] => Place::parse(from).and_then(|from| Ok((from, Place::parse(to)?))),
        _ => Err(format!("two places are needed, and {} were given", arguments.len())),
    };
    match places {
        Err(message) => {
            eprintln!("port_forward: {message}\n{USAGE}");
            ExitCode::from(2)
        }
        Ok((from, to)) => match run(&from, to) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("port_forward: {from}: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

fn run(from: &Place, to: Place) -> io::Result<()> {
    let lp = EventLoop::new()?;
    let place = serve(&lp, from, to.clone(), &Page::stdout())?;
    println!("forwarding {place} to {to}");
    lp.run(RunMode::Default)?; // until the process is killed
    Ok(())
}
