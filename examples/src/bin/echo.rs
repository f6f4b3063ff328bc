//! A TCP echo server. The server itself is in `examples::echo`; this is the program around it.
//!
//! `cargo run --release -p examples --bin echo -- --addr 127.0.0.1:7007`, and then for example `nc 127.0.0.1 7007`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::env;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use examples::descriptors;
use examples::echo::{Traffic, serve_with_callbacks, serve_with_futures};
use phaseloop::net::TcpListener;
use phaseloop::{EventLoop, LoopHandle, RunMode};

const USAGE: &str = "\
usage: echo [--addr ADDRESS] [--callbacks]

  --addr ADDRESS  listen there; the default is 127.0.0.1:7007, and port 0 has the system choose
  --callbacks     serve with callbacks instead of futures
  --help          say this";

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("echo: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {}: {error}", options.address);
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    if let Err(error) = descriptors::raise_limit() {
        eprintln!("echo: the limit of descriptors stays as it is: {error}");
    }
    let lp = EventLoop::new()?;
    let listener = TcpListener::bind(&lp, options.address)?;
    println!("listening on {}", listener.local_addr()?);
    let traffic = Rc::new(Traffic::default());
    report_each_second(&lp, Rc::clone(&traffic));
    if options.callbacks {
        serve_with_callbacks(&listener, traffic)?;
    } else {
        serve_with_futures(&lp, listener, traffic).detach();
    }
    lp.run(RunMode::Default)?; // until the process is killed
    Ok(())
}

/// Prints what happened, once a second and only if something did. Does not keep the loop alive.
fn report_each_second(lp: &LoopHandle, traffic: Rc<Traffic>) {
    let mut ticks = lp.interval(Duration::from_secs(1));
    let reporter = lp.spawn(async move {
        let mut last = Instant::now();
        loop {
            ticks.tick().await;
            let elapsed = last.elapsed();
            last += elapsed;
            if let Some(report) = traffic.report(elapsed) {
                println!("{report}");
            }
        }
    });
    reporter.unref();
}

struct Options {
    address: SocketAddr,
    callbacks: bool,
}

impl Options {
    /// `None` if the user asks for help.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self { address: SocketAddr::from(([127, 0, 0, 1], 7007)), callbacks: false };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--addr" => {
                    let value = arguments.next().ok_or("--addr needs a value, such as 127.0.0.1:7007")?;
                    let parsed = value.parse();
                    options.address = parsed.map_err(|_| {
                        format!("--addr: {value:?} is no address with a port, such as 127.0.0.1:7007")
                    })?;
                }
                "--callbacks" => options.callbacks = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {argument:?}")),
            }
        }
        Ok(Some(options))
    }
}
