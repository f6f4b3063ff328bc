//! What do a silent WebSocket and a silent client of an event stream cost the server in memory?
//!
//! 10,000 connections each are opened as a browser would; a WebSocket echoes one message of 64 B, an event stream tells one
//! event; then all is silent. Counted is as for `tcp_idle`: what the server's resident memory grew by since the first 64
//! connections had done the same.

use std::io;

use crate::echo_client::{EchoClient, Talk};
use crate::echo_process::EchoProcess;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};

const MESSAGE_LEN: usize = 64;

/// Connections that come before memory is looked at: buffers that are shared have been made then.
const FIRST: usize = 64;

/// A silent WebSocket, a silent event stream.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "ws_idle",
        operation: "WebSocket",
        unit: Unit::Bytes,
        full: 10_000,
        brief: 100,
        goals: &[
            Goal { of: "phaseloop", bound: Bound::AtMost(2048.0) },
            Goal { of: "phaseloop-callbacks", bound: Bound::AtMost(2048.0) },
        ],
        contestants: &[
            Contestant::ours("phaseloop", |count| sockets("phaseloop-ws", count)),
            Contestant::ours("phaseloop-callbacks", |count| sockets("phaseloop-ws-callbacks", count)),
            Contestant::peer("tokio-tungstenite", |count| sockets("tokio-ws", count)),
            Contestant::peer("tokio-tungstenite-small-buf", |count| sockets("tokio-ws-small-buf", count)),
        ],
    },
    Question {
        name: "sse_idle",
        operation: "event stream",
        unit: Unit::Bytes,
        full: 10_000,
        brief: 100,
        goals: &[Goal { of: "phaseloop", bound: Bound::AtMost(1536.0) }],
        contestants: &[Contestant::ours("phaseloop", |count| {
            idle("phaseloop-sse", Talk::event_stream(), false, count)
        })],
    },
];

fn sockets(server: &str, count: u64) -> Sample {
    idle(server, Talk::websocket(MESSAGE_LEN), true, count)
}

fn idle(server: &str, talk: Talk, pings: bool, count: u64) -> Sample {
    try_idle(server, talk, pings, count)
        .unwrap_or_else(|error| panic!("{count} idle connections of {server}: {error}"))
}

fn try_idle(server: &str, talk: Talk, pings: bool, count: u64) -> io::Result<Sample> {
    crate::echo_client::raise_descriptor_limit(count + FIRST as u64 + 64)?; // the server inherits it
    let begin = std::time::Instant::now();
    let server = EchoProcess::start(server, 0, None)?;
    let open = |count: usize| -> io::Result<EchoClient> {
        let mut client = EchoClient::connect_to_talk(server.addr(), count, talk.clone(), None)?;
        if pings {
            client.ping_each()?;
        }
        let errors = client.errors();
        assert!(errors.total() == 0 && client.open_len() == count, "{errors:?}");
        Ok(client)
    };
    let _first = open(FIRST)?;
    let before = server.resident_bytes()?;
    let _all = open(count as usize)?;
    let (cpu, after) = (server.cpu()?, server.resident_bytes()?);
    Ok(Sample { ops: count, cpu, wall: begin.elapsed(), grown_bytes: after.saturating_sub(before) })
}
