//! The realtime service: `cargo run --release -p realtime`, then open the address it prints.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::pin::pin;
use std::process::ExitCode;

use futures::future::{Either, select};
use phaseloop::EventLoop;
use phaseloop::RunMode;
use phaseloop::signal::{SecondSignal, shutdown_signal};
use phaseloop_server::cluster::Worker;
use realtime::{Config, Log, Service, lead};

fn main() -> ExitCode {
    realtime::raise_descriptor_limit();
    if let Some(argument) = std::env::args().nth(1) {
        let is_help = argument == "--help" || argument == "-h";
        let usage =
            "usage: realtime\n\nIt is configured by environment variables: see examples/realtime/README.md.";
        if is_help {
            say(usage);
            return ExitCode::SUCCESS;
        }
        complain(format_args!("realtime: there is no argument {argument:?}\n{usage}"));
        return ExitCode::from(2);
    }
    let config = match Config::read(|name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(mistakes) => {
            complain(format_args!("realtime: the configuration is wrong:\n{mistakes}"));
            return ExitCode::from(2);
        }
    };
    match run(config) {
        Ok(code) => code,
        Err(error) => {
            complain(format_args!("realtime: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A line for the user. Whoever has closed the other end does not want to know, and does not end the service.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// The same, of what is wrong and of what is logged.
fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn run(config: Config) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // The drivers of the stores are tokio's: it is the loop's host, on this thread.
    let lp = EventLoop::builder().with_tokio()?.build()?;
    let log = Log::new(config.log_json, config.log_level, |line| complain(line));
    let handle = lp.handle();
    if let Some(worker) = Worker::from_env(&handle)? {
        let service = lp.block_on(Service::start_worker(&worker, config, log))??;
        lp.run(RunMode::Default)?; // until the primary says that it is over
        drop(service);
        return Ok(ExitCode::SUCCESS);
    }
    if config.workers > 1 {
        let report = lp.block_on(lead(&handle, &config, log, |url| say(format_args!("open {url}"))))??;
        return Ok(if report.given_up.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    lp.block_on(async move {
        let signal = shutdown_signal(&handle, SecondSignal::Ends)?;
        let (service, signal) = match select(pin!(Service::start(&handle, config, log)), signal).await {
            Either::Left((service, signal)) => (service?, signal),
            Either::Right(_) => return Ok(ExitCode::SUCCESS), // a store kept it waiting
        };
        say(format_args!("open {}", service.url()?));
        signal.await;
        let report = service.shutdown().await;
        Ok(if report.cut.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })?
}
