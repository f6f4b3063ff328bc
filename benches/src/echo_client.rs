//! The load on an echo server: closed loop, one message in flight a connection, one thread, the same for all servers.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long one connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the client waits for any answer at all before it gives up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// What stands before the date in an answer of HTTP/1.1, in small letters.
const DATE: &str = "\r\ndate: ";

/// Many connections to one server.
pub struct EchoClient {
    poll: Poll,
    connections: Vec<Connection>,
    talk: Talk,
    buf: Vec<u8>,
    /// When the client connected to the server: times of messages are kept as nanoseconds since then.
    started: Instant,
    /// How long messages took, if it is asked for.
    latencies: Option<Latencies>,
    errors: Errors,
}

/// What is said on a connection.
#[derive(Clone)]
pub struct Talk {
    /// Sent once, when the connection is made.
    opening: Vec<u8>,
    /// What the answer to that ends with.
    opened_by: &'static [u8],
    message: Vec<u8>,
    reply: Reply,
}

/// What a message is answered with.
#[derive(Clone)]
struct Reply {
    bytes: Vec<u8>,
    /// The answers in it are so long each, and may differ here: that is their date.
    each_len: usize,
    date: Range<usize>,
}

struct Connection {
    stream: TcpStream,
    written: usize,
    read: usize,
    sent_at_ns: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is in flight.
    Quiet,
    /// A message is in flight.
    Busy,
    /// An error ended it.
    Failed,
}

/// What went wrong.
#[derive(Clone, Copy, Default, Debug)]
pub struct Errors {
    /// Connections that could not be opened.
    pub connect: u64,
    /// Connections that the server ended, or that failed.
    pub lost: u64,
    /// Connections on which other bytes came back than were sent.
    pub mismatched: u64,
    /// Connections whose last message had no answer in time.
    pub unanswered: u64,
}

/// When to stop sending.
#[derive(Clone, Copy)]
pub enum Until {
    /// After so many messages in all.
    Messages(u64),
    /// At an instant.
    Instant(Instant),
}

/// Counts of messages by how long they took: 32 buckets for each doubling, so within about 3 %.
pub struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    max_ns: u64,
}

impl Errors {
    /// All of them together.
    pub fn total(&self) -> u64 {
        self.connect + self.lost + self.mismatched + self.unanswered
    }
}

impl Talk {
    /// Messages of `size` bytes that come back as they are.
    pub fn bytes(size: usize) -> Self {
        let message = payload(size);
        Talk { opening: Vec::new(), opened_by: b"", reply: Reply::exactly(message.clone()), message }
    }

    /// A WebSocket with binary messages of `size` bytes, which are below 64 KiB. The mask is zero, so that a message looks the same on
    /// its way back.
    pub fn websocket(size: usize) -> Self {
        let opening = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let frame = |mask_bit: u8, mask: &[u8]| {
            let len = u16::try_from(size).expect("a message is below 64 KiB");
            let mut frame = match u8::try_from(len) {
                Ok(len @ ..126) => vec![0x82, mask_bit | len],
                _ => [&[0x82, mask_bit | 126][..], &len.to_be_bytes()].concat(),
            };
            frame.extend_from_slice(mask);
            frame.extend(payload(size));
            frame
        };
        let (message, reply) = (frame(0x80, &[0; 4]), frame(0, &[]));
        Talk { opening: opening.to_vec(), opened_by: b"\r\n\r\n", message, reply: Reply::exactly(reply) }
    }

    /// An event stream whose first event is `data: 0`. Nothing more is said.
    pub fn event_stream() -> Self {
        let opening = b"GET /events HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n".to_vec();
        Talk {
            opening,
            opened_by: b"data: 0\n\n\r\n",
            message: Vec::new(),
            reply: Reply::exactly(Vec::new()),
        }
    }

    /// HTTP/1.1: `request`, so many at once. The server is asked it once to know its answer, which ends with `body`.
    pub fn http(addr: SocketAddr, request: &[u8], body: &'static [u8], at_once: usize) -> io::Result<Self> {
        let asks_once = Talk {
            opening: request.to_vec(),
            opened_by: body,
            message: request.repeat(at_once),
            reply: Reply::exactly(Vec::new()),
        };
        let answer = asks_once.open(&mut std::net::TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)?)?;
        Ok(Talk { reply: Reply::http(&answer, at_once)?, ..asks_once })
    }

    /// Sends what opens a connection and reads the answer.
    fn open(&self, stream: &mut std::net::TcpStream) -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.write_all(&self.opening)?;
        let (mut read, mut buf) = (Vec::new(), [0; 1024]);
        while !read.ends_with(self.opened_by) {
            match stream.read(&mut buf)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => read.extend_from_slice(&buf[..len]),
            }
        }
        Ok(read)
    }
}

impl Reply {
    fn exactly(bytes: Vec<u8>) -> Self {
        Reply { each_len: bytes.len().max(1), bytes, date: 0..0 }
    }

    /// So many answers of HTTP/1.1 as `answer`, each with a date of its own.
    fn http(answer: &[u8], at_once: usize) -> io::Result<Self> {
        let text = String::from_utf8_lossy(answer);
        let lower = text.to_ascii_lowercase();
        let lacks = |what: &str| io::Error::other(format!("an answer without {what:?}: {text:?}"));
        for field in ["http/1.1 200 ", "\r\ncontent-type: ", "\r\ncontent-length: ", "\r\nserver: "] {
            lower.contains(field).then_some(()).ok_or_else(|| lacks(field))?;
        }
        let begin = lower.find(DATE).ok_or_else(|| lacks(DATE))? + DATE.len();
        let len = lower[begin..].find('\r').ok_or_else(|| lacks("\r"))?;
        Ok(Reply { bytes: answer.repeat(at_once), each_len: answer.len(), date: begin..begin + len })
    }

    /// True if `bytes` are the reply's from `at` on.
    fn is(&self, at: usize, bytes: &[u8]) -> bool {
        let Some(expected) = self.bytes.get(at..at + bytes.len()) else { return false };
        // Most answers are given in the second of the one that is compared with.
        expected == bytes
            || (at..)
                .zip(expected.iter().zip(bytes))
                .all(|(at, (expected, byte))| expected == byte || self.date.contains(&(at % self.each_len)))
    }
}

fn payload(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

impl EchoClient {
    /// Opens `count` connections to `addr` for messages of `size` bytes. Those that fail are counted as errors.
    /// Stops trying at `deadline`, if there is one.
    pub fn connect(
        addr: SocketAddr,
        count: usize,
        size: usize,
        deadline: Option<Instant>,
    ) -> io::Result<Self> {
        Self::connect_to_talk(addr, count, Talk::bytes(size), deadline)
    }

    /// As [`connect`](Self::connect), for another kind of talk.
    pub fn connect_to_talk(
        addr: SocketAddr,
        count: usize,
        talk: Talk,
        deadline: Option<Instant>,
    ) -> io::Result<Self> {
        raise_descriptor_limit(count as u64 + 64)?;
        let mut client = EchoClient {
            poll: Poll::new()?,
            connections: Vec::with_capacity(count),
            talk,
            buf: vec![0; 256 * 1024],
            started: Instant::now(),
            latencies: None,
            errors: Errors::default(),
        };
        for opened in 0..count {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                client.errors.connect += (count - opened) as u64;
                break;
            }
            match client.open(addr) {
                Ok(connection) => client.connections.push(connection),
                Err(_) => client.errors.connect += 1,
            }
        }
        Ok(client)
    }

    /// From now on, times every message.
    pub fn keep_latencies(&mut self) {
        self.latencies = Some(Latencies::new());
    }

    /// How long messages took, if [`keep_latencies`](Self::keep_latencies) was called.
    pub fn latencies(&self) -> Option<&Latencies> {
        self.latencies.as_ref()
    }

    /// What went wrong so far.
    pub fn errors(&self) -> Errors {
        self.errors
    }

    /// How many connections are open.
    pub fn open_len(&self) -> usize {
        self.connections.iter().filter(|c| c.state != State::Failed).count()
    }

    /// Sends one message on every connection, one after the other, and compares what comes back. Ends at the first
    /// that stays without an answer.
    pub fn ping_each(&mut self) -> io::Result<()> {
        for key in 0..self.connections.len() {
            self.send(key);
            let busy = usize::from(self.connections[key].state == State::Busy);
            self.drive(busy, Until::Messages(0))?;
            if self.errors.unanswered > 0 {
                break;
            }
        }
        Ok(())
    }

    /// Keeps one message in flight on every connection until `until`, then waits for those still in flight.
    /// Returns how many were answered.
    pub fn exchange(&mut self, until: Until) -> io::Result<u64> {
        let sent_at_once = match until {
            Until::Messages(messages) => (messages as usize).min(self.connections.len()),
            Until::Instant(_) => self.connections.len(),
        };
        for key in 0..sent_at_once {
            self.send(key);
        }
        let until = match until {
            Until::Messages(messages) => Until::Messages(messages - sent_at_once as u64),
            other => other,
        };
        let busy = self.connections.iter().filter(|c| c.state == State::Busy).count();
        self.drive(busy, until)
    }

    fn open(&self, addr: SocketAddr) -> io::Result<Connection> {
        let mut stream = std::net::TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        self.talk.open(&mut stream)?;
        stream.set_nonblocking(true)?;
        // Closing resets the connection, so that thousands of them do not use up the ports.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        let mut stream = TcpStream::from_std(stream);
        let key = Token(self.connections.len());
        self.poll.registry().register(&mut stream, key, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection { stream, written: 0, read: 0, sent_at_ns: 0, state: State::Quiet })
    }

    /// Handles events until the `busy` messages in flight were answered; sends another for each answer while `until`
    /// allows.
    fn drive(&mut self, mut busy: usize, until: Until) -> io::Result<u64> {
        let mut events = Events::with_capacity(1024);
        let mut left = match until {
            Until::Messages(messages) => messages,
            Until::Instant(_) => u64::MAX,
        };
        let mut answered = 0;
        while busy > 0 {
            if let Until::Instant(instant) = until
                && Instant::now() >= instant
            {
                left = 0;
            }
            self.poll.poll(&mut events, Some(SILENCE_MAX))?;
            if events.is_empty() {
                self.give_up_busy();
                break;
            }
            for event in &events {
                let key = event.token().0;
                if self.connections[key].state != State::Busy {
                    continue;
                }
                match self.advance(key) {
                    Ok(false) => {}
                    Ok(true) => {
                        answered += 1;
                        if left > 0 {
                            left -= 1;
                            self.send(key);
                        }
                    }
                    Err(error) => self.fail(key, &error),
                }
                if self.connections[key].state != State::Busy {
                    busy -= 1;
                }
            }
        }
        Ok(answered)
    }

    fn send(&mut self, key: usize) {
        let now_ns = self.now_ns();
        let connection = &mut self.connections[key];
        if connection.state == State::Failed {
            return;
        }
        connection.state = State::Busy;
        connection.written = 0;
        connection.read = 0;
        connection.sent_at_ns = now_ns;
        if let Err(error) = connection.write(&self.talk.message) {
            self.fail(key, &error);
        }
    }

    /// Writes and reads what is possible. Returns whether the message came back whole.
    fn advance(&mut self, key: usize) -> io::Result<bool> {
        let connection = &mut self.connections[key];
        if connection.written < self.talk.message.len() {
            connection.write(&self.talk.message)?;
        }
        if !connection.read(&mut self.buf, &self.talk.reply)? {
            return Ok(false);
        }
        connection.state = State::Quiet;
        let took_ns = self.now_ns() - self.connections[key].sent_at_ns;
        if let Some(latencies) = &mut self.latencies {
            latencies.add(took_ns);
        }
        Ok(true)
    }

    fn fail(&mut self, key: usize, error: &io::Error) {
        self.connections[key].state = State::Failed;
        match error.kind() {
            io::ErrorKind::InvalidData => self.errors.mismatched += 1,
            _ => self.errors.lost += 1,
        }
        // Out of epoll, so that a failed connection does not keep waking the client.
        let _ = self.poll.registry().deregister(&mut self.connections[key].stream);
    }

    fn give_up_busy(&mut self) {
        for connection in self.connections.iter_mut().filter(|c| c.state == State::Busy) {
            connection.state = State::Failed;
            self.errors.unanswered += 1;
        }
    }

    /// Nanoseconds since the client connected; zero while nobody asks for latencies, to save reading the clock.
    fn now_ns(&self) -> u64 {
        if self.latencies.is_some() { self.started.elapsed().as_nanos() as u64 } else { 0 }
    }
}

impl Connection {
    fn write(&mut self, message: &[u8]) -> io::Result<()> {
        while self.written < message.len() {
            match self.stream.write(&message[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until the reply is whole (true) or the socket is empty (false).
    fn read(&mut self, buf: &mut [u8], reply: &Reply) -> io::Result<bool> {
        loop {
            match self.stream.read(buf) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read_len) => {
                    if !reply.is(self.read, &buf[..read_len]) {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "other bytes came back"));
                    }
                    self.read += read_len;
                    if self.read == reply.bytes.len() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Latencies {
    const PER_DOUBLING: u64 = 32;

    fn new() -> Self {
        Latencies { buckets: vec![0; 64 * Self::PER_DOUBLING as usize], count: 0, max_ns: 0 }
    }

    fn add(&mut self, ns: u64) {
        self.buckets[Self::bucket(ns)] += 1;
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// The time that `share` of the messages did not exceed, in nanoseconds: `at(0.99)` is the 99th percentile.
    pub fn at(&self, share: f64) -> u64 {
        let rank = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::upper_bound(bucket as u64).min(self.max_ns);
            }
        }
        self.max_ns
    }

    /// The longest, in nanoseconds.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Below 32 each time has its own bucket; above, each doubling is cut into 32 steps.
    fn bucket(ns: u64) -> usize {
        let doubling = u64::from(ns.max(Self::PER_DOUBLING).ilog2() - Self::PER_DOUBLING.ilog2());
        (doubling * Self::PER_DOUBLING + (ns >> doubling)) as usize
    }

    /// The longest time that a bucket holds.
    fn upper_bound(bucket: u64) -> u64 {
        let doubling = (bucket / Self::PER_DOUBLING).saturating_sub(1);
        let step = bucket - doubling * Self::PER_DOUBLING;
        ((step + 1) << doubling) - 1
    }
}

/// Raises this process's limit of open descriptors to at least `needed`, as far as the hard limit allows.
pub fn raise_descriptor_limit(needed: u64) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = limit.maximum.map_or(needed, |maximum| maximum.max(needed));
    let hard = limit.maximum.map(|maximum| maximum.max(needed));
    let both = Rlimit { current: Some(raised), maximum: hard };
    setrlimit(Resource::Nofile, both).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{needed} descriptors are more than the limit {:?} allows", limit.maximum),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_may_differ_in_their_date_and_nowhere_else() {
        let answer = |second: &str, body: &str| {
            format!(
                "HTTP/1.1 200 OK\r\nServer: a\r\nDate: {second}\r\nContent-Type: b\r\nContent-Length: 1\r\n\r\n{body}"
            )
        };
        let reply = Reply::http(answer("01", "x").as_bytes(), 2).unwrap();
        let both = [answer("01", "x"), answer("02", "x")].concat();
        assert!(reply.is(0, both.as_bytes()));
        assert!((0..both.len()).all(|at| reply.is(at, &both.as_bytes()[at..])));
        assert!(!reply.is(0, [answer("01", "x"), answer("01", "y")].concat().as_bytes()));
        assert!(!reply.is(1, both.as_bytes()), "longer than what is left of the reply");
        assert!(Reply::http(b"HTTP/1.1 500 \r\ndate: \r\n\r\nx", 1).is_err());
    }

    #[test]
    fn a_percentile_is_within_three_percent() {
        let mut latencies = Latencies::new();
        for us in 1..=1000u64 {
            latencies.add(us * 1000);
        }
        for (share, ns) in [(0.01, 10_000.0), (0.5, 500_000.0), (0.99, 990_000.0), (1.0, 1_000_000.0)] {
            let at = latencies.at(share) as f64;
            assert!(at >= ns && at < ns * 1.04, "{share}: {at} for {ns}");
        }
    }

    #[test]
    fn every_time_has_a_bucket_that_holds_it() {
        for ns in (0..2000).chain([u64::from(u32::MAX), 1 << 40, (1 << 40) - 1]) {
            let upper = Latencies::upper_bound(Latencies::bucket(ns) as u64);
            assert!(upper >= ns && upper <= ns + ns / 16 + 1, "{ns} in a bucket up to {upper}");
        }
    }
}
