//! The echo example under load: thousands of connections held at once, on one thread, with either front.

#![allow(clippy::print_stderr, reason = "a test that had to do with less says so")]

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use examples::descriptors;
use examples::echo::{Traffic, serve_with_callbacks, serve_with_futures};
use futures::future::{join_all, try_join_all};
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop::{EventLoop, Remote, RunMode};

/// Connections that are held at the same time. Each needs two descriptors, as both ends are in this process.
const CONNECTIONS: u64 = 5000;

/// Descriptors for everything else.
const SPARE: u64 = 200;

/// Connects under way at the same time: fewer than a backlog holds.
const CONNECTS: usize = 250;

const ROUNDS: u8 = 3;

/// It takes a second or two.
const LIMIT: Duration = Duration::from_secs(20);

/// One test for both fronts: side by side they would have half of the descriptors each.
#[test]
fn thousands_of_connections_are_held_and_served() {
    for front in [Front::Futures, Front::Callbacks] {
        let count = affordable();
        let began = Instant::now();
        let server = Server::start(front);
        let client = Client::connect(server.address, count);
        let connected = began.elapsed();
        (1..=ROUNDS).for_each(|round| echo(&client.lp, &client.streams, round));
        let open = server.stop();
        assert_eq!(open, count as u64, "all connections were open to the end");
        println!(
            "{front:?}: {open} connections in {connected:?}, {ROUNDS} echoes each in {:?}",
            began.elapsed()
        );
    }
}

/// As many connections as are wanted, or as the limit of descriptors allows.
fn affordable() -> usize {
    let limit = descriptors::raise_limit().expect("a process may raise its limit").unwrap_or(u64::MAX);
    let count = CONNECTIONS.min(limit.saturating_sub(SPARE) / 2);
    if count < CONNECTIONS {
        eprintln!(
            "WARNING: {limit} descriptors are not enough for {CONNECTIONS} connections; testing {count}"
        );
    }
    usize::try_from(count).expect("a few thousand")
}

#[derive(Clone, Copy, Debug)]
enum Front {
    Futures,
    Callbacks,
}

/// The example's server on a thread of its own.
struct Server {
    address: SocketAddr,
    remote: Remote,
    thread: JoinHandle<u64>,
}

impl Server {
    fn start(front: Front) -> Self {
        let (started, starts) = mpsc::channel();
        let thread = thread::spawn(move || {
            let lp = EventLoop::new().expect("a loop can be made");
            let localhost = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = TcpListener::bind(&lp, localhost).expect("loopback has ports");
            let address = listener.local_addr().expect("it is bound");
            let traffic = Rc::new(Traffic::default());
            match front {
                Front::Futures => serve_with_futures(&lp, listener, Rc::clone(&traffic)).detach(),
                Front::Callbacks => {
                    serve_with_callbacks(&listener, Rc::clone(&traffic)).expect("the listener is open");
                }
            }
            started.send((address, lp.remote())).expect("the test waits for it");
            lp.run(RunMode::Default).expect("the driver works");
            let open = traffic.open();
            drop(lp);
            assert_eq!(traffic.open(), 0, "nothing outlives the loop");
            open
        });
        let (address, remote) = starts.recv().expect("the server starts");
        Self { address, remote, thread }
    }

    /// Stops the server and gives the number of connections that it held.
    fn stop(self) -> u64 {
        self.remote.post(|lp| lp.stop()).expect("the server runs");
        self.thread.join().expect("the server does not panic")
    }
}

/// Many connections of one loop, on the thread of the test.
struct Client {
    lp: EventLoop,
    streams: Vec<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr, count: usize) -> Self {
        let lp = EventLoop::new().expect("a loop can be made");
        let mut streams = Vec::new();
        while streams.len() < count {
            let batch = CONNECTS.min(count - streams.len());
            let connects = try_join_all((0..batch).map(|_| TcpStream::connect(&lp, address)));
            let connected = lp.block_on(lp.timeout(LIMIT, connects)).expect("the driver works");
            let connected = connected.expect("the server answers in time").expect("no connection fails");
            // The system connects before the server accepts: wait for it, or the backlog runs over.
            echo(&lp, &connected, 0);
            streams.extend(connected);
        }
        Self { lp, streams }
    }
}

/// Sends a message of its own on every connection, and waits until each came back.
fn echo(lp: &EventLoop, streams: &[TcpStream], round: u8) {
    let echoes = streams.iter().enumerate().map(async |(index, stream)| {
        let message = format!("message {round} of connection {index:100}");
        stream.write_all(message.as_bytes()).await?;
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back).await?;
        assert!(back == message.as_bytes(), "connection {index} got what was not its own");
        Ok::<_, std::io::Error>(())
    });
    let results = lp.block_on(lp.timeout(LIMIT, join_all(echoes))).expect("the driver works");
    let results = results.expect("the echoes come in time");
    results.into_iter().for_each(|result| result.expect("no echo fails"));
}
