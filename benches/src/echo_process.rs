//! Echo servers as child processes: one a contestant, asked for its CPU time while it runs.
//!
//! A server prints the port it listens on, then answers each line on its standard input with the CPU time it has
//! used, in nanoseconds, and ends when its standard input does.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use crate::child;
use crate::peers;
use crate::stopwatch::process_cpu;

/// One buffer that all connections of a server read into.
pub(crate) type SharedBuf = Rc<SharedBytes>;

/// See [`SharedBuf`].
pub(crate) struct SharedBytes {
    bytes: RefCell<Vec<u8>>,
}

/// How a server runs: takes a listener and the length of its read buffer, and does not return.
type Serve = fn(TcpListener, usize) -> !;

/// The echo servers that are Rust programs, by name. phaseloop's are added here.
const SERVERS: &[(&str, Serve)] = &[
    ("floor", peers::floor::echo),
    ("tokio", peers::tokio::echo),
    ("tokio-one-worker", peers::tokio::echo_one_worker),
    ("tokio-shared-buf", peers::tokio::echo_shared),
    ("smol", peers::smol::echo),
    ("smol-shared-buf", peers::smol::echo_shared),
    #[cfg(feature = "libuv")]
    ("libuv", peers::libuv::echo),
    ("compio", peers::compio::echo),
    ("compio-buf-pool", peers::compio::echo_shared),
    ("monoio", peers::monoio::echo),
    ("monoio-epoll", peers::monoio::echo_epoll),
];

/// A server that runs in a child process. Dropping it ends the child.
pub struct EchoProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    port: u16,
}

impl SharedBytes {
    /// Makes a buffer.
    pub(crate) fn new(len: usize) -> SharedBuf {
        Rc::new(SharedBytes { bytes: RefCell::new(vec![0; len]) })
    }

    /// The bytes, until the guard is dropped. Never held across an await.
    pub(crate) fn borrow_mut(&self) -> std::cell::RefMut<'_, Vec<u8>> {
        self.bytes.borrow_mut()
    }
}

impl EchoProcess {
    /// Starts a server by name, pinned to `core` if there is one.
    pub fn start(server: &str, buf_len: usize, core: Option<usize>) -> io::Result<Self> {
        if server == "node" {
            let mut command = Command::new("node");
            command.arg(peers::node::script("echo.js"));
            return Self::spawn(command);
        }
        Self::spawn(child::serve_command(server, buf_len, core)?)
    }

    /// Starts a server by a command that keeps to the protocol above.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut server = EchoProcess { child, stdin, stdout, port: 0 };
        server.port = server.read_number()? as u16;
        Ok(server)
    }

    /// Where the server listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// CPU time the server has used, all threads.
    pub fn cpu(&mut self) -> io::Result<Duration> {
        let stdin = self.stdin.as_mut().expect("it is open until drop");
        stdin.write_all(b"cpu\n")?;
        stdin.flush()?;
        Ok(Duration::from_nanos(self.read_number()?))
    }

    /// Memory of the server that is resident now, in bytes.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = statm
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| io::Error::other(format!("statm reads {statm:?}")))?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn read_number(&mut self) -> io::Result<u64> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        line.trim()
            .parse()
            .map_err(|_| io::Error::other(format!("the server printed {line:?}, not a number")))
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        drop(self.stdin.take()); // the server ends when its standard input does
        let _ = self.child.wait(); // nothing is left to do if it has gone already
    }
}

/// The names of the servers.
pub fn server_names() -> impl Iterator<Item = &'static str> {
    SERVERS.iter().map(|(name, _)| *name).chain(["node"])
}

/// An error that lists the names, unless `server` is one of them.
pub fn check_name(server: &str) -> io::Result<()> {
    if server_names().any(|name| name == server) {
        return Ok(());
    }
    let names: Vec<&str> = server_names().collect();
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("no echo server {server}; there are {}", names.join(" ")),
    ))
}

/// Is a server, in this process, until standard input ends.
pub(crate) fn serve(server: &str, buf_len: usize) -> ! {
    let found = SERVERS.iter().find(|(name, _)| *name == server);
    let (_, serve) = found.expect("the parent names a server of this list");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let port = listener.local_addr().expect("a bound listener has an address").port();
    std::thread::spawn(move || answer_parent(port));
    serve(listener, buf_len)
}

/// Answers the parent, on a thread that sleeps while nobody asks.
fn answer_parent(port: u16) {
    let mut out = io::stdout();
    let mut say = |number: u64| writeln!(out, "{number}").and_then(|()| out.flush());
    let mut result = say(u64::from(port));
    for line in io::stdin().lines() {
        if result.is_err() || line.is_err() {
            break;
        }
        result = say(process_cpu().as_nanos() as u64);
    }
    std::process::exit(0)
}
