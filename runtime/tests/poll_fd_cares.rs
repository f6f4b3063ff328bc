//! Foreign descriptors of a real library: c-ares opens, changes and closes its sockets as it likes, and has `PollFd` watch them.
//!
//! The servers that it asks are the test's own, on loopback.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::{Rc, Weak};

use phaseloop::net::{ReceiveEvent, TcpListener, TcpStream, UdpSocket};
use phaseloop::{EventLoop, LoopHandle, PollEvents, PollFd};

mod loopback;
#[path = "poll_fd_cares/sys.rs"]
mod sys;
use loopback::{finish, localhost, ms, new_loop, run};
use sys::{Library, Resolver};

/// A resolver whose sockets and timeouts a loop watches.
struct Watched {
    lp: LoopHandle,
    resolver: Resolver,
    /// Queries that are not answered.
    open: Cell<usize>,
    sockets: Rc<RefCell<HashMap<RawFd, PollFd<BorrowedFd<'static>>>>>,
    /// What it asked for, in order: a letter for each direction, and `-` for a socket that it closes.
    asked: Rc<RefCell<String>>,
}

impl Watched {
    fn new(lp: &LoopHandle, library: &Library, servers: &[SocketAddr]) -> Rc<Self> {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        Rc::new_cyclic(|weak: &Weak<Self>| {
            let weak = weak.clone();
            let on_socket = move |fd, readable, writable| {
                // One that is being dropped has nobody to watch for.
                if let Some(watched) = weak.upgrade() {
                    watched.watch(fd, readable, writable);
                }
            };
            let resolver = Resolver::new(library, &servers.join(","), ms(100), on_socket);
            let (sockets, asked) = (Rc::default(), Rc::default());
            Self { lp: lp.clone(), resolver, open: Cell::new(0), sockets, asked }
        })
    }

    /// Called by the library, from inside of `query` and `process`.
    fn watch(self: &Rc<Self>, fd: RawFd, readable: bool, writable: bool) {
        let asked = match (readable, writable) {
            (true, true) => "b",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "-",
        };
        self.asked.borrow_mut().push_str(asked);
        let sockets = &mut *self.sockets.borrow_mut();
        if !readable && !writable {
            let poll = sockets.remove(&fd).expect("it was watched");
            poll.close();
            return;
        }
        let poll = sockets.entry(fd).or_insert_with(|| PollFd::new(&self.lp, sys::number(fd)).unwrap());
        let read = if readable { PollEvents::READABLE } else { PollEvents::default() };
        let write = if writable { PollEvents::WRITABLE } else { PollEvents::default() };
        let weak = Rc::downgrade(self);
        let on_events = move |_: &PollFd<_>, events: std::io::Result<PollEvents>| {
            let events = events.expect("the library says when it closes a socket");
            let ready = |event| events.contains(event).then_some(fd);
            if let Some(watched) = weak.upgrade() {
                watched.resolver.process(ready(PollEvents::READABLE), ready(PollEvents::WRITABLE));
            }
        };
        poll.start(read | write, on_events).unwrap();
    }

    /// Asks, and looks at the clock when the library wants to, until there is an answer.
    fn query(self: &Rc<Self>, name: &str, on_answer: impl FnOnce(Result<Vec<u8>, String>) + 'static) {
        let weak = Rc::downgrade(self);
        self.open.set(self.open.get() + 1);
        self.resolver.query(name, move |answer| {
            if let Some(own) = weak.upgrade() {
                own.open.set(own.open.get() - 1);
            }
            on_answer(answer);
        });
        self.look_later();
    }

    fn look_later(self: &Rc<Self>) {
        let Some(timeout) = self.resolver.timeout() else { return };
        let weak = Rc::downgrade(self);
        let timer = self.lp.timer(timeout, move |_| {
            if let Some(own) = weak.upgrade().filter(|own| own.open.get() > 0) {
                own.resolver.process(None, None);
                own.look_later();
            }
        });
        self.lp.unref_timer(timer);
    }
}

impl Drop for Watched {
    /// Before the library closes its sockets.
    fn drop(&mut self) {
        self.sockets.take().values().for_each(PollFd::close);
    }
}

/// The library, or `None` after a line that says so, past the harness. Fails where peers are required.
fn library() -> Option<Library> {
    let found = Library::open();
    if found.is_none() {
        let required = std::env::var_os("PHASELOOP_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "c-ares is not installed: see `.ci/run setup`");
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let notice = format!("SKIPPED: {test}: c-ares is not installed\n");
        std::io::stderr().write_all(notice.as_bytes()).unwrap();
    }
    found
}

/// An answer with `count` addresses, 10.0.0.0 and so on; truncated ones have none.
fn answer_to(query: &[u8], count: u8, truncated: bool) -> Vec<u8> {
    let question_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1 + 4;
    let flags = if truncated { [0x83, 0x80] } else { [0x81, 0x80] };
    let mut answer = [&query[..2], &flags, &[0, 1, 0, count, 0, 0, 0, 0], &query[12..question_end]].concat();
    for last in 0..count {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, last]);
    }
    answer
}

fn addresses(answer: &[u8]) -> (u8, [u8; 4]) {
    (answer[7], answer[answer.len() - 4..].try_into().unwrap())
}

/// A server that answers each datagram with one address, or says that the answer is too long for a datagram.
fn udp_server(lp: &LoopHandle, at: SocketAddr, truncated: bool) -> UdpSocket {
    let server = UdpSocket::bind(lp, at).unwrap();
    server
        .recv_start(move |server, event| {
            let ReceiveEvent::Datagram(query) = event else { panic!("{event:?}") };
            let answer = answer_to(query.bytes, u8::from(!truncated), truncated);
            server.queue_send(&answer, Some(&query.from)).unwrap();
        })
        .unwrap();
    server.unref();
    server
}

/// Answers over TCP with 200 addresses, in two pieces, so that the library has to wait in between.
async fn serve_tcp(stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut len = [0; 2];
        if stream.read_exact(&mut len).await.is_err() {
            return Ok(());
        }
        let mut query = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut query).await?;
        let answer = answer_to(&query, 200, false);
        let answer = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
        stream.write_all(&answer[..100]).await?;
        phaseloop::sleep(ms(1)).await;
        stream.write_all(&answer[100..]).await?;
    }
}

/// A port that is free for datagrams and for connections.
fn both(lp: &EventLoop) -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let listener = TcpListener::bind(lp, localhost()).unwrap();
        let address = listener.local_addr().unwrap();
        if UdpSocket::bind(lp, address).is_ok() {
            return (udp_server(lp, address, true), listener);
        }
    }
    panic!("there is no such port");
}

#[test]
fn names_are_resolved_while_the_loop_watches() {
    let Some(library) = library() else { return };
    let lp = new_loop();
    let server = udp_server(&lp, localhost(), false);
    let watched = Watched::new(&lp, &library, &[server.local_addr().unwrap()]);
    let found = Rc::new(Cell::new(0));
    for number in 0..50 {
        let found = Rc::clone(&found);
        watched.query(&format!("host{number}.test"), move |answer| {
            assert_eq!(addresses(&answer.unwrap()), (1, [10, 0, 0, 0]));
            found.set(found.get() + 1);
        });
    }
    lp.spawn(wait_for(Rc::clone(&watched))).detach();
    run(&lp);
    assert_eq!(found.get(), 50);
    drop(watched);
    server.close();
    drop(server);
    finish(lp);
}

/// Holds the loop until all is answered: the sockets of the library may stay open for the next query.
async fn wait_for(watched: Rc<Watched>) {
    while watched.open.get() > 0 {
        phaseloop::sleep(ms(1)).await;
    }
    watched.sockets.borrow().values().for_each(PollFd::unref);
}

#[test]
fn an_answer_that_is_too_long_is_fetched_over_a_connection() {
    let Some(library) = library() else { return };
    let lp = new_loop();
    let (server, listener) = both(&lp);
    let address = listener.local_addr().unwrap();
    listener.on_connection(|listener, stream| listener.lp().spawn(serve(stream.unwrap())).detach()).unwrap();
    listener.unref();
    let watched = Watched::new(&lp, &library, &[address]);
    let found = Rc::new(Cell::new(0));
    for number in 0..3 {
        let found = Rc::clone(&found);
        watched.query(&format!("long{number}.test"), move |answer| {
            assert_eq!(addresses(&answer.unwrap()), (200, [10, 0, 0, 199]));
            found.set(found.get() + 1);
        });
    }
    let waits = lp.spawn(wait_for(Rc::clone(&watched)));
    loopback::block_on(&lp, waits).unwrap();
    assert_eq!(found.get(), 3);
    // A connect is waited for by its writability, and then the answer; and before, the answer to the datagram.
    let asked = watched.asked.borrow().clone();
    assert!(asked.starts_with('r') && (asked.contains('b') || asked.contains('w')), "{asked}");
    drop(watched);
    listener.close();
    server.close();
    drop((listener, server));
    finish(lp);
}

async fn serve(stream: TcpStream) {
    serve_tcp(stream).await.expect("the library reads to the end of an answer");
}

#[test]
fn a_server_that_is_silent_is_given_up_by_the_librarys_clock() {
    let Some(library) = library() else { return };
    let lp = new_loop();
    let silent = UdpSocket::bind(&lp, localhost()).unwrap();
    let server = udp_server(&lp, localhost(), false);
    let servers = [silent.local_addr().unwrap(), server.local_addr().unwrap()];
    let watched = Watched::new(&lp, &library, &servers);
    let found = Rc::new(Cell::new(None));
    let answer = Rc::clone(&found);
    watched.query("patient.test", move |found| answer.set(Some(found.map(|bytes| addresses(&bytes)))));
    loopback::block_on(&lp, wait_for(Rc::clone(&watched)));
    assert_eq!(found.take(), Some(Ok((1, [10, 0, 0, 0]))));
    assert!(silent.try_recv_from(&mut [0; 512]).unwrap().len > 12, "it was asked first");
    // Destroyed with a query open: it closes its sockets, and says so.
    let cancelled = Rc::new(Cell::new(false));
    let told = Rc::clone(&cancelled);
    server.close();
    drop(server);
    watched.query("nobody.test", move |found| told.set(found.is_err()));
    drop(watched);
    silent.close();
    run(&lp);
    assert!(cancelled.get());
    drop(silent);
    finish(lp);
}
