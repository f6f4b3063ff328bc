//! What does an echoed message cost the server, at 50 connections and three sizes of message?
//!
//! Closed loop: each connection has one message in flight. The server is a child process, and its CPU time alone is
//! counted; it and the client share a core, so that a round is steady and the other core is nobody's business.

use std::io;

use crate::echo_client::{EchoClient, Until};
use crate::echo_process::EchoProcess;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};

const CONNECTIONS: usize = 50;
const CORE: usize = 0;

/// Messages before the timed ones, as a share of them.
const WARM_UP_SHARE: u64 = 10;

macro_rules! contestants {
    ($size:expr) => {
        &[
            Contestant::floor("floor", |messages| echo("floor", $size, messages)),
            Contestant::ours("phaseloop", |messages| echo("phaseloop", $size, messages)),
            Contestant::ours("phaseloop-task", |messages| echo("phaseloop-task", $size, messages)),
            Contestant::ours("phaseloop-own-buf", |messages| echo("phaseloop-own-buf", $size, messages)),
            Contestant::peer("tokio", |messages| echo("tokio", $size, messages)),
            Contestant::peer("tokio-one-worker", |messages| echo("tokio-one-worker", $size, messages)),
            Contestant::peer("tokio-shared-buf", |messages| echo("tokio-shared-buf", $size, messages)),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", |messages| echo("libuv", $size, messages)),
            Contestant::peer("smol", |messages| echo("smol", $size, messages)),
            Contestant::peer("compio", |messages| echo("compio", $size, messages)),
            Contestant::peer("monoio", |messages| echo("monoio", $size, messages)),
            Contestant::peer("monoio-epoll", |messages| echo("monoio-epoll", $size, messages)),
            Contestant::peer("node", |messages| echo("node", $size, messages)),
        ]
    };
}

/// One message echoed: 64 B, 4 KiB and 64 KiB.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "tcp_echo_64b",
        operation: "message of 64 B",
        unit: Unit::CpuUs,
        full: 200_000,
        brief: 500,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) }],
        contestants: contestants!(64),
    },
    Question {
        name: "tcp_echo_4k",
        operation: "message of 4 KiB",
        unit: Unit::CpuUs,
        full: 100_000,
        brief: 500,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(1.0) }],
        contestants: contestants!(4096),
    },
    Question {
        name: "tcp_echo_64k",
        operation: "message of 64 KiB",
        unit: Unit::CpuUs,
        full: 30_000,
        brief: 200,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(1.0) }],
        contestants: contestants!(65536),
    },
];

/// How long a server's read buffer is for messages of `size` bytes: longer, so that one read takes a whole message
/// and comes back short, which tells servers that know it that the socket is empty.
pub fn buf_len(size: usize) -> usize {
    (2 * size).max(4096)
}

fn echo(server: &str, size: usize, messages: u64) -> Sample {
    try_echo(server, size, messages).unwrap_or_else(|error| panic!("echo of {size} B by {server}: {error}"))
}

fn try_echo(server: &str, size: usize, messages: u64) -> io::Result<Sample> {
    crate::child::pin_to(CORE)?; // the server inherits it
    let server = EchoProcess::start(server, buf_len(size), Some(CORE))?;
    let mut client = EchoClient::connect(server.addr(), CONNECTIONS, size, None)?;
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
