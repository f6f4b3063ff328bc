//! What does a silent connection cost the server in memory?
//!
//! 10,000 connections each echo one message of 64 B and fall silent. Counted is what the server's resident memory grew
//! by since one connection had done the same, so that what is made once, on first use, is not counted.

use std::io;

use crate::echo_client::EchoClient;
use crate::echo_process::EchoProcess;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};

const MESSAGE_LEN: usize = 64;
const BUF_LEN: usize = 4096;

/// One silent connection.
pub const QUESTIONS: &[Question] = &[Question {
    name: "tcp_idle",
    operation: "connection",
    unit: Unit::Bytes,
    full: 10_000,
    brief: 100,
    goals: &[
        Goal { of: "phaseloop", bound: Bound::AtMost(270.0) },
        Goal { of: "phaseloop-task", bound: Bound::AtMost(600.0) },
    ],
    contestants: &[
        Contestant::floor("floor", |count| idle("floor", count)),
        Contestant::ours("phaseloop", |count| idle("phaseloop", count)),
        Contestant::ours("phaseloop-task", |count| idle("phaseloop-task", count)),
        Contestant::ours("phaseloop-own-buf", |count| idle("phaseloop-own-buf", count)),
        #[cfg(feature = "libuv")]
        Contestant::peer("libuv", |count| idle("libuv", count)),
        Contestant::peer("tokio", |count| idle("tokio", count)),
        Contestant::peer("tokio-shared-buf", |count| idle("tokio-shared-buf", count)),
        Contestant::peer("smol", |count| idle("smol", count)),
        Contestant::peer("smol-shared-buf", |count| idle("smol-shared-buf", count)),
        Contestant::peer("compio", |count| idle("compio", count)),
        Contestant::peer("compio-buf-pool", |count| idle("compio-buf-pool", count)),
        Contestant::peer("monoio", |count| idle("monoio", count)),
        Contestant::peer("node", |count| idle("node", count)),
    ],
}];

fn idle(server: &str, count: u64) -> Sample {
    try_idle(server, count).unwrap_or_else(|error| panic!("{count} idle connections of {server}: {error}"))
}

fn try_idle(server: &str, count: u64) -> io::Result<Sample> {
    crate::echo_client::raise_descriptor_limit(count + 64)?; // the server inherits it
    let begin = std::time::Instant::now();
    let server = EchoProcess::start(server, BUF_LEN, None)?;
    let mut first = EchoClient::connect(server.addr(), 1, MESSAGE_LEN, None)?;
    first.ping_each()?;
    let before = server.resident_bytes()?;
    let mut client = EchoClient::connect(server.addr(), count as usize, MESSAGE_LEN, None)?;
    client.ping_each()?;
    let cpu = server.cpu()?;
    let after = server.resident_bytes()?;
    let errors = client.errors();
    assert!(errors.total() == 0 && client.open_len() as u64 == count, "{errors:?}");
    Ok(Sample { ops: count, cpu, wall: begin.elapsed(), grown_bytes: after.saturating_sub(before) })
}
