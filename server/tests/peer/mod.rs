//! A loop in virtual time, and a client that sends bytes as they are given to it.
//!
//! Sockets are real. While an answer is expected ([`Raw::reply`], [`Raw::until_closed`]) the loop waits for I/O and no time
//! passes; [`Raw::cut_off`] lets it pass, so that deadlines come without a wait.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use phaseloop::net::TcpStream;
use phaseloop::{EventLoop, LoopHandle};
use phaseloop_server::http::{Handler, Server, Serving};

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Runs a test on a loop in virtual time. One that waits for bytes that never come fails after two minutes of real time.
pub(crate) fn on_loop<F: Future>(test: impl FnOnce(LoopHandle) -> F) -> F::Output {
    let (alive, watch) = mpsc::channel::<()>();
    let name = thread::current().name().unwrap_or_default().to_owned();
    thread::spawn(move || {
        if watch.recv_timeout(secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Nothing else ends a test that hangs; the message is what it has to say.
            let _ = writeln!(std::io::stderr(), "test {name} hangs");
            std::process::abort();
        }
    });
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let output = lp.block_on(test(lp.handle())).unwrap();
    drop(alive);
    output
}

/// A server on a free port of this machine.
pub(crate) fn start<H: Handler>(lp: &LoopHandle, server: Server<H>) -> (Serving, SocketAddr) {
    let serving = server.listen(lp, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = serving.local_addr().unwrap();
    (serving, address)
}

/// A connection that knows nothing of HTTP but where an answer of HTTP/1.1 ends.
pub(crate) struct Raw {
    lp: LoopHandle,
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(lp: &LoopHandle, address: SocketAddr) -> Self {
        let waiting = lp.begin_request();
        let stream = TcpStream::connect(lp, address).await.unwrap();
        drop(waiting);
        Self { lp: lp.clone(), stream, read: Vec::new() }
    }

    /// Takes over a connection that was made without the loop.
    pub(crate) fn adopt(lp: &LoopHandle, stream: std::net::TcpStream) -> Self {
        let stream = TcpStream::from_std(lp, stream).unwrap();
        Self { lp: lp.clone(), stream, read: Vec::new() }
    }

    /// Connects and sends.
    pub(crate) async fn ask(lp: &LoopHandle, address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let raw = Self::connect(lp, address).await;
        raw.send(bytes).await;
        raw
    }

    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer, with a body of known length or in chunks, the chunks as they came.
    pub(crate) async fn reply(&mut self) -> String {
        let waiting = self.lp.begin_request();
        let reply = self.late_reply().await;
        drop(waiting);
        reply
    }

    /// As [`reply`](Self::reply), however long that takes in virtual time.
    pub(crate) async fn late_reply(&mut self) -> String {
        loop {
            if let Some(len) = reply_len(&self.read) {
                let reply: Vec<u8> = self.read.drain(..len).collect();
                return String::from_utf8(reply).unwrap();
            }
            assert!(self.fill().await, "closed after {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// All that comes until the other side closes; no time passes.
    pub(crate) async fn until_closed(&mut self) -> String {
        let waiting = self.lp.begin_request();
        let all = self.cut_off().await;
        drop(waiting);
        all
    }

    /// All that comes until the other side closes, however long that takes in virtual time.
    pub(crate) async fn cut_off(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// As [`until_closed`](Self::until_closed), not taken as text.
    pub(crate) async fn bytes_until_closed(&mut self) -> Vec<u8> {
        let waiting = self.lp.begin_request();
        let all = self.bytes_until_cut().await;
        drop(waiting);
        all
    }

    /// As [`cut_off`](Self::cut_off), not taken as text.
    pub(crate) async fn bytes_until_cut(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }

    /// Reads until `end` has come, and gives how much was read.
    pub(crate) async fn bytes_until(&mut self, end: &[u8]) -> usize {
        let waiting = self.lp.begin_request();
        let mut looked = 0;
        while !self.read[looked..].windows(end.len()).any(|found| found == end) {
            looked = (self.read.len() + 1).saturating_sub(end.len());
            assert!(self.fill().await, "closed before {:?}", String::from_utf8_lossy(end));
        }
        drop(waiting);
        self.read.len()
    }

    /// As [`bytes_until`](Self::bytes_until), giving what was read, from the start.
    pub(crate) async fn text_until(&mut self, end: &[u8]) -> String {
        self.bytes_until(end).await;
        self.text()
    }

    /// What was read and not taken.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// False at the end of the stream, a reset included.
    async fn fill(&mut self) -> bool {
        let mut buf = [0; 16 * 1024];
        let len = self.stream.read(&mut buf).await.unwrap_or(0);
        self.read.extend_from_slice(&buf[..len]);
        len > 0
    }
}

/// The length of the answer that `bytes` begin with, once it is complete.
fn reply_len(bytes: &[u8]) -> Option<usize> {
    let find = |from: usize, what: &[u8]| {
        bytes[from..].windows(what.len()).position(|window| window == what).map(|at| from + at + what.len())
    };
    let head_len = find(0, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_len]).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        let last = if bytes[head_len..].starts_with(b"0\r\n") {
            head_len
        } else {
            find(head_len, b"\r\n0\r\n")? - 3
        };
        return find(last, b"\r\n\r\n");
    }
    let len = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |len| len.parse().unwrap());
    (bytes.len() >= head_len + len).then_some(head_len + len)
}

/// The body of an answer.
pub(crate) fn body(reply: &str) -> &str {
    reply.split_once("\r\n\r\n").unwrap().1
}

/// The status of an answer, 0 for none.
pub(crate) fn status(reply: &str) -> u16 {
    reply.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).map_or(0, |code| code.parse().unwrap())
}
