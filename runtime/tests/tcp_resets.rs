//! Resets by the peer at every point of a connection's life, by callbacks and by futures that wait: an error each time, once, and
//! nothing is left.

use std::future::Future;
use std::io::ErrorKind;
use std::net::TcpStream as Peer;
use std::pin::Pin;

use phaseloop::EventLoop;
use phaseloop::net::{ReadEvent, TcpListener, TcpStream};

mod loopback;
use loopback::{
    Log, adopt, block_on, finish, is_broken, localhost, ms, new_loop, reset, run, run_while, std_pair,
    turns_in,
};

fn stream(lp: &EventLoop) -> (TcpStream, Peer) {
    let (ours, peer) = std_pair();
    (adopt(lp, ours), peer)
}

/// Fills the system's buffers, so that what is written next has to wait.
fn fill(stream: &TcpStream) {
    while stream.try_write(&[0; 64 * 1024]).is_ok() {}
}

fn note(log: &Log, what: &'static str) -> impl FnOnce(&TcpStream, std::io::Result<()>) + 'static {
    let log = log.clone();
    move |_, result| log.add(format!("{what}: {:?}", result.map_err(|error| error.kind())))
}

#[test]
fn a_read_callback_that_waits_is_told_once() {
    let (lp, log) = (new_loop(), Log::default());
    let (stream, peer) = stream(&lp);
    let told = log.clone();
    stream
        .read_start(move |_, event| match event {
            ReadEvent::Failed(error) => told.add(format!("failed: {:?}", error.kind())),
            other => panic!("{other:?}"),
        })
        .unwrap();
    turns_in(&lp, ms(1)); // it waits
    reset(peer);
    run(&lp);
    assert_eq!(log.lines(), ["failed: ConnectionReset"]);
    drop(stream);
    finish(lp);
}

#[test]
fn writes_that_wait_fail_in_their_order_and_so_does_the_end() {
    let (lp, log) = (new_loop(), Log::default());
    let (stream, peer) = stream(&lp);
    fill(&stream);
    stream.queue_write_with(b"first", note(&log, "first")).unwrap();
    stream.queue_write_with(b"second", note(&log, "second")).unwrap();
    stream.shutdown_with(note(&log, "end")).unwrap();
    turns_in(&lp, ms(1));
    reset(peer);
    run(&lp);
    let lines = log.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0] == "first: Err(ConnectionReset)" || lines[0] == "first: Err(BrokenPipe)", "{lines:?}");
    assert!(lines[1].starts_with("second: Err(") && lines[2].starts_with("end: Err("), "{lines:?}");
    drop(stream);
    finish(lp);
}

#[test]
fn futures_that_wait_are_told_each() {
    let lp = new_loop();
    type Point = fn(TcpStream) -> Pin<Box<dyn Future<Output = std::io::Result<()>>>>;
    let tasks = |point: Point, fills| {
        let (stream, peer) = stream(&lp);
        if fills {
            fill(&stream);
        }
        let waits = lp.spawn(point(stream));
        turns_in(&lp, ms(1));
        assert!(!waits.is_finished());
        reset(peer);
        block_on(&lp, waits).unwrap()
    };
    let read = tasks(|stream| Box::pin(async move { stream.read(&mut [0; 8]).await.map(drop) }), false);
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let exact = tasks(|stream| Box::pin(async move { stream.read_exact(&mut [0; 8]).await }), false);
    assert_eq!(exact.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let peek = tasks(|stream| Box::pin(async move { stream.peek(&mut [0; 8]).await.map(drop) }), false);
    assert_eq!(peek.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let write = tasks(|stream| Box::pin(async move { stream.write_all(&[0; 1 << 20]).await }), true);
    assert!(is_broken(&write.unwrap_err()));
    // These only say that to try would not block.
    tasks(|stream| Box::pin(async move { stream.readable().await }), false).unwrap();
    tasks(|stream| Box::pin(async move { stream.writable().await }), true).unwrap();
}

#[test]
fn what_was_reset_before_it_was_accepted_fails_when_it_is_read() {
    let (lp, log) = (new_loop(), Log::default());
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let peers: Vec<Peer> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
    peers.into_iter().for_each(reset);
    let told = log.clone();
    listener
        .on_connection(move |_, accepted| {
            let log = told.clone();
            match accepted {
                // The system may leave out what was reset, or hand it over.
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionAborted),
                Ok(stream) => stream
                    .read_start(move |stream, event| {
                        log.add(format!("{event:?}").split('(').next().unwrap_or_default());
                        stream.close();
                    })
                    .unwrap(),
            }
        })
        .unwrap();
    // One behind them is served.
    let mut healthy = Peer::connect(address).unwrap();
    std::io::Write::write_all(&mut healthy, b"x").unwrap();
    run_while(&lp, || !log.lines().iter().any(|line| line == "Data"));
    listener.close();
    drop(listener);
    run(&lp);
    assert!(log.lines().iter().all(|line| line == "Failed" || line == "Data"), "{:?}", log.lines());
    finish(lp);
}
