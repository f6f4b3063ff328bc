//! What a silent connection costs. The exact figures are the bench `web_idle`'s; this holds the order of magnitude.
//!
//! One test, since resident memory is the process's.

#![cfg(all(feature = "ws", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use phaseloop::EventLoop;
use phaseloop_server::http::{Body, Request, Server};
use phaseloop_server::ws::{Acceptor, WsOptions};

const COUNT: usize = 400;

/// Without optimisation and with so few connections, tables that grow by doubling included.
const BYTES_MAX: usize = 3 * 1024;

#[test]
fn a_silent_websocket_keeps_nothing_of_the_request_it_began_with() {
    let lp = EventLoop::new().unwrap();
    let acceptor = Acceptor::new(WsOptions::default());
    let server = Server::new(move |request: Request<Body>| {
        let response = acceptor.answer(request, async |mut socket| while socket.next().await.is_some() {});
        async { response }
    });
    let serving = server.listen(&lp, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = serving.local_addr().unwrap();
    let remote = lp.remote();
    let clients = thread::spawn(move || {
        let _first: Vec<_> = (0..32).map(|_| open(address)).collect();
        let before = resident_bytes();
        let _all: Vec<_> = (0..COUNT).map(|_| open(address)).collect();
        let grown = resident_bytes().saturating_sub(before) / COUNT;
        remote.post(|lp| lp.stop()).unwrap();
        grown
    });
    lp.run(phaseloop::RunMode::Default).unwrap();
    let grown = clients.join().unwrap();
    assert!(grown < BYTES_MAX, "{grown} bytes for each");
}

/// A client's end, which costs this process a descriptor and no memory.
fn open(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    // A ping, and its answer: the connection serves.
    let (mut read, mut buf) = (Vec::new(), [0; 512]);
    while !read.ends_with(b"\r\n\r\n") {
        let len = stream.read(&mut buf).unwrap();
        read.extend_from_slice(&buf[..len]);
    }
    stream.write_all(b"\x89\x81\0\0\0\0a").unwrap();
    stream.read_exact(&mut buf[..3]).unwrap();
    assert_eq!(&buf[..3], b"\x8a\x01a");
    stream
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
