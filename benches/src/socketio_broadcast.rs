//! What does a message to everybody cost a Socket.IO server, for each client that gets it?
//!
//! 1,000 clients by WebSocket; one more sends `go`, the server emits an event of 64 characters to all, and the next `go` follows once
//! all have it. The peer is the official server on Node, with `ws`, which `.ci/run setup` installs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::echo_process::EchoProcess;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};

const CLIENTS: usize = 1000;
/// The core that server and client share.
const CORE: usize = 0;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// `go`, as a masked frame.
const GO: &[u8] = b"\x81\x88\0\0\0\x0042[\"go\"]";

/// One message delivered.
pub const QUESTIONS: &[Question] = &[Question {
    name: "socketio_broadcast",
    operation: "message delivered to one of 1,000 clients",
    unit: Unit::CpuUs,
    full: 200_000,
    brief: 2_000,
    goals: &[Goal { of: "phaseloop", bound: Bound::Times(0.25, "node") }],
    contestants: &[
        Contestant::ours("phaseloop", |messages| broadcast("phaseloop-socketio", messages)),
        Contestant::peer("node", |messages| broadcast("node-socketio", messages)),
    ],
}];

fn broadcast(server: &str, messages: u64) -> Sample {
    try_broadcast(server, messages).unwrap_or_else(|error| panic!("{messages} messages by {server}: {error}"))
}

fn try_broadcast(server: &str, messages: u64) -> io::Result<Sample> {
    crate::echo_client::raise_descriptor_limit(CLIENTS as u64 + 64)?; // the server inherits it
    crate::child::pin_to(CORE)?; // this too
    let server = EchoProcess::start(server, 0, Some(CORE))?;
    let mut room = Room::enter(server.addr())?;
    room.round()?; // what is made on first use
    let (rounds, cpu, begin) = (messages / CLIENTS as u64, server.cpu()?, Instant::now());
    for _ in 0..rounds {
        room.round()?;
    }
    let (cpu, wall) = (server.cpu()? - cpu, begin.elapsed());
    Ok(Sample { ops: rounds * CLIENTS as u64, cpu, wall, grown_bytes: 0 })
}

/// All clients, and the one that says `go`.
struct Room {
    caller: TcpStream,
    clients: Vec<mio::net::TcpStream>,
    poll: Poll,
    /// What each client gets: an event, in a frame.
    event: Vec<u8>,
}

impl Room {
    fn enter(address: SocketAddr) -> io::Result<Self> {
        let text = format!("42[\"news\",\"{}\"]", "x".repeat(64));
        let event = [&[0x81, text.len() as u8][..], text.as_bytes()].concat();
        let (poll, mut clients) = (Poll::new()?, Vec::new());
        for key in 0..CLIENTS {
            let stream = open(address)?;
            stream.set_nonblocking(true)?;
            let mut stream = mio::net::TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(key), Interest::READABLE)?;
            clients.push(stream);
        }
        Ok(Self { caller: open(address)?, clients, poll, event })
    }

    /// Has the event told, and waits until all have got it.
    fn round(&mut self) -> io::Result<()> {
        self.caller.write_all(GO)?;
        let mut caught = vec![0; self.event.len()];
        self.caller.read_exact(&mut caught)?;
        self.check(&caught)?;
        let (mut left, mut have) = (CLIENTS, vec![0; CLIENTS]);
        let mut events = Events::with_capacity(CLIENTS);
        while left > 0 {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{left} clients got nothing")));
            }
            for ready in &events {
                let key = ready.token().0;
                if have[key] == self.event.len() {
                    continue;
                }
                have[key] += self.read(key, &mut caught[..self.event.len() - have[key]], have[key])?;
                left -= usize::from(have[key] == self.event.len());
            }
        }
        Ok(())
    }

    /// Reads what is there of the event, whose first bytes came before.
    fn read(&mut self, key: usize, buf: &mut [u8], came: usize) -> io::Result<usize> {
        match self.clients[key].read(buf) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) if buf[..len] == self.event[came..came + len] => Ok(len),
            Ok(len) => self.check(&buf[..len]).map(|()| 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn check(&self, got: &[u8]) -> io::Result<()> {
        if got == self.event {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{:?} came", String::from_utf8_lossy(got))))
    }
}

/// Connects to the main namespace by WebSocket alone.
fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Closing resets the connection, so that thousands of them do not use up the ports.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    read_until(&mut stream, |read| {
        let head = read.windows(4).position(|window| window == b"\r\n\r\n");
        head.is_some_and(|at| read[at..].ends_with(b"}")) // the answer, and the packet that opens the session
    })?;
    stream.write_all(b"\x81\x82\0\0\0\x0040")?;
    read_until(&mut stream, |read| read.ends_with(b"}"))?;
    Ok(stream)
}

fn read_until(stream: &mut TcpStream, is_all: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let (mut read, mut buf) = (Vec::new(), [0; 1024]);
    while !is_all(&read) {
        match stream.read(&mut buf)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => read.extend_from_slice(&buf[..len]),
        }
    }
    Ok(())
}
