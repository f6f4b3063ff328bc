//! Loads any echo server: `load --addr 127.0.0.1:PORT --connections 5000 --size 64 --seconds 5`.
//!
//! Holds the connections, one message in flight on each, and reports errors, messages a second and how long messages
//! took. It ends by itself: the connections have ten seconds to open, an answer has ten seconds to come.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use phaseloop_benches::echo_client::{EchoClient, Until};

const CONNECT_ALL_TIMEOUT: Duration = Duration::from_secs(10);
const USAGE: &str = "usage: load --addr HOST:PORT [--connections 50] [--size 64] [--seconds 5] [--json]";

struct Options {
    addr: SocketAddr,
    connections: usize,
    size: usize,
    seconds: u64,
    is_json: bool,
}

fn main() -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        let _ = writeln!(io::stderr(), "{USAGE}"); // nowhere is left to say it
        return ExitCode::FAILURE;
    };
    match load(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "load: {error}"); // nowhere is left to say it
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all went well.
fn load(options: &Options) -> io::Result<bool> {
    let begin = Instant::now();
    let deadline = Some(begin + CONNECT_ALL_TIMEOUT);
    let mut client = EchoClient::connect(options.addr, options.connections, options.size, deadline)?;
    let connect_ms = begin.elapsed().as_millis() as u64;
    client.keep_latencies();
    let begin = Instant::now();
    let answered = client.exchange(Until::Instant(begin + Duration::from_secs(options.seconds)))?;
    let elapsed = begin.elapsed();
    let errors = client.errors();
    let latencies = client.latencies().expect("they were asked for");
    let us = |share: f64| latencies.at(share) as f64 / 1e3;
    let report = serde_json::json!({
        "connections": client.open_len(),
        "connect_ms": connect_ms,
        "messages": answered,
        "messages_per_s": (answered as f64 / elapsed.as_secs_f64()).round(),
        "errors": {
            "connect": errors.connect,
            "lost": errors.lost,
            "mismatched": errors.mismatched,
            "unanswered": errors.unanswered,
        },
        "latency_us": {
            "p50": us(0.5), "p90": us(0.9), "p99": us(0.99), "p99.9": us(0.999),
            "max": latencies.max_ns() as f64 / 1e3,
        },
    });
    print(options, &report)?;
    Ok(errors.total() == 0 && answered > 0)
}

fn print(options: &Options, report: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout();
    if options.is_json {
        return writeln!(out, "{report}");
    }
    writeln!(
        out,
        "{} of {} connections, opened in {} ms",
        report["connections"], options.connections, report["connect_ms"]
    )?;
    writeln!(
        out,
        "{} messages of {} B, {} a second",
        report["messages"], options.size, report["messages_per_s"]
    )?;
    writeln!(out, "errors {}", report["errors"])?;
    writeln!(out, "latency, us {}", report["latency_us"])
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut addr = None;
    let mut options = Options {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        connections: 50,
        size: 64,
        seconds: 5,
        is_json: false,
    };
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--addr" => addr = Some(args.next()?.parse().ok()?),
            "--connections" => options.connections = args.next()?.parse().ok()?,
            "--size" => options.size = args.next()?.parse().ok().filter(|size| *size > 0)?,
            "--seconds" => options.seconds = args.next()?.parse().ok()?,
            "--json" => options.is_json = true,
            _ => return None,
        }
    }
    options.addr = addr?;
    Some(options)
}
