//! The realtime service: `cargo run --release -p realtime`, then open the address it prints.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::process::ExitCode;

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
            println!("{usage}");
            return ExitCode::SUCCESS;
        }
        eprintln!("realtime: there is no argument {argument:?}\n{usage}");
        return ExitCode::from(2);
    }
    let config = match Config::read(|name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("realtime: the configuration is wrong:\n{mistakes}");
            return ExitCode::from(2);
        }
    };
    match run(config) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("realtime: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // The drivers of the stores are tokio's: it is the loop's host, on this thread.
    let lp = EventLoop::builder().with_tokio()?.build()?;
    let log = Log::new(config.log_json, config.log_level, |line| eprintln!("{line}"));
    let handle = lp.handle();
    if let Some(worker) = Worker::from_env(&handle)? {
        let service = lp.block_on(Service::start_worker(&worker, config, log))??;
        lp.run(RunMode::Default)?; // until the primary says that it is over
        drop(service);
        return Ok(ExitCode::SUCCESS);
    }
    if config.workers > 1 {
        let report = lp.block_on(lead(&handle, &config, log, |url| println!("open {url}")))??;
        return Ok(if report.given_up.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    lp.block_on(async move {
        let signal = shutdown_signal(&handle, SecondSignal::Ends)?;
        let service = Service::start(&handle, config, log).await?;
        println!("open {}", service.url()?);
        signal.await;
        let report = service.shutdown().await;
        Ok(if report.cut.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })?
}
