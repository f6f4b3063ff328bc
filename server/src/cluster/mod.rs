//! Several workers on one port: processes or threads, started, watched and replaced by a primary.
//!
//! [`Setup`] says where a cluster listens and [`starts`](Setup::start) it; [`Primary`] is the cluster from there on, and
//! [`Worker`] the other end, in each process or thread. [`Workers`] says what workers are: this program once more, any other, threads, or Node
//! programs that use Node's `cluster`. [`Policy`] says how connections get to them.
//!
//! README.md in this folder has a picture of who talks to whom, and says what happens when a worker dies.
//!
//! # Examples
//! A program that is its own worker:
//! ```no_run
//! use phaseloop::{EventLoop, RunMode};
//! use phaseloop_server::cluster::{Options, Setup, Worker, Workers};
//! use phaseloop_server::http::{Body, Request, Server};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let lp = EventLoop::new()?;
//!     if let Some(worker) = Worker::from_env(&lp)? {
//!         let server = Server::new(async |_: Request<Body>| format!("process {}\n", std::process::id()));
//!         worker.serve("web", &server.serve_streams(&lp))?;
//!         lp.run(RunMode::Default)?; // until the primary says that it is over
//!         return Ok(());
//!     }
//!     let setup = Setup::new(Options::default()).listen("web", "127.0.0.1:8080".parse()?);
//!     let primary = setup.start(&lp, Workers::this_program()?)?;
//!     primary.on_event(|_, event| println!("{event:?}"));
//!     lp.block_on(primary.run_until_ended())??; // until SIGTERM; SIGHUP replaces the workers one by one
//!     Ok(())
//! }
//! ```

mod connection;
mod core;
mod dispatch;
mod event;
mod events;
mod handing;
mod listening;
mod member;
mod node;
mod node_talk;
mod options;
mod own_talk;
mod primary;
mod sticky;
mod supervisor;
mod taking;
mod wire;
mod worker;
mod workers;

pub use connection::{Connection, Stream};
pub use event::{Drained, EndReport, Ending, Event, RestartError, RestartReport, WorkerEnd, WorkerId};
pub use events::Events;
pub use options::{ClusterLimits, Heartbeat, Options, Policy, Restart, Stickiness};
pub use primary::{Primary, Setup, WorkerInfo};
pub use worker::Worker;
pub use workers::{NewWorker, Workers};
