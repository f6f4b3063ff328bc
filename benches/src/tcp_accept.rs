//! What does a connection cost the server until it is accepted and waits to be read?
//!
//! The servers are those of `tcp_echo`. 10,000 connections are made, and the server's CPU time is read when it holds them all.

use std::io;
use std::time::{Duration, Instant};

use crate::echo_client::EchoClient;
use crate::echo_process::EchoProcess;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};

const BUF_LEN: usize = 4096;
const CORE: usize = 0;
const LIMIT: Duration = Duration::from_secs(30);

/// One connection accepted.
pub const QUESTIONS: &[Question] = &[Question {
    name: "tcp_accept",
    operation: "connection",
    unit: Unit::CpuUs,
    full: 10_000,
    brief: 100,
    goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) }],
    contestants: &[
        Contestant::floor("floor", |count| accept("floor", count)),
        Contestant::ours("phaseloop", |count| accept("phaseloop", count)),
        Contestant::ours("phaseloop-task", |count| accept("phaseloop-task", count)),
        #[cfg(feature = "libuv")]
        Contestant::peer("libuv", |count| accept("libuv", count)),
        Contestant::peer("tokio", |count| accept("tokio", count)),
        Contestant::peer("smol", |count| accept("smol", count)),
    ],
}];

fn accept(server: &str, count: u64) -> Sample {
    try_accept(server, count).unwrap_or_else(|error| panic!("{count} connections to {server}: {error}"))
}

fn try_accept(server: &str, count: u64) -> io::Result<Sample> {
    crate::echo_client::raise_descriptor_limit(count + 64)?; // the server inherits it
    crate::child::pin_to(CORE)?; // this too
    let server = EchoProcess::start(server, BUF_LEN, Some(CORE))?;
    let mut first = EchoClient::connect(server.addr(), 1, 64, None)?;
    first.ping_each()?;
    let (cpu, begin, open) = (server.cpu()?, Instant::now(), descriptors(&server)?);
    let _client = EchoClient::connect(server.addr(), count as usize, 64, None)?;
    while descriptors(&server)? < open + count as usize {
        if begin.elapsed() > LIMIT {
            return Err(io::Error::other(format!("not all were accepted in {LIMIT:?}")));
        }
        std::thread::yield_now();
    }
    Ok(Sample { ops: count, cpu: server.cpu()? - cpu, wall: begin.elapsed(), grown_bytes: 0 })
}

fn descriptors(server: &EchoProcess) -> io::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", server.id()))?.count())
}
