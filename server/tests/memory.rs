//! What silent connections cost. The exact figures are the bench `web_idle`'s; this holds the order of magnitude.
//!
//! One test, since resident memory is the process's.

#![cfg(all(feature = "ws", feature = "sse", feature = "socketio", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use phaseloop::{EventLoop, RunMode};
use phaseloop_server::http::{Body, Request, Server};
use phaseloop_server::socketio::Io;
use phaseloop_server::sse::{Channel, ChannelOptions};
use phaseloop_server::ws::{Acceptor, WsOptions};

/// Of each kind. Six times as many descriptors have to fit the usual limit of 1024.
const COUNT: usize = 140;

/// Without optimisation and with so few connections, tables that grow by doubling included.
const BYTES_MAX: usize = 3 * 1024;

/// A session of Socket.IO has two buffers of tungstenite's, its own state and the headers it began with.
const SESSION_BYTES_MAX: usize = 8 * 1024;

const WEBSOCKET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const SESSION: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const EVENTS: &str = "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";

#[test]
fn a_silent_connection_keeps_nothing_of_the_request_it_began_with() {
    let lp = EventLoop::new().unwrap();
    let acceptor = Acceptor::new(WsOptions::default());
    let channel = Channel::new(ChannelOptions::default());
    let server = Server::new(Io::new().beside(move |request: Request<Body>| {
        let response = match Acceptor::is_asked(&request) {
            true => acceptor.answer(request, async |mut socket| while socket.next().await.is_some() {}),
            false => channel.subscribe(&request),
        };
        async { response }
    }));
    let serving = server.listen(&lp, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = serving.local_addr().unwrap();
    let remote = lp.remote();
    let clients = thread::spawn(move || {
        let sockets = grown_by(address, WEBSOCKET, b"\r\n\r\n");
        // They stay open, so that what they freed is not taken for the others' need.
        let streams = grown_by(address, EVENTS, b"retry: 2000\n\n\r\n");
        let sessions = grown_by(address, SESSION, b"\"upgrades\":[]}");
        remote.post(|lp| lp.stop()).unwrap();
        (sockets.0, streams.0, sessions.0)
    });
    lp.run(RunMode::Default).unwrap();
    let (socket, stream, session) = clients.join().unwrap();
    assert!(
        socket < BYTES_MAX && stream < BYTES_MAX && session < SESSION_BYTES_MAX,
        "a WebSocket {socket} bytes, an event stream {stream}, a session of Socket.IO {session}"
    );
}

/// Opens connections, and gives what each made the process grow by, with those that are to stay open.
fn grown_by(address: SocketAddr, request: &str, opened_by: &[u8]) -> (usize, Vec<TcpStream>) {
    let open = |count| (0..count).map(|_| open(address, request, opened_by)).collect();
    let mut all: Vec<_> = open(16);
    let before = resident_bytes();
    all.append(&mut open(COUNT));
    let grown = resident_bytes().saturating_sub(before) / COUNT;
    (grown, all)
}

/// A client's end, which costs this process a descriptor and no memory.
fn open(address: SocketAddr, request: &str, opened_by: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let (mut read, mut buf) = (Vec::new(), [0; 512]);
    while !read.ends_with(opened_by) {
        let len = stream.read(&mut buf).unwrap();
        assert!(len > 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buf[..len]);
    }
    stream
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
