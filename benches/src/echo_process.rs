//! Echo servers as child processes, one a contestant.
//!
//! A server prints the port it listens on and serves until it is sent SIGTERM. What it costs is read from outside: a
//! thread in it that answers questions would make its libc use the slower paths for programs with threads.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::child;
use crate::peers;

/// One buffer that all connections of a server read into.
pub(crate) type SharedBuf = Rc<SharedBytes>;

/// See [`SharedBuf`].
pub(crate) struct SharedBytes {
    bytes: RefCell<Vec<u8>>,
}

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// How a server runs: takes a listener and the length of its read buffer, and does not return.
type Serve = fn(TcpListener, usize) -> !;

/// The echo servers that are Rust programs, by name.
const SERVERS: &[(&str, Serve)] = &[
    ("floor", peers::floor::echo),
    ("phaseloop", peers::phaseloop::echo),
    ("phaseloop-task", peers::phaseloop::echo_task),
    ("phaseloop-own-buf", peers::phaseloop::echo_own_buf),
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
    ("phaseloop-ws", peers::phaseloop_web::ws_echo),
    ("phaseloop-ws-callbacks", peers::phaseloop_web::ws_echo_callbacks),
    ("phaseloop-sse", peers::phaseloop_web::event_streams),
    ("phaseloop-socketio", peers::phaseloop_web::socketio),
    ("phaseloop-http", peers::phaseloop_web::plaintext),
    ("hyper-http1", peers::hyper::http1),
    ("hyper-http1-flush", peers::hyper::http1_pipeline_flush),
    ("hyper-http2", peers::hyper::http2),
    ("tokio-ws", peers::tokio_ws::echo),
    ("tokio-ws-small-buf", peers::tokio_ws::echo_small_buf),
];

/// Those that are scripts of Node.js.
const NODE_SERVERS: &[(&str, &str)] = &[
    ("node", "echo.js"),
    ("node-http1", "http1.js"),
    ("node-http2", "http2.js"),
    ("node-socketio", "broadcast.js"),
];

/// A server that runs in a child process. Dropping it ends the child.
pub struct EchoProcess {
    child: Child,
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
        let Some((_, script)) = NODE_SERVERS.iter().find(|(name, _)| *name == server) else {
            return Self::spawn(child::serve_command(server, buf_len, core)?);
        };
        let mut command = Command::new("node");
        command.arg(peers::node::script(script));
        if server == "node-socketio" {
            command.env("NODE_PATH", peers::node::packages());
        }
        Self::spawn(command)
    }

    /// Starts a server by a command that keeps to the protocol above.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().expect("it was asked for");
        let mut server = EchoProcess { child, port: 0 }; // from here on, an error ends the child
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        server.port = line
            .trim()
            .parse()
            .map_err(|_| io::Error::other(format!("the server printed {line:?}, no port")))?;
        Ok(server)
    }

    /// Where the server listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// CPU time that the server's threads have used. Exact while the server sleeps, as it does when nothing is in flight.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut total_ns = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            total_ns += number_at(&text, 0)?; // the first is the time on a CPU
        }
        Ok(Duration::from_nanos(total_ns))
    }

    /// Memory of the server that is resident now, in bytes.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages = number_at(&statm, 1)?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        // SIGTERM and not SIGKILL, so that a server under valgrind can write what was counted.
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM); // it may have gone already
        let _ = self.child.wait(); // as above
    }
}

/// The number at `index` of a line of them, as in `/proc`.
fn number_at(text: &str, index: usize) -> io::Result<u64> {
    let number = text.split_whitespace().nth(index).and_then(|word| word.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("no number {index} in {text:?}")))
}

/// The names of the servers.
pub fn server_names() -> impl Iterator<Item = &'static str> {
    SERVERS.iter().map(|(name, _)| *name).chain(NODE_SERVERS.iter().map(|(name, _)| *name))
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

/// Is a server, in this process, until it is killed, at the latest with its parent.
pub(crate) fn serve(server: &str, buf_len: usize) -> ! {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).expect("Linux has it");
    let found = SERVERS.iter().find(|(name, _)| *name == server);
    let (_, serve) = found.expect("the parent names a server of this list");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    rustix::net::listen(&listener, BACKLOG).expect("it listens already"); // std's backlog drops floods of connects
    let port = listener.local_addr().expect("a bound listener has an address").port();
    let mut out = io::stdout();
    writeln!(out, "{port}").and_then(|()| out.flush()).expect("the parent reads the port");
    serve(listener, buf_len)
}
