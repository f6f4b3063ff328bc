//! What does a small answer of HTTP cost the server: alone, sixteen at a time, and over HTTP/2?
//!
//! `GET /plaintext` with four header fields is answered with Content-Type, Content-Length, Server, Date and 13 bytes. Of the server,
//! a child process, CPU time alone is counted. HTTP/1.1 is asked by our client on the same core, as for `tcp_echo`; HTTP/2 by `h2load`,
//! there too, as most people measure it.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;

use crate::echo_client::{EchoClient, Talk, Until};
use crate::echo_process::EchoProcess;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};

/// Connections that HTTP/1.1 is asked on.
pub const CONNECTIONS: usize = 64;
const REQUEST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: phaseloop-benches/0.1\r\n\
    Accept: text/plain,text/html;q=0.9,*/*;q=0.8\r\nConnection: keep-alive\r\n\r\n";
const BODY: &[u8] = b"Hello, World!";

const HTTP2_CONNECTIONS: usize = 8;
const HTTP2_STREAMS: usize = 100;

/// The core that server and client share.
const CORE: usize = 0;
/// One request in so many is made before anything is counted.
const WARM_UP_SHARE: u64 = 10;

macro_rules! contestants {
    ($at_once:literal) => {
        &[
            Contestant::ours("phaseloop", |requests| http1("phaseloop-http", $at_once, requests)),
            Contestant::peer("hyper-tokio", |requests| http1("hyper-http1", $at_once, requests)),
            Contestant::peer("hyper-tokio-flush", |requests| http1("hyper-http1-flush", $at_once, requests)),
            Contestant::peer("node", |requests| http1("node-http1", $at_once, requests)),
        ]
    };
}

/// One request at a time on a connection, sixteen, and a hundred streams of HTTP/2.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "http_plaintext",
        operation: "request, one at a time on 64 connections",
        unit: Unit::CpuUs,
        full: 200_000,
        brief: 500,
        goals: &[
            Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) },
            Goal { of: "phaseloop", bound: Bound::Times(0.25, "node") },
        ],
        contestants: contestants!(1),
    },
    Question {
        name: "http_pipelined",
        operation: "request, 16 at a time on 64 connections",
        unit: Unit::CpuUs,
        full: 800_000,
        brief: 4_000,
        goals: &[
            Goal { of: "phaseloop", bound: Bound::TimesBest(0.9) },
            Goal { of: "phaseloop", bound: Bound::Times(0.25, "node") },
        ],
        contestants: contestants!(16),
    },
    Question {
        name: "http_http2",
        operation: "request, 100 at a time on 8 connections",
        unit: Unit::CpuUs,
        full: 200_000,
        brief: 2_000,
        goals: &[
            Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) },
            Goal { of: "phaseloop", bound: Bound::Times(0.25, "node") },
        ],
        contestants: &[
            Contestant::ours("phaseloop", |requests| http2("phaseloop-http", requests)),
            Contestant::peer("hyper-tokio", |requests| http2("hyper-http2", requests)),
            Contestant::peer("node", |requests| http2("node-http2", requests)),
        ],
    },
];

fn http1(server: &str, at_once: usize, requests: u64) -> Sample {
    let sample = crate::child::pin_to(CORE).and_then(|()| {
        let server = EchoProcess::start(server, 0, Some(CORE))?;
        let talk = talk(server.addr(), at_once)?;
        let mut client = EchoClient::connect_to_talk(server.addr(), CONNECTIONS, talk, None)?;
        client.ping_each()?;
        measure(&server, requests, |requests| {
            let messages = requests / at_once as u64;
            let answered = client.exchange(Until::Messages(messages))?;
            let errors = client.errors();
            assert!(errors.total() == 0 && answered == messages, "{answered} of {messages}, {errors:?}");
            Ok(())
        })
    });
    sample.unwrap_or_else(|error| panic!("{requests} requests, {at_once} at once, of {server}: {error}"))
}

fn http2(server: &str, requests: u64) -> Sample {
    let sample = crate::child::pin_to(CORE).and_then(|()| {
        let server = EchoProcess::start(server, 0, Some(CORE))?;
        measure(&server, requests, |requests| h2load(server.addr(), requests))
    });
    sample.unwrap_or_else(|error| panic!("{requests} requests of {server}: {error}"))
}

/// So many requests of HTTP/1.1 at a time, as one message.
pub fn talk(addr: SocketAddr, at_once: usize) -> io::Result<Talk> {
    Talk::http(addr, REQUEST, BODY, at_once)
}

/// Has a share of `requests` made, and then counts what all of them cost the server.
fn measure(
    server: &EchoProcess,
    requests: u64,
    mut make: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<Sample> {
    make(requests / WARM_UP_SHARE)?;
    let (cpu, begin) = (server.cpu()?, Instant::now());
    make(requests)?;
    Ok(Sample { ops: requests, cpu: server.cpu()? - cpu, wall: begin.elapsed(), grown_bytes: 0 })
}

/// Makes requests of HTTP/2 by h2load. It opens the connections anew each time, which is a small part of a long run.
pub fn h2load(addr: SocketAddr, requests: u64) -> io::Result<()> {
    let output = Command::new("h2load")
        .args(["-n", &requests.to_string(), "-c", &HTTP2_CONNECTIONS.to_string()])
        .args(["-m", &HTTP2_STREAMS.to_string(), &format!("http://{addr}/plaintext")])
        .output()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("h2load (Debian: nghttp2-client) does not start: {error}"))
        })?;
    let told = String::from_utf8_lossy(&output.stdout);
    let bytes = requests * BODY.len() as u64;
    let all_succeeded = told.contains(&format!(" {requests} succeeded, 0 failed, 0 errored"))
        && told.contains(&format!("status codes: {requests} 2xx"))
        && told.contains(&format!("({bytes}) data"));
    if output.status.success() && all_succeeded {
        return Ok(());
    }
    Err(io::Error::other(format!("h2load ended with {}: {told}", output.status)))
}
