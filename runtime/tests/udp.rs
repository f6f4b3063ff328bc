//! UDP with futures and with callbacks: what arrives, from whom, how much in a turn, and what becomes of what does not.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;

use phaseloop::net::{ReceiveEvent, UdpOptions, UdpSocket, Undelivered, UndeliveredTo, UnixDatagram};
use phaseloop::{ContextKey, EventLoop, Limits};

mod loopback;
use loopback::{
    Log, block_on, finish, localhost, loop_with, ms, new_loop, pattern, run, run_while, turns_in,
};

fn bind(lp: &EventLoop) -> UdpSocket {
    UdpSocket::bind(lp, localhost()).expect("loopback has ports")
}

fn addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}

/// Logs each datagram, and the kind of each error.
fn note(log: &Log) -> impl FnMut(&UdpSocket, ReceiveEvent<'_, SocketAddr>) + 'static {
    let log = log.clone();
    move |_, event| match event {
        ReceiveEvent::Datagram(datagram) => log.add(String::from_utf8_lossy(datagram.bytes)),
        ReceiveEvent::Failed(error) => log.add(format!("{:?}", error.kind())),
    }
}

/// An address at which a socket was and is no more: nobody takes it while `keeper` lives, and nobody answers there.
fn closed_port() -> SocketAddr {
    let keeper = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
    keeper.local_addr().expect("it is bound")
}

#[test]
fn what_is_sent_is_received_with_its_sender() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    block_on(&lp, async {
        a.send_to(b"one", &addr(&b)).await.unwrap();
        a.send_to(b"", &addr(&b)).await.unwrap();
        let mut buf = [0; 16];
        let one = b.recv_from(&mut buf).await.unwrap();
        assert_eq!((one.len, one.from, one.is_truncated()), (3, addr(&a), false));
        let empty = b.recv_from(&mut buf).await.unwrap();
        assert_eq!((empty.len, empty.from), (0, addr(&a)));
    });
    assert_eq!(b.try_recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_connected_socket_sends_and_receives_without_addresses() {
    let lp = new_loop();
    let (a, b, stranger) = (bind(&lp), bind(&lp), bind(&lp));
    assert_eq!(a.try_send(b"x").unwrap_err().raw_os_error(), Some(libc::EDESTADDRREQ));
    a.connect(&addr(&b)).unwrap();
    assert_eq!(a.peer_addr().unwrap(), addr(&b));
    block_on(&lp, async {
        stranger.send_to(b"not heard", &addr(&a)).await.unwrap();
        a.send(b"ping").await.unwrap();
        let mut buf = [0; 16];
        let ping = b.recv_from(&mut buf).await.unwrap();
        b.send_to(b"pong", &ping.from).await.unwrap();
        let len = a.recv(&mut buf).await.unwrap();
        assert_eq!(&buf[..len], b"pong");
        a.disconnect().unwrap();
        assert_eq!(a.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn a_datagram_that_is_too_long_for_the_room_is_reported() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    let log = Log::default();
    let noted = log.clone();
    block_on(&lp, async {
        a.send_to(&pattern(1000), &addr(&b)).await.unwrap();
        let mut buf = [0; 100];
        let received = b.recv_from(&mut buf).await.unwrap();
        assert_eq!((received.len, received.full_len, received.is_truncated()), (100, 1000, true));
        a.send_to(&pattern(1000), &addr(&b)).await.unwrap();
    });
    b.set_recv_room(300);
    b.recv_start(move |socket, event| {
        let ReceiveEvent::Datagram(datagram) = event else { panic!("{event:?}") };
        assert!(datagram.is_truncated() && datagram.bytes == &pattern(1000)[..300]);
        noted.add(datagram.full_len.to_string());
        socket.close();
    })
    .unwrap();
    run(&lp);
    assert_eq!(log.lines(), ["1000"]);
}

#[test]
fn a_datagram_that_is_too_big_fails_by_callback() {
    let lp = new_loop();
    let a = bind(&lp);
    let log = Log::default();
    let noted = log.clone();
    a.queue_send_with(&[0; 70_000], Some(&closed_port()), move |_, result| {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        noted.add("too big");
    })
    .unwrap();
    assert_eq!(log.len(), 0, "not inside the call");
    run(&lp);
    assert_eq!(log.lines(), ["too big"]);
}

#[test]
fn send_callbacks_come_in_order_and_hold_the_loop() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    let log = Log::default();
    for name in ["1", "2", "3"] {
        let noted = log.clone();
        a.queue_send_with(name.as_bytes(), Some(&addr(&b)), move |_, result| {
            result.unwrap();
            noted.add(name);
        })
        .unwrap();
    }
    drop(a);
    run(&lp);
    assert_eq!(log.lines(), ["1", "2", "3"]);
}

/// A connected pair that takes little, and says so: UDP would lose what does not fit.
fn narrow_pair(lp: &EventLoop) -> (UnixDatagram, UnixDatagram) {
    UnixDatagram::pair(lp).expect("a pair can be made")
}

#[test]
fn a_full_socket_queues_keeps_order_and_does_not_hang() {
    let lp = new_loop();
    let (a, b) = narrow_pair(&lp);
    let (sent, received) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
    for at in 0..1000_u32 {
        let sent = Rc::clone(&sent);
        let on_sent = move |_: &UnixDatagram, result: std::io::Result<()>| {
            result.unwrap();
            assert_eq!(sent.replace(sent.get() + 1), at);
        };
        a.queue_send_with(&at.to_le_bytes(), None, on_sent).unwrap();
    }
    assert!(a.send_queue_len() > 0 && a.send_queue_bytes() == a.send_queue_len() * 4);
    assert_eq!(a.try_send(b"over").unwrap_err().kind(), ErrorKind::WouldBlock);
    let kept = Rc::clone(&received);
    b.recv_start(move |socket, event| {
        let ReceiveEvent::Datagram(datagram) = event else { panic!("{event:?}") };
        kept.borrow_mut().push(u32::from_le_bytes(datagram.bytes.try_into().unwrap()));
        if kept.borrow().len() == 1000 {
            socket.close();
        }
    })
    .unwrap();
    drop((a, b));
    finish(lp);
    assert_eq!(sent.get(), 1000);
    assert!(received.borrow().iter().copied().eq(0..1000));
}

#[test]
fn the_queue_is_bounded_in_datagrams_and_bytes_and_cancelled_on_close() {
    let lp = loop_with(Limits { datagram_queue_len_max: 3, write_queue_len_max: 5000, ..Limits::default() });
    let (a, _b) = narrow_pair(&lp);
    let log = Log::default();
    let mut taken = 0;
    let refused = loop {
        let noted = log.clone();
        let on_sent = move |_: &UnixDatagram, result: std::io::Result<()>| {
            noted.add(if result.is_err_and(|e| loopback::is_cancelled(&e)) { "cancelled" } else { "sent" });
        };
        match a.queue_send_with(&[0; 100], None, on_sent) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 10_000);
    };
    assert!(refused.kind() == ErrorKind::WouldBlock && refused.to_string().contains('3'), "{refused}");
    let long = a.queue_send(&[0; 6000], None).unwrap_err();
    assert!(long.kind() == ErrorKind::InvalidInput && long.to_string().contains("5000"), "{long}");
    a.close();
    run(&lp);
    let lines = log.lines();
    assert_eq!(lines.iter().filter(|line| *line == "cancelled").count(), 3);
    assert_eq!(lines.len(), taken);
}

#[test]
fn a_failure_in_a_batch_completes_the_rest() {
    let lp = new_loop();
    let (a, b) = narrow_pair(&lp);
    while a.send_queue_len() == 0 {
        a.queue_send(b"filler", None).unwrap();
    }
    let log = Log::default();
    let queue = |name: &'static str, bytes: &[u8]| {
        let noted = log.clone();
        let on_sent = move |_: &UnixDatagram, result: std::io::Result<()>| {
            noted.add(format!("{name} {}", if result.is_ok() { "sent" } else { "failed" }));
        };
        a.queue_send_with(bytes, None, on_sent).unwrap();
    };
    queue("small", b"1");
    queue("huge", &vec![0; 4_000_000]); // more than the socket's buffer can ever hold
    queue("last", b"3");
    b.recv_start(|socket, event| {
        if matches!(event, ReceiveEvent::Datagram(datagram) if datagram.bytes == b"3") {
            socket.close();
        }
    })
    .unwrap();
    drop((a, b));
    finish(lp);
    assert_eq!(log.lines(), ["small sent", "huge failed", "last sent"]);
}

#[test]
fn a_turn_receives_no_more_than_its_budget() {
    let lp = loop_with(Limits { datagrams_per_turn: 10.try_into().unwrap(), ..Limits::default() });
    let (a, b) = (bind(&lp), bind(&lp));
    for room in [65_535, 1024] {
        for _ in 0..25 {
            a.try_send_to(b"x", &addr(&b)).unwrap();
        }
        b.set_recv_room(room);
        let turns = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&turns);
        b.recv_start(move |socket, _| {
            noted.borrow_mut().push(socket.lp().metrics().turns);
            if noted.borrow().len() == 25 {
                socket.recv_stop();
            }
        })
        .unwrap();
        run(&lp);
        let turns = turns.take();
        let in_turn = |turn| turns.iter().filter(|other| **other == turn).count();
        assert!(turns.iter().all(|turn| in_turn(*turn) <= 10), "{turns:?}");
        assert_eq!(turns.len(), 25);
    }
}

#[test]
fn datagrams_of_any_length_that_come_together_arrive_whole() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    let sent: Vec<Vec<u8>> = [1, 40_000, 3, 0, 50_000, 7, 64, 9, 8, 10, 11]
        .iter()
        .zip(1..)
        .map(|(len, fill)| vec![fill; *len])
        .collect();
    for bytes in &sent {
        a.try_send_to(bytes, &addr(&b)).unwrap();
    }
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (noted, expected) = (Rc::clone(&seen), sent.len());
    b.recv_start(move |socket, event| {
        let ReceiveEvent::Datagram(datagram) = event else { panic!("{event:?}") };
        assert!(!datagram.is_truncated());
        noted.borrow_mut().push(datagram.bytes.to_vec());
        if noted.borrow().len() == expected {
            socket.close();
        }
    })
    .unwrap();
    run(&lp);
    assert!(*seen.borrow() == sent);
}

#[test]
fn stopping_in_mid_batch_loses_nothing() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    for at in 0..10_u8 {
        a.try_send_to(&[at], &addr(&b)).unwrap();
    }
    b.set_recv_room(64); // all ten come with one call
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&seen);
    b.recv_start(move |socket, event| {
        let ReceiveEvent::Datagram(datagram) = event else { panic!("{event:?}") };
        noted.borrow_mut().push(datagram.bytes[0]);
        if noted.borrow().len() % 3 == 0 {
            socket.recv_stop();
        }
    })
    .unwrap();
    run(&lp);
    assert_eq!(*seen.borrow(), [0, 1, 2], "stopped at once");
    let mut buf = [0; 8];
    block_on(&lp, b.recv(&mut buf)).unwrap(); // the future front goes on where the callbacks ended
    assert_eq!(buf[0], 3);
    let noted = Rc::clone(&seen);
    b.recv_start(move |socket, event| {
        let ReceiveEvent::Datagram(datagram) = event else { panic!("{event:?}") };
        noted.borrow_mut().push(datagram.bytes[0]);
        if datagram.bytes[0] == 9 {
            socket.close();
        }
    })
    .unwrap();
    run(&lp);
    assert_eq!(*seen.borrow(), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_refused_datagram_is_told_to_the_receiver_where_chosen() {
    let lp = new_loop();
    let nobody = closed_port();
    let a = bind(&lp);
    a.report_undelivered(UndeliveredTo::Receiver).unwrap();
    let log = Log::default();
    let noted = log.clone();
    a.recv_start(move |socket, event| {
        let ReceiveEvent::Failed(error) = event else { panic!("{event:?}") };
        let told = error.get_ref().and_then(|inner| inner.downcast_ref::<Undelivered>()).copied();
        assert_eq!(told, Some(Undelivered { to: Some(nobody), code: libc::ECONNREFUSED }));
        noted.add(format!("{:?}", error.kind()));
        if noted.len() == 2 {
            socket.close();
        }
    })
    .unwrap();
    // Neither of them is connected to anybody, and the sends themselves succeed.
    block_on(&lp, a.send_to(b"x", &nobody)).unwrap();
    block_on(&lp, a.send_to(b"y", &nobody)).unwrap();
    run(&lp);
    assert_eq!(log.lines(), ["ConnectionRefused", "ConnectionRefused"]);
}

#[test]
fn a_refused_datagram_is_told_to_the_sender_where_chosen() {
    let lp = new_loop();
    let nobody = closed_port();
    let (a, b) = (bind(&lp), bind(&lp));
    a.report_undelivered(UndeliveredTo::Sender).unwrap();
    let log = Log::default();
    a.recv_start(note(&log)).unwrap();
    a.try_send_to(b"lost", &nobody).unwrap();
    b.try_send_to(b"hello", &addr(&a)).unwrap();
    run_while(&lp, || log.len() < 1);
    assert_eq!(log.lines(), ["hello"], "the receiver hears of no error");
    let error = a.try_send_to(b"next", &addr(&b)).unwrap_err();
    assert!(error.to_string().contains(&nobody.to_string()), "{error}");
    a.try_send_to(b"and on", &addr(&b)).unwrap();
    a.close();
}

#[test]
fn a_connected_socket_hears_of_a_refusal_and_goes_on() {
    let lp = new_loop();
    let nobody = closed_port();
    let a = bind(&lp);
    a.connect(&nobody).unwrap();
    let log = Log::default();
    a.recv_start(note(&log)).unwrap();
    a.try_send(b"x").unwrap();
    run_while(&lp, || log.len() < 1);
    assert_eq!(log.lines(), ["ConnectionRefused"]);
    let revived = UdpSocket::bind(&lp, nobody).unwrap();
    revived.try_send_to(b"back", &addr(&a)).unwrap();
    run_while(&lp, || log.len() < 2);
    assert_eq!(log.lines()[1], "back");
    a.close();
}

#[test]
fn a_socket_may_be_closed_in_its_callback_with_an_error_pending() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    a.report_undelivered(UndeliveredTo::Receiver).unwrap();
    a.try_send_to(b"x", &closed_port()).unwrap(); // its error is pending when the datagram is read
    b.try_send_to(b"hello", &addr(&a)).unwrap();
    b.try_send_to(b"hello again", &addr(&a)).unwrap();
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    a.recv_start(move |socket, _| {
        counted.set(counted.get() + 1);
        socket.close();
    })
    .unwrap();
    drop((a, b));
    finish(lp);
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_silent_or_unreferenced_receiver_neither_spins_nor_holds_the_loop() {
    let lp = new_loop();
    let a = bind(&lp);
    a.recv_start(|_, event| panic!("{event:?}")).unwrap();
    let turns = turns_in(&lp, ms(20));
    assert!(turns < 20, "{turns} turns");
    a.unref();
    run(&lp);
    a.ref_();
    assert!(lp.is_alive() && a.has_ref());
    a.close();
    run(&lp);
    assert!(a.is_closed() && !a.has_ref());
    assert_eq!(a.recv_start(|_, _| {}).unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(a.try_send(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn options_hold() {
    let lp = new_loop();
    let a = bind(&lp);
    a.set_ttl(7).unwrap();
    assert_eq!(a.ttl().unwrap(), 7);
    a.set_tos(0x10).unwrap();
    assert_eq!(socket2::SockRef::from(&a).tos_v4().unwrap(), 0x10);
    let mut shared = UdpOptions::default();
    shared.reuse_port = true;
    shared.recv_buffer_len = Some(200_000);
    let b = UdpSocket::bind_with(&lp, localhost(), &shared).unwrap();
    assert!(socket2::SockRef::from(&b).recv_buffer_size().unwrap() >= 200_000);
    assert_eq!(UdpSocket::bind(&lp, addr(&b)).unwrap_err().kind(), ErrorKind::AddrInUse);
    let c = UdpSocket::bind_with(&lp, addr(&b), &shared).unwrap();
    assert_eq!(addr(&b), addr(&c));
    let mut only = UdpOptions::default();
    only.only_v6 = Some(true);
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    if let Ok(d) = UdpSocket::bind_with(&lp, six, &only) {
        assert!(socket2::SockRef::from(&d).only_v6().unwrap());
        d.set_ttl(9).unwrap();
        assert_eq!(d.ttl().unwrap(), 9);
        d.report_undelivered(UndeliveredTo::Receiver).unwrap();
    }
}

#[test]
fn sockets_that_share_a_port_share_what_comes() {
    let lp = new_loop();
    let mut shared = UdpOptions::default();
    shared.reuse_port = true;
    let first = UdpSocket::bind_with(&lp, localhost(), &shared).unwrap();
    let others: Vec<_> = (0..3).map(|_| UdpSocket::bind_with(&lp, addr(&first), &shared).unwrap()).collect();
    let counts = Rc::new(RefCell::new(vec![0; 4]));
    for (at, socket) in std::iter::once(&first).chain(&others).enumerate() {
        let counts = Rc::clone(&counts);
        socket.recv_start(move |_, _| counts.borrow_mut()[at] += 1).unwrap();
    }
    for _ in 0..100 {
        bind(&lp).try_send_to(b"x", &addr(&first)).unwrap();
    }
    run_while(&lp, || counts.borrow().iter().sum::<u32>() < 100);
    assert!(counts.borrow().iter().filter(|count| **count > 0).count() > 1, "{counts:?}");
    others.iter().chain([&first]).for_each(UdpSocket::close);
}

#[test]
fn the_kernel_cuts_and_joins_or_says_that_it_can_not() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    let segment = std::num::NonZeroU16::new(100).unwrap();
    let bytes = pattern(1050);
    let sent = block_on(&lp, a.send_segments(&bytes, segment, Some(&addr(&b))));
    if !a.can_send_segments() {
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::Unsupported);
        return;
    }
    assert_eq!(sent.unwrap(), 1050);
    block_on(&lp, async {
        let (mut buf, mut all) = ([0; 2000], Vec::new());
        for _ in 0..11 {
            let len = b.recv(&mut buf).await.unwrap();
            all.extend_from_slice(&buf[..len]);
        }
        assert!(all == bytes && all.len() == 1050, "cut where joining was not asked for");
        b.set_join_segments(true).unwrap();
        a.connect(&addr(&b)).unwrap();
        a.send_segments(&bytes, segment, None).await.unwrap();
        let mut whole = vec![0; 65_535];
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            let received = b.recv_from(&mut whole).await.unwrap();
            let lens = (received.len, received.segment_len);
            assert!(lens == (1050, Some(100)) || received.len <= 100, "joined and told, or whole: {lens:?}");
            got.extend_from_slice(&whole[..received.len]);
        }
        assert!(got == bytes);
    });
}

static WHO: ContextKey<u8> = ContextKey::new();

#[test]
fn callbacks_have_the_context_of_their_registration_and_a_panic_loses_nothing() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    let log = Log::default();
    let noted = log.clone();
    lp.on_uncaught(|_, _| {});
    b.set_recv_room(64);
    WHO.scope(&lp, 5, || {
        b.recv_start(move |socket, event| {
            let ReceiveEvent::Datagram(datagram) = event else { panic!("{event:?}") };
            noted.add(format!("{:?} {:?}", datagram.bytes[0], WHO.get(socket.lp()).as_deref()));
            assert!(datagram.bytes[0] != 1, "the second one panics");
            if datagram.bytes[0] == 3 {
                socket.close();
            }
        })
        .unwrap();
    });
    for at in 0..4 {
        a.try_send_to(&[at], &addr(&b)).unwrap();
    }
    run(&lp);
    assert_eq!(log.lines(), ["0 Some(5)", "1 Some(5)", "2 Some(5)", "3 Some(5)"]);
}

#[test]
fn sockets_of_std_come_and_go_and_others_are_refused() {
    let lp = new_loop();
    let socket = UdpSocket::from_std(&lp, std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    drop(socket.into_std().unwrap());
    let (unix, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let error = UdpSocket::from_fd(&lp, unix.into()).unwrap_err();
    assert!(error.to_string().contains("no UdpSocket"), "{error}");
    finish(lp);
}
