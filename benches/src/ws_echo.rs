//! What does a message of 64 B over a WebSocket cost the server?
//!
//! 50 connections, one message in flight on each, as for `tcp_echo`. Masks are zero: the server applies them all the same.

use std::io;

use crate::echo_client::{EchoClient, Talk, Until};
use crate::echo_process::EchoProcess;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};

const CONNECTIONS: usize = 50;
/// The core that server and client share.
const CORE: usize = 0;
/// One message in so many is sent before anything is counted.
const WARM_UP_SHARE: u64 = 10;

macro_rules! contestants {
    ($size:literal) => {
        &[
            Contestant::ours("phaseloop", |messages| echo("phaseloop-ws", $size, messages)),
            Contestant::ours("phaseloop-callbacks", |messages| {
                echo("phaseloop-ws-callbacks", $size, messages)
            }),
            Contestant::peer("tokio-tungstenite", |messages| echo("tokio-ws", $size, messages)),
            Contestant::peer("tokio-tungstenite-small-buf", |messages| {
                echo("tokio-ws-small-buf", $size, messages)
            }),
        ]
    };
}

/// Small messages and larger ones.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "ws_echo_64",
        operation: "message of 64 B",
        unit: Unit::CpuUs,
        full: 100_000,
        brief: 500,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) }],
        contestants: contestants!(64),
    },
    Question {
        name: "ws_echo_4k",
        operation: "message of 4 KiB",
        unit: Unit::CpuUs,
        full: 50_000,
        brief: 500,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) }],
        contestants: contestants!(4096),
    },
];

fn echo(server: &str, size: usize, messages: u64) -> Sample {
    try_echo(server, size, messages).unwrap_or_else(|error| panic!("echo of {size} B by {server}: {error}"))
}

fn try_echo(server: &str, size: usize, messages: u64) -> io::Result<Sample> {
    crate::child::pin_to(CORE)?; // the server inherits it
    let server = EchoProcess::start(server, 0, Some(CORE))?;
    let mut client = EchoClient::connect_to_talk(server.addr(), CONNECTIONS, Talk::websocket(size), None)?;
    client.ping_each()?;
    client.exchange(Until::Messages(messages / WARM_UP_SHARE))?;
    let cpu = server.cpu()?;
    let begin = std::time::Instant::now();
    let answered = client.exchange(Until::Messages(messages))?;
    let wall = begin.elapsed();
    let cpu = server.cpu()? - cpu;
    let errors = client.errors();
    assert!(errors.total() == 0 && answered == messages, "{answered} of {messages} answered, {errors:?}");
    Ok(Sample { ops: messages, cpu, wall, grown_bytes: 0 })
}
