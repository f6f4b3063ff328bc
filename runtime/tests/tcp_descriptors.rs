//! Accepting at the descriptor limit: neither hangs nor spins.
//!
//! In a test binary of its own, since the limit is the process's. One test at a time: the others would run into it too.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::net::TcpStream as Peer;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use phaseloop::EventLoop;
use phaseloop::ipc::Channel;
use phaseloop::net::pipe::{self, PipeStream};
use phaseloop::net::{TcpListener, TcpStream, UdpSocket, UnixAddr, UnixDatagram, UnixListener, UnixStream};
use phaseloop::signal::{Signal, SignalWatcher};
use phaseloop::threads::{Port, spawn_loop};
use rustix::process::{Resource, getrlimit, setrlimit};

mod loopback;
use loopback::{finish, localhost, ms, new_loop, run_while, turns_in, wait_once};

/// Enough for the test's own sockets.
const DESCRIPTORS: u64 = 128;

/// Lowers the limit, and keeps other tests out while it is reached.
fn limited() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(DESCRIPTORS);
    setrlimit(Resource::Nofile, limit).expect("a limit can be lowered");
    alone
}

/// Takes all descriptors there are.
fn exhaust() -> Vec<File> {
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(files.len() < DESCRIPTORS as usize);
    files
}

/// One error at once, and one after each pause of 50 ms.
fn most_errors(began: Instant) -> u128 {
    1 + began.elapsed().as_millis() / 50
}

#[test]
fn a_connection_callback_at_the_descriptor_limit_neither_hangs_nor_spins() {
    let _alone = limited();
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    wait_once(&lp);
    let (errors, streams) = (Rc::new(Cell::new(0_u128)), Rc::new(RefCell::new(Vec::new())));
    let (failed, accepted) = (Rc::clone(&errors), Rc::clone(&streams));
    listener
        .on_connection(move |_, connection| match connection {
            Ok(stream) => accepted.borrow_mut().push(stream),
            Err(_) => failed.set(failed.get() + 1),
        })
        .unwrap();
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
    let mut filler = exhaust();
    let began = Instant::now();
    let turns = turns_in(&lp, ms(20));
    assert!(turns < 20, "{turns} turns passed with no descriptor left");
    // Those who come in the pause do not shorten it.
    for _ in 0..3 {
        drop(filler.pop()); // for the peer's own socket
        peers.push(Peer::connect(address).unwrap());
        turns_in(&lp, ms(1));
    }
    assert!(errors.get() <= most_errors(began), "{} errors in {:?}", errors.get(), began.elapsed());
    run_while(&lp, || errors.get() < 3);
    assert!(errors.get() <= most_errors(began), "{} errors in {:?}", errors.get(), began.elapsed());
    drop(filler);
    run_while(&lp, || streams.borrow().len() < 6);
    listener.close();
    streams.borrow_mut().clear();
    drop((peers, listener));
    finish(lp);
}

#[test]
fn an_accept_loop_at_the_descriptor_limit_neither_hangs_nor_spins() {
    let _alone = limited();
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    wait_once(&lp);
    let errors = Rc::new(Cell::new(0_u128));
    let failed = Rc::clone(&errors);
    let server = lp.spawn(async move {
        let mut streams = Vec::new();
        while streams.len() < 3 {
            match listener.accept().await {
                Ok((stream, _)) => streams.push(stream),
                Err(_) => failed.set(failed.get() + 1), // and on at once, as many programs do
            }
        }
    });
    let peers: Vec<Peer> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
    let filler = exhaust();
    let began = Instant::now();
    let turns = turns_in(&lp, ms(20));
    assert!(turns < 20, "{turns} turns passed with no descriptor left");
    run_while(&lp, || errors.get() < 3);
    assert!(errors.get() <= most_errors(began), "{} errors in {:?}", errors.get(), began.elapsed());
    drop(filler);
    run_while(&lp, || !server.is_finished());
    drop((server, peers));
    finish(lp);
}

#[test]
fn every_task_that_accepts_goes_on_after_the_descriptor_limit() {
    let _alone = limited();
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    wait_once(&lp);
    let accept = |listener: TcpListener| async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                return stream;
            }
        }
    };
    let peers: Vec<Peer> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
    let filler = exhaust();
    let tasks: Vec<_> = (0..3).map(|_| lp.spawn(accept(listener.clone()))).collect();
    turns_in(&lp, ms(10)); // all of them are in the pause that the first one met
    drop(filler);
    run_while(&lp, || !tasks.iter().all(|task| task.is_finished()));
    drop((tasks, peers, listener));
    finish(lp);
}

#[test]
fn at_the_descriptor_limit_everything_else_fails_plainly_and_goes_on_later() {
    let _alone = limited();
    let lp = new_loop();
    wait_once(&lp);
    let (a, b) = UnixStream::pair(&lp).unwrap();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let (ours, _other) =
        std::net::UdpSocket::bind("127.0.0.1:0").map(|s| (s.try_clone().unwrap(), s)).unwrap();
    lp.block_on(a.write_with_descriptors(b"x", &[ours.as_fd(), ours.as_fd()])).unwrap().unwrap();
    let filler = exhaust();
    let is_emfile = |error: std::io::Error| error.raw_os_error() == Some(libc::EMFILE);
    assert!(is_emfile(lp.block_on(TcpStream::connect(&lp, address)).unwrap().unwrap_err()));
    assert!(is_emfile(TcpListener::bind(&lp, localhost()).unwrap_err()));
    assert!(is_emfile(UnixStream::pair(&lp).unwrap_err()));
    assert!(is_emfile(UdpSocket::bind(&lp, localhost()).unwrap_err()));
    let name = UnixAddr::abstract_name("phaseloop-descriptor-limit");
    assert!(is_emfile(UnixListener::bind(&lp, &name).unwrap_err()));
    assert!(is_emfile(listener.try_clone_fd().unwrap_err()));
    // Descriptors that can not be taken are lost, and that is said; the bytes come.
    let (len, passed) = lp.block_on(b.read_with_descriptors(&mut [0; 8])).unwrap().unwrap();
    assert!(len == 1 && passed.descriptors.is_empty() && passed.truncated);
    // A descriptor that was lent can not get a stand-in, and is closed all the same.
    let lent = b.as_fd();
    b.close();
    assert!(rustix::net::getpeername(lent).is_ok(), "its number is still ours");
    assert_eq!(lp.block_on(a.read(&mut [0; 8])).unwrap().unwrap(), 0, "the peer sees the end");
    drop(filler);
    drop(lp.block_on(TcpStream::connect(&lp, address)).unwrap().unwrap());
    drop((a, b, listener));
    finish(lp);
}

#[test]
fn at_the_descriptor_limit_all_that_opens_says_so_and_leaves_nothing() {
    let _alone = limited();
    let (lp, folder) = (new_loop(), loopback::Folder::new());
    wait_once(&lp);
    let fifo = folder.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let inherited = File::open("/dev/null").unwrap();
    let filler = exhaust();
    let is_emfile = |what: &str, error: std::io::Error| {
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{what}: {error}");
    };
    is_emfile("a pipe", pipe::pair(&lp).unwrap_err());
    is_emfile("a socket pair", pipe::socketpair(&lp).unwrap_err());
    is_emfile("a FIFO", pipe::open_fifo_reader(&lp, &fifo).unwrap_err());
    is_emfile("a shared descriptor", PipeStream::from_shared(&lp, &inherited).unwrap_err());
    is_emfile("a channel", Channel::pair(&lp).unwrap_err());
    is_emfile("datagrams", UnixDatagram::unbound(&lp).unwrap_err());
    is_emfile("a pair of datagram sockets", UnixDatagram::pair(&lp).unwrap_err());
    is_emfile("signals", lp.signals(&[Signal::USR1]).unwrap_err());
    let watcher = SignalWatcher::new(&lp).unwrap();
    is_emfile("a watcher", watcher.start(Signal::USR1, |_, _| {}).unwrap_err());
    is_emfile("a loop", EventLoop::new().unwrap_err());
    is_emfile("a thread", spawn_loop(&lp, |_, _: Port<(), ()>| {}).unwrap_err());
    is_emfile("a standard stream", pipe::stdin(&lp).unwrap_err());
    drop(filler);
    watcher.start(Signal::USR1, |watcher, _| watcher.close()).unwrap();
    pipe::pair(&lp).unwrap();
    watcher.close();
    drop(watcher);
    finish(lp);
}
