//! The example `cluster_http`: an HTTP server on several workers, which are processes or threads.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use phaseloop::{EventLoop, LoopHandle, RunMode};
use phaseloop_server::cluster::{Event, Options, Policy, Setup, Stickiness, Worker, Workers};
use phaseloop_server::http::{Body, Request, Server};

use crate::command_line::{Flags, Refusal};
use crate::page::Page;

/// Runs the primary; or the worker, if a primary started this program.
///
/// # Errors
/// A refusal for flags that do not fit; the system's, when it can not listen.
pub fn run(page: &Page, flags: &Flags) -> io::Result<()> {
    let lp = EventLoop::new()?;
    if let Some(worker) = Worker::from_env(&lp)? {
        work(&lp, &worker)?;
        return lp.run(RunMode::Default).map(drop); // until the primary says that it is over
    }
    let address = flags.parsed("--addr", SocketAddr::from(([127, 0, 0, 1], 8080)))?;
    let mut options = Options::default();
    options.workers = flags.parsed("--workers", options.workers)?;
    options.policy = policy(flags.value("--policy"))?;
    options.grace = Duration::from_secs(flags.parsed("--grace", 30)?);
    let workers = match flags.has("--threads") {
        true => Workers::threads(|lp, worker| {
            work(lp, &worker).expect("the primary listens on what is served");
        }),
        false => Workers::this_program()?,
    };
    let primary = Setup::new(options).listen("web", address).start(&lp, workers)?;
    let told = page.clone();
    primary.on_event(move |_, event| told.line(describe(&event)));
    page.line(format_args!("listening on http://{}/", primary.local_addr("web")?));
    let report = lp.block_on(primary.run_until_ended())??;
    match report.given_up.len() {
        0 => Ok(()),
        count => Err(io::Error::other(format!("{count} workers ended too often and were given up"))),
    }
}

/// Each answer says who gave it.
fn work(lp: &LoopHandle, worker: &Worker) -> io::Result<()> {
    let id = worker.id();
    let server = Server::new(async move |_: Request<Body>| {
        let thread = thread::current().name().unwrap_or("main").to_owned();
        format!("worker {id}, process {}, thread {thread}\n", std::process::id())
    });
    worker.serve("web", &server.serve_streams(lp))
}

fn policy(name: Option<&OsStr>) -> io::Result<Policy> {
    Ok(match name.map(OsStr::to_string_lossy).as_deref() {
        None | Some("shared") => Policy::Shared,
        Some("reuse-port") => Policy::ReusePort,
        Some("round-robin") => Policy::RoundRobin,
        Some("sticky") => Policy::Sticky(Stickiness::Address),
        Some(other) => {
            let known = "shared, reuse-port, round-robin and sticky are known";
            return Err(Refusal::error(format!("`--policy`: {other:?} is none: {known}")));
        }
    })
}

fn describe(event: &Event) -> String {
    match event {
        Event::Started { worker, slot, pid: Some(pid) } => {
            format!("worker {worker} starts in place {slot} as process {pid}")
        }
        Event::Started { worker, slot, pid: None } => format!("worker {worker} starts in place {slot}"),
        Event::StartFailed { worker, error } => format!("worker {worker} can not be started: {error}"),
        Event::Ready { worker } => format!("worker {worker} is ready"),
        Event::Exited(end) => end.to_string(),
        Event::Restarting { slot, delay } => format!("place {slot} gets another one in {delay:?}"),
        Event::Replaced { old, new } => format!("worker {new} takes over from worker {old}"),
        Event::RollingRestart(Ok(report)) => format!("{} workers were replaced", report.replaced.len()),
        Event::RollingRestart(Err(error)) => format!("not all workers were replaced: {error}"),
        other => format!("{other:?}"),
    }
}
