//! The options of TCP sockets, how connections are made and ended, and taking sockets over.

use std::cell::Cell;
use std::future::Future;
use std::io::{ErrorKind, Read};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;

use phaseloop::net::{ConnectOptions, Keepalive, ListenOptions, ReadEvent, TcpListener, TcpStream};
use phaseloop::{ContextKey, EventLoop, Limits};
use socket2::SockRef;

mod loopback;
use loopback::{
    Log, adopt, block_on, finish, localhost, loop_with, ms, new_loop, pair, read_all, refused_address, run,
    run_while, turns_in, with_peer,
};

fn listener(lp: &EventLoop) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(lp, localhost()).expect("loopback has ports");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

#[test]
fn options_of_a_connection_hold() {
    let lp = new_loop();
    let (stream, _peer) = with_peer(&lp);
    assert_eq!(stream.keepalive().unwrap(), None);
    let mut keepalive = Keepalive::after(Duration::from_secs(30));
    keepalive.interval = Some(Duration::from_secs(5));
    keepalive.count = Some(3);
    stream.set_keepalive(Some(keepalive)).unwrap();
    assert_eq!(stream.keepalive().unwrap(), Some(keepalive));
    let short = Keepalive::after(ms(300));
    let error = stream.set_keepalive(Some(short)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("300ms"), "{error}");
    stream.set_keepalive(None).unwrap();
    assert_eq!(stream.keepalive().unwrap(), None);
    stream.set_tos(0x10).unwrap();
    assert_eq!(stream.tos().unwrap(), 0x10);
    let error = stream.set_linger(Some(ms(2000))).unwrap_err();
    assert!(error.to_string().contains("block"), "{error}");
    stream.set_linger(None).unwrap();
}

#[test]
fn connect_options_hold_from_the_first_packet_on() {
    let lp = new_loop();
    let (listener, address) = listener(&lp);
    let mut options = ConnectOptions::default();
    options.local = Some(SocketAddr::from(([127, 0, 0, 5], 0)));
    options.nodelay = true;
    options.tos = Some(0x08);
    options.keepalive = Some(Keepalive::after(Duration::from_secs(60)));
    options.timeout = Some(Duration::from_secs(20));
    let stream = block_on(&lp, options.connect(&lp, address)).unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), SocketAddr::from(([127, 0, 0, 5], 0)).ip());
    assert!(stream.nodelay().unwrap());
    assert_eq!(stream.tos().unwrap(), 0x08);
    assert_eq!(
        stream.keepalive().unwrap().and_then(|keepalive| keepalive.idle),
        Some(Duration::from_secs(60))
    );
    let (_, peer) = block_on(&lp, listener.accept()).unwrap();
    assert_eq!(peer, stream.local_addr().unwrap());
}

#[test]
fn an_error_of_the_local_address_comes_late_by_callback() {
    let lp = new_loop();
    let (listener, address) = listener(&lp);
    let log = Log::default();
    let mut options = ConnectOptions::default();
    for (name, local) in [("in use", address), ("not ours", SocketAddr::from(([203, 0, 113, 1], 0)))] {
        options.local = Some(local);
        let noted = log.clone();
        options.connect_with(&lp, address, move |_, stream| {
            noted.add(format!("{name}: {:?}", stream.unwrap_err().kind()));
        });
    }
    assert_eq!(log.len(), 0);
    run(&lp);
    assert_eq!(log.lines(), ["in use: AddrInUse", "not ours: AddrNotAvailable"]);
    drop(listener);
    finish(lp);
}

#[test]
fn a_connect_without_an_answer_ends_at_its_deadline() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    // A backlog that is full, and takes nobody: the system would try for minutes.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&localhost().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let fillers: Vec<_> = (0..4)
        .map(|_| {
            let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address.into()); // under way, or connected
            filler
        })
        .collect();
    let mut options = ConnectOptions::default();
    options.timeout = Some(Duration::from_secs(5));
    let error = lp.block_on(options.connect(&lp, address)).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("5s") && error.to_string().contains(&address.to_string()), "{error}");
    drop(fillers);
}

#[test]
fn ipv6_only_leaves_the_port_to_ipv4() {
    let lp = new_loop();
    let mut options = ListenOptions::default();
    options.only_v6 = Some(true);
    let Ok(six) = TcpListener::bind_with(&lp, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), &options) else {
        return; // a machine without IPv6
    };
    assert!(SockRef::from(&six).only_v6().unwrap());
    let port = six.local_addr().unwrap().port();
    let four = TcpListener::bind(&lp, SocketAddr::from(([127, 0, 0, 1], port)));
    assert!(four.is_ok(), "{four:?}");
    let mut both = ListenOptions::default();
    both.only_v6 = Some(false);
    let both = TcpListener::bind_with(&lp, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), &both).unwrap();
    assert!(!SockRef::from(&both).only_v6().unwrap());
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let lp = new_loop();
    let mut options = ListenOptions::default();
    options.device = Some("no-such-device".into());
    assert!(TcpListener::bind_with(&lp, localhost(), &options).is_err());
    let mut options = ConnectOptions::default();
    options.device = Some("no-such-device".into());
    let (_listener, address) = listener(&lp);
    assert!(block_on(&lp, options.connect(&lp, address)).is_err());
    options.device = Some("lo".into());
    match block_on(&lp, options.connect(&lp, address)) {
        Ok(stream) => assert_eq!(SockRef::from(&stream).device().unwrap().as_deref(), Some(&b"lo"[..])),
        Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
    }
}

#[test]
fn close_reset_resets_and_is_refused_after_a_shutdown() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    let log = Log::default();
    let (noted, cancelled) = (log.clone(), log.clone());
    while stream.write_queue_len() == 0 {
        stream.queue_write(&[0; 100_000]).unwrap();
    }
    stream
        .queue_write_with(b"x", move |_, result| {
            assert!(loopback::is_cancelled(&result.unwrap_err()));
            cancelled.add("cancelled");
        })
        .unwrap();
    stream.close_reset_with(move |_| noted.add("closed")).unwrap();
    assert!(stream.is_closed());
    assert_eq!(stream.close_reset().unwrap_err().kind(), ErrorKind::NotConnected);
    run(&lp);
    assert_eq!(log.lines(), ["cancelled", "closed"]);
    let reset = std::iter::repeat_with(|| peer.read(&mut [0; 65_536])).find_map(Result::err).unwrap();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);

    let (stream, peer) = with_peer(&lp);
    block_on(&lp, stream.shutdown()).unwrap();
    let error = stream.close_reset().unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && !stream.is_closed(), "{error}");
    stream.close();
    assert_eq!(read_all(&peer), b"", "a clean end");
}

#[test]
fn a_lent_descriptor_keeps_its_number_when_the_stream_is_closed() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    let twin = stream.clone();
    let lent = stream.as_fd();
    let number = lent.as_raw_fd();
    SockRef::from(&lent).set_tcp_nodelay(true).unwrap();
    twin.close();
    assert_eq!(read_all(&peer), b"", "the connection has ended");
    // Whoever opens something now does not get the number that is lent.
    let others: Vec<_> = (0..8).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    assert!(others.iter().all(|file| file.as_raw_fd() != number));
    assert!(SockRef::from(&lent).tcp_nodelay().is_err(), "the stand-in is no TCP socket");
    assert!(stream.is_closed() && twin.into_std().is_err());
    assert_eq!(stream.try_write(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn sockets_that_are_something_else_are_refused() {
    let lp = new_loop();
    let (listener, _) = listener(&lp);
    let listening = listener.into_fd().unwrap();
    let error = TcpStream::from_fd(&lp, listening.try_clone().unwrap()).unwrap_err();
    assert!(error.to_string().contains("listening: true"), "{error}");
    TcpListener::from_fd(&lp, listening).unwrap();
    let (unix, _) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = TcpStream::from_fd(&lp, unix.into()).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("no TcpStream"), "{error}");
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(TcpListener::from_fd(&lp, file.into()).unwrap_err().to_string().contains("no TcpListener"));
}

#[test]
fn listening_again_and_pausing_loses_no_connection() {
    let lp = new_loop();
    let (listener, address) = listener(&lp);
    listener.set_backlog(5).unwrap();
    listener.set_backlog(50).unwrap();
    let accepted = Rc::new(Cell::new(0));
    let counted = Rc::clone(&accepted);
    listener
        .on_connection(move |listener, stream| {
            stream.unwrap();
            counted.set(counted.get() + 1);
            if counted.get() == 2 {
                listener.accept_pause();
            }
        })
        .unwrap();
    let peers: Vec<_> = (0..5).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    run_while(&lp, || accepted.get() < 2);
    let turns = turns_in(&lp, ms(20));
    assert!(turns < 20 && accepted.get() == 2, "{turns} turns, {} accepted", accepted.get());
    listener.accept_resume();
    run_while(&lp, || accepted.get() < 5);
    listener.close();
    drop((listener, peers));
    finish(lp);
}

#[test]
fn a_paused_listener_holds_futures_up_and_closing_ends_them() {
    let lp = new_loop();
    let (listener, address) = listener(&lp);
    listener.accept_pause();
    let accepting = listener.clone();
    let task = lp.spawn(async move { (accepting.accept().await.is_ok(), accepting.accept().await.is_ok()) });
    let _peers =
        [std::net::TcpStream::connect(address).unwrap(), std::net::TcpStream::connect(address).unwrap()];
    turns_in(&lp, ms(5));
    assert!(!task.is_finished());
    listener.accept_resume();
    listener.accept_pause();
    turns_in(&lp, ms(5));
    assert!(!task.is_finished(), "resumed and paused in one turn");
    listener.accept_resume();
    assert_eq!(block_on(&lp, task).unwrap(), (true, true));
    listener.accept_pause();
    let accepting = listener.clone();
    let task = lp.spawn(async move { accepting.accept().await.unwrap_err().kind() });
    turns_in(&lp, ms(1));
    listener.close();
    assert_eq!(block_on(&lp, task).unwrap(), ErrorKind::NotConnected);
}

#[test]
fn a_try_takes_what_is_there() {
    let lp = new_loop();
    let (listener, address) = listener(&lp);
    assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let peer = std::net::TcpStream::connect(address).unwrap();
    let (stream, _) = block_on(&lp, listener.accept()).unwrap();
    let mut buf = [0; 8];
    assert_eq!(stream.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    std::io::Write::write_all(&mut &peer, b"abc").unwrap();
    block_on(&lp, stream.readable()).unwrap();
    assert_eq!(stream.try_read(&mut buf).unwrap(), 3);
    drop(peer);
    block_on(&lp, stream.readable()).unwrap();
    assert_eq!(stream.try_read(&mut buf).unwrap(), 0);
    stream.close();
    assert_eq!(stream.try_read(&mut buf).unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn a_writer_that_heeds_the_mark_stays_near_it() {
    const MARK: usize = 50_000;
    const CHUNK: usize = 10_000;
    let lp = loop_with(Limits { write_high_water_mark: MARK, ..Limits::default() });
    let (writer, reader) = pair(&lp);
    let (most, left) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(300)));
    let (peak, remaining) = (Rc::clone(&most), Rc::clone(&left));
    let produce = move |stream: &TcpStream| {
        while !stream.is_write_queue_high() && remaining.get() > 0 {
            remaining.set(remaining.get() - 1);
            stream.queue_write(&[7; CHUNK]).unwrap();
            peak.set(peak.get().max(stream.write_queue_len()));
        }
        if remaining.get() == 0 {
            stream.shutdown_with(|_, _| {}).unwrap_or(());
        }
    };
    produce(&writer);
    assert!(writer.is_write_queue_high(), "a reader that never reads stops its writer");
    turns_in(&lp, ms(5));
    assert!(left.get() > 200 && most.get() <= MARK + CHUNK, "{} left, {} queued", left.get(), most.get());
    writer.on_drain(produce);
    let total = Rc::new(Cell::new(0));
    let counted = Rc::clone(&total);
    reader
        .read_start(move |stream, event| match event {
            ReadEvent::Data(bytes) => counted.set(counted.get() + bytes.len()),
            ReadEvent::End => stream.close(),
            ReadEvent::Failed(error) => panic!("{error}"),
        })
        .unwrap();
    run_while(&lp, || !reader.is_closed());
    assert_eq!(total.get(), 300 * CHUNK);
    assert!(most.get() <= MARK + CHUNK, "{} queued", most.get());
    writer.close(); // its drain callback does not hold it, and it may go
}

#[test]
fn a_queued_write_that_fails_is_told_where_asked_for() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    let log = Log::default();
    let noted = log.clone();
    stream.on_write_error(move |stream, error| {
        assert!(loopback::is_broken(&error), "{error}");
        assert!(!stream.is_closed(), "that is for the callback to do");
        noted.add("failed");
        stream.close();
    });
    while stream.write_queue_len() == 0 {
        stream.queue_write(&[0; 100_000]).unwrap();
    }
    loopback::reset(peer);
    run(&lp);
    assert_eq!(log.lines(), ["failed"]);
}

#[test]
fn halves_come_together_again_and_strangers_do_not() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let (a_reads, a_writes) = a.into_split();
    let (b_reads, b_writes) = b.into_split();
    let (a_reads, b_writes) = a_reads.reunite(b_writes).unwrap_err();
    let a = a_reads.reunite(a_writes).unwrap();
    let b = b_reads.reunite(b_writes).unwrap();
    block_on(&lp, async {
        a.write_all(b"whole").await.unwrap(); // the end was not sent
        b.read_exact(&mut [0; 5]).await.unwrap();
    });
}

static WHO: ContextKey<&'static str> = ContextKey::new();

#[test]
fn connections_and_connects_have_the_context_of_their_registration() {
    let lp = new_loop();
    let (listener, address) = listener(&lp);
    let log = Log::default();
    let (accepted, connected) = (log.clone(), log.clone());
    WHO.scope(&lp, "server", || {
        listener
            .on_connection(move |listener, _| {
                accepted.add(format!("accepted: {:?}", WHO.get(listener.lp()).as_deref()));
                listener.close();
            })
            .unwrap();
    });
    WHO.scope(&lp, "client", || {
        TcpStream::connect_with(&lp, address, move |lp, _| {
            connected.add(format!("connected: {:?}", WHO.get(lp).as_deref()));
        });
    });
    drop(listener);
    finish(lp);
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["accepted: Some(\"server\")", "connected: Some(\"client\")"]);
}

/// Everything that may end a connection early, tried at one point of its life.
fn at_every_point<F: Future>(lp: &EventLoop, point: impl Fn(TcpStream) -> F) -> F::Output {
    let (stream, peer) = loopback::std_pair();
    let stream = adopt(lp, stream);
    loopback::reset(peer);
    block_on(lp, async { point(stream).await })
}

#[test]
fn a_reset_is_an_error_at_every_point_and_never_a_panic_or_a_hang() {
    let lp = new_loop();
    let read = at_every_point(&lp, |stream| async move { stream.read(&mut [0; 8]).await });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let write = at_every_point(&lp, |stream| async move {
        loop {
            if let Err(error) = stream.write(b"x").await {
                return error;
            }
        }
    });
    assert!(loopback::is_broken(&write), "{write}");
    let shutdown = at_every_point(&lp, |stream| async move {
        stream.readable().await.unwrap();
        stream.shutdown().await
    });
    assert!(shutdown.is_err_and(|error| error.kind() == ErrorKind::NotConnected));
    // While it connects: the peer's listener goes before it accepts.
    let (listener, address) = listener(&lp);
    let connecting = TcpStream::connect(&lp, address);
    listener.close();
    if let Ok(stream) = block_on(&lp, connecting) {
        assert!(block_on(&lp, stream.read(&mut [0; 8])).is_err());
    }
    let (refused, _held) = refused_address();
    assert_eq!(
        block_on(&lp, TcpStream::connect(&lp, refused)).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}
