//! What the tests of TCP share: loops whose runs end, connected pairs, and socket options.
//!
//! Everything is on loopback, and nothing waits without a limit.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, Read};
use std::net::{self, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use phaseloop::net::TcpStream;
use phaseloop::{EventLoop, Limits, LoopHandle, Outcome};
use socket2::SockRef;

/// A test that takes longer fails, and says what it waits for.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn new_loop() -> EventLoop {
    EventLoop::new().expect("a loop can be made")
}

pub(crate) fn loop_with(limits: Limits) -> EventLoop {
    EventLoop::builder().limits(limits).build().expect("a loop can be made")
}

/// Runs the loop to its end and closes it: nothing may be left behind.
pub(crate) fn finish(lp: EventLoop) {
    run(&lp);
    lp.close().expect("everything was closed or dropped");
}

/// Runs the loop until nothing keeps it alive.
pub(crate) fn run(lp: &EventLoop) {
    let outcome = lp.run_until(Instant::now() + LIMIT).expect("the driver works");
    assert_eq!(outcome, Outcome::Finished, "after {LIMIT:?} the loop is held by {:?}", lp.why_alive());
}

/// Runs the loop until `done`, for conditions that no callback reports.
pub(crate) fn run_while(lp: &EventLoop, mut unmet: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while unmet() {
        assert!(Instant::now() < deadline, "after {LIMIT:?} the loop is held by {:?}", lp.why_alive());
        lp.run_until(Instant::now() + ms(1)).expect("the driver works");
    }
}

/// Runs the loop for `time` and gives the number of turns it took. Something must keep it alive.
pub(crate) fn turns_in(lp: &EventLoop, time: Duration) -> u64 {
    let before = lp.metrics().turns;
    lp.timer(time, LoopHandle::stop);
    let outcome = lp.run_until(Instant::now() + LIMIT).expect("the driver works");
    assert_eq!(outcome, Outcome::Stopped, "the timer ends the run");
    lp.metrics().turns - before
}

/// Has the loop wait, by which it opens what it needs for that: on a slow machine a timer may be due before the loop has come to wait for it.
pub(crate) fn wait_once(lp: &EventLoop) {
    while lp.metrics().idle.is_zero() {
        turns_in(lp, ms(1));
    }
}

pub(crate) fn block_on<F: Future>(lp: &EventLoop, future: F) -> F::Output {
    let output = lp.block_on(lp.timeout(LIMIT, future)).expect("the driver works");
    output.unwrap_or_else(|_| panic!("the future is not done; the loop is held by {:?}", lp.why_alive()))
}

/// Two connected streams of the loop.
pub(crate) fn pair(lp: &EventLoop) -> (TcpStream, TcpStream) {
    let (a, b) = std_pair();
    (adopt(lp, a), adopt(lp, b))
}

/// A stream of the loop, and its peer as a blocking socket whose reads give up after a while.
pub(crate) fn with_peer(lp: &EventLoop) -> (TcpStream, net::TcpStream) {
    let (ours, peer) = std_pair();
    (adopt(lp, ours), peer)
}

pub(crate) fn adopt(lp: &LoopHandle, socket: net::TcpStream) -> TcpStream {
    TcpStream::from_std(lp, socket).expect("a connected socket can be registered")
}

/// Two connected sockets with small buffers, so that a megabyte does not fit.
pub(crate) fn std_pair() -> (net::TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    SockRef::from(&listener).set_recv_buffer_size(BUFFER_LEN).expect("the size is legal");
    let address = listener.local_addr().expect("it is bound");
    let a = net::TcpStream::connect(address).expect("the backlog has room");
    let (b, _) = listener.accept().expect("a connection waits");
    for socket in [&a, &b] {
        SockRef::from(socket).set_send_buffer_size(BUFFER_LEN).expect("the size is legal");
        SockRef::from(socket).set_recv_buffer_size(BUFFER_LEN).expect("the size is legal");
        socket.set_read_timeout(Some(LIMIT)).expect("the time is not zero");
        socket.set_nodelay(true).expect("it is a TCP socket");
    }
    (a, b)
}

const BUFFER_LEN: usize = 32 * 1024;

/// An address of loopback at which nobody listens: one that a socket holds without listening.
pub(crate) fn refused_address() -> (SocketAddr, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&localhost().into()).expect("loopback has ports");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    (address.expect("it is bound to IPv4"), socket)
}

pub(crate) fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Closes a socket so that the peer gets a reset instead of the end of the stream.
pub(crate) fn reset(socket: net::TcpStream) {
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("the option is known");
    drop(socket);
}

/// Reads a blocking peer to its end.
pub(crate) fn read_all(mut peer: &net::TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).expect("the stream ends without an error");
    bytes
}

/// Bytes in which each position can be told from its neighbours.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The system's code for an operation that ended because its stream was closed.
pub(crate) fn is_cancelled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::CANCELED.raw_os_error())
}

/// True if the peer, or its end of the connection, is gone.
pub(crate) fn is_broken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// A fresh folder for sockets and files, removed when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("phaseloop-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("the folder is new");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can not be removed is left to the system, which clears its folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What happened, in order. Clones are the same log.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Counts its own drop, to be captured by callbacks.
pub(crate) struct Dropped(Rc<Cell<u32>>);

impl Dropped {
    /// A value and the counter of its drops.
    pub(crate) fn new() -> (Self, Rc<Cell<u32>>) {
        let counter = Rc::new(Cell::new(0));
        (Self(Rc::clone(&counter)), counter)
    }

    /// Has a closure capture the value.
    pub(crate) fn keep(&self) {}
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}
