//! Clients that ask a cluster again and again, and know exactly what became of each request.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process;
use std::rc::Rc;

use phaseloop::net::TcpStream;
use phaseloop::{JoinHandle, LoopHandle, yield_now};

/// Requests that a client asks by one connection before it makes another; every other client makes one for each.
const REQUESTS_A_CONNECTION: u32 = 10;

/// What became of requests.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) answered: Cell<u64>,
    /// How often each worker answered.
    pub(crate) by_worker: RefCell<BTreeMap<String, u64>>,
    pub(crate) failed: RefCell<Vec<Failed>>,
    /// A connection that waited between two requests was closed before it got anything: RFC 9112, 9.3.1 has a client ask again.
    pub(crate) asked_again: Cell<u64>,
    stop: Cell<bool>,
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The client's port, by which the server knows the connection.
    pub(crate) port: u16,
    pub(crate) stage: Stage,
    pub(crate) error: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Connect,
    Send,
    Answer { so_far: usize },
}

/// Clients that ask until they are told to stop.
pub(crate) struct Load {
    pub(crate) tally: Rc<Tally>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(lp: &LoopHandle, address: SocketAddr, clients: u32) -> Self {
        let tally = Rc::new(Tally::default());
        let each = |number: u32| {
            let requests = if number.is_multiple_of(2) { 1 } else { REQUESTS_A_CONNECTION };
            lp.spawn(client(lp.clone(), address, requests, Rc::clone(&tally)))
        };
        let clients = (0..clients).map(each).collect();
        Self { tally, clients }
    }

    /// Waits until so many were answered since the start.
    pub(crate) async fn until_answered(&self, count: u64) {
        while self.tally.answered.get() < count {
            // One turn with I/O, which the clients keep busy.
            yield_now().await;
        }
    }

    /// Has all clients finish what they ask.
    pub(crate) async fn finish(self) -> Rc<Tally> {
        self.tally.stop.set(true);
        for client in self.clients {
            client.await.unwrap();
        }
        self.tally
    }
}

async fn client(lp: LoopHandle, address: SocketAddr, requests: u32, tally: Rc<Tally>) {
    while !tally.stop.get() {
        let stream = match TcpStream::connect(&lp, address).await {
            Ok(stream) => stream,
            Err(error) => {
                let failed = Failed { port: 0, stage: Stage::Connect, error: error.to_string() };
                tally.failed.borrow_mut().push(failed);
                continue;
            }
        };
        let Ok(local) = stream.local_addr() else { continue };
        for number in 1..=requests {
            match ask(&stream, number == requests).await {
                Ok((worker, goes_on)) => {
                    tally.answered.set(tally.answered.get() + 1);
                    *tally.by_worker.borrow_mut().entry(worker).or_default() += 1;
                    if !goes_on {
                        break;
                    }
                }
                Err((Stage::Send | Stage::Answer { so_far: 0 }, _)) if number > 1 => {
                    tally.asked_again.set(tally.asked_again.get() + 1);
                    break;
                }
                Err((stage, error)) => {
                    let failed = Failed { port: local.port(), stage, error: error.to_string() };
                    tally.failed.borrow_mut().push(failed);
                    break;
                }
            }
            if tally.stop.get() {
                break;
            }
        }
    }
}

/// One request: who answered, and whether the connection takes another.
async fn ask(stream: &TcpStream, is_last: bool) -> Result<(String, bool), (Stage, io::Error)> {
    let close = if is_last { "Connection: close\r\n" } else { "" };
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{close}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| (Stage::Send, error))?;
    let mut read = Vec::new();
    loop {
        let so_far = Stage::Answer { so_far: read.len() };
        let mut buf = [0; 1024];
        match stream.read(&mut buf).await {
            Ok(0) => return Err((so_far, io::ErrorKind::UnexpectedEof.into())),
            Ok(len) => read.extend_from_slice(&buf[..len]),
            Err(error) => return Err((so_far, error)),
        }
        if let Some(answer) = complete(&read) {
            let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
            assert!(text.starts_with("http/1.1 200 "), "{text}");
            return Ok((answer, !text.contains("connection: close")));
        }
    }
}

/// The body of an answer that is complete.
fn complete(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let len = head.to_ascii_lowercase();
    let len: usize =
        len.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    (body.len() == len).then(|| body.to_owned())
}

// --- killing, and whom it hit -----------------------------------------------------------------------------------------

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

/// Stops a process, looks which clients' connections it has, and kills it. Gives the clients' ports: whoever else gets no answer was not in
/// the process.
pub(crate) async fn kill_and_tell(pid: u32, server: SocketAddr) -> BTreeSet<u16> {
    signal(pid, "STOP");
    while state_of(pid) != 'T' {
        yield_now().await;
    }
    let ports = clients_of(pid, server);
    signal(pid, "KILL");
    ports
}

fn state_of(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind_name = stat.rsplit_once(") ").unwrap().1;
    behind_name.chars().next().unwrap()
}

/// The ports of the clients whose connections a process has accepted.
fn clients_of(pid: u32, server: SocketAddr) -> BTreeSet<u16> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inodes: BTreeSet<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':').unwrap().1, 16).unwrap();
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| port(fields[1]) == server.port() && inodes.contains(fields[9]))
        .map(|fields| port(fields[2]))
        .filter(|port| *port != 0)
        .collect()
}

/// Descriptors that this process has open.
pub(crate) fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Children of this process that have ended and were not waited for.
pub(crate) fn zombies() -> usize {
    let children = fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|text| text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    children.into_iter().filter(|pid| state_of(*pid) == 'Z').count()
}
