//! Thousands of clients that mean no good: what they cost in memory is bounded, and others are served meanwhile.
//!
//! One test after the other, since resident memory is the process's. What a single connection can do wrong is tested where its
//! protocol is: `limits.rs`, `http2.rs`, `ws.rs`, `ws_deflate.rs`, `socketio.rs`, `web_compress.rs`.

#![cfg(all(feature = "ws", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use phaseloop::{EventLoop, RunMode};
use phaseloop_server::http::{Body, Limits, Request, Response, Server};
use phaseloop_server::ws::{Acceptor, WsOptions};

/// Slow heads, if as many descriptors are to be had: each takes one at either end, both in this process.
const SLOW_MAX: usize = 10_000;

/// What a connection may cost that has sent the beginning of a head: hyper's buffers, for the most part.
const SLOW_BYTES_MAX: usize = 24 * 1024;

/// What all else may make the process grow by.
const GROWN_MAX: usize = 32 * 1024 * 1024;

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn many_clients_that_mean_no_good_cost_little() {
    let lp = EventLoop::new().unwrap();
    let acceptor = Acceptor::new(WsOptions::default());
    let server = Server::new(move |request: Request<Body>| {
        let response = Acceptor::is_asked(&request)
            .then(|| acceptor.answer(request, async |mut socket| while socket.next().await.is_some() {}));
        async { response.unwrap_or_else(|| Response::new(Body::from("hello"))) }
    });
    let mut limits = Limits::default();
    (limits.connections_max, limits.connections_per_address_max) = (SLOW_MAX + 100, SLOW_MAX + 100);
    let serving = server.limits(limits).listen(&lp, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = serving.local_addr().unwrap();
    let remote = lp.remote();
    let attackers = thread::spawn(move || {
        slow_heads(address);
        let before = resident_bytes();
        heads_without_end(address);
        fragments_without_end(address);
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < GROWN_MAX, "{grown} bytes");
        remote.post(|lp| lp.stop()).unwrap();
    });
    // Without this, a thread that panics would leave the loop waiting.
    let attacked = thread::spawn({
        let remote = lp.remote();
        move || attackers.join().inspect_err(|_| drop(remote.post(|lp| lp.stop())))
    });
    lp.run(RunMode::Default).unwrap();
    attacked.join().unwrap().unwrap();
}

/// Slowloris: heads that never end.
fn slow_heads(address: SocketAddr) {
    let (before, mut slow) = (resident_bytes(), Vec::new());
    let room = descriptors_max().saturating_sub(200) / 2;
    for _ in 0..SLOW_MAX.min(room) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
        slow.push(stream);
    }
    assert!(slow.len() >= 300, "{} descriptors are too few for this test", room * 2);
    serves(address);
    let each = resident_bytes().saturating_sub(before) / slow.len();
    assert!(each < SLOW_BYTES_MAX, "{each} bytes for each of {}", slow.len());
}

/// Each sends a megabyte of header fields, or what of it is taken.
fn heads_without_end(address: SocketAddr) {
    let field = format!("X-Field: {}\r\n", "y".repeat(1000));
    for kind in 0..200 {
        let mut stream = TcpStream::connect(address).unwrap();
        let bomb = match kind % 2 {
            0 => format!("GET / HTTP/1.1\r\nHost: x\r\n{}", field.repeat(1000)),
            _ => format!("GET /{}", "y".repeat(1_000_000)),
        };
        let sent = stream.write_all(bomb.as_bytes());
        let answer = read_to_end(&mut stream);
        let status = if kind % 2 == 0 { "HTTP/1.1 431 " } else { "HTTP/1.1 414 " };
        // A reset can overtake the answer of a server that reads no more.
        assert!(answer.starts_with(status) || (answer.is_empty() && kind > 0) || sent.is_err(), "{answer}");
    }
    serves(address);
}

/// WebSocket messages that begin, and go on in fragments of nothing and of one byte.
fn fragments_without_end(address: SocketAddr) {
    let flooders: Vec<_> = [&b"\x00\x80\0\0\0\0"[..], b"\x00\x81\0\0\0\0x", b"\x89\x80\0\0\0\0"]
        .into_iter()
        .map(|frame| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                stream.write_all(upgrade.as_bytes()).unwrap();
                stream.write_all(b"\x02\x80\0\0\0\0").unwrap();
                let many = frame.repeat(10_000);
                // A million frames, or until the server has had enough; what it answers is not read.
                (0..100).take_while(|_| stream.write_all(&many).is_ok()).count()
            })
        })
        .collect();
    for _ in 0..20 {
        serves(address);
    }
    let taken: usize = flooders.into_iter().map(|flooder| flooder.join().unwrap()).sum();
    assert!(taken > 0);
    serves(address);
}

/// Somebody else gets an answer.
fn serves(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let answer = read_to_end(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
}

/// What comes up to the end, or a reset.
fn read_to_end(stream: &mut TcpStream) -> String {
    let (mut read, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buf) {
            Ok(len @ 1..) => read.extend_from_slice(&buf[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return String::from_utf8_lossy(&read).into_owned(),
        }
    }
}

/// How many descriptors this process may have.
fn descriptors_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(SLOW_MAX * 3)
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
