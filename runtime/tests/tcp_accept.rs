//! Listening and connecting on TCP, with both fronts.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read};
use std::net::TcpStream as Peer;
use std::rc::Rc;

use futures::StreamExt;
use phaseloop::Limits;
use phaseloop::net::{ListenOptions, ReadEvent, TcpListener, TcpStream};

mod loopback;
use loopback::{
    Dropped, Log, block_on, finish, localhost, loop_with, ms, new_loop, refused_address, run, run_while,
    turns_in,
};

// --- connecting -------------------------------------------------------------------------------------------------------

#[test]
fn a_refused_connect_calls_back_once_in_pending() {
    let lp = new_loop();
    let (address, _held) = refused_address();
    let log = Log::default();
    let calls = log.clone();
    let prepares = log.clone();
    let prepare = phaseloop::Prepare::new(&lp);
    prepare.start(move |_| prepares.add("prepare")).unwrap();
    let check = phaseloop::Check::new(&lp);
    check.start(|_| panic!("pending runs before check")).unwrap();
    TcpStream::connect_with(&lp, address, move |_, connected| {
        calls.add(format!("{:?}", connected.unwrap_err().kind()));
        prepare.close();
        check.close();
    });
    let deferred = log.clone();
    lp.defer(move |_| deferred.add("deferred"));
    assert_eq!(log.len(), 0);
    finish(lp);
    // The system may know at once, or report it in poll, after which pending runs again.
    let lines = log.lines();
    assert!(
        lines == ["deferred", "ConnectionRefused"] || lines == ["deferred", "prepare", "ConnectionRefused"]
    );
}

#[test]
fn a_refused_connect_fails_its_future_and_leaves_nothing() {
    let lp = new_loop();
    let (address, _held) = refused_address();
    let connected = block_on(&lp, TcpStream::connect(&lp, address));
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    finish(lp);
}

#[test]
fn a_connect_that_cannot_begin_reports_by_callback_too() {
    let lp = new_loop();
    let called = Rc::new(Cell::new(0));
    let calls = Rc::clone(&called);
    // Port 0 can not be connected to.
    TcpStream::connect_with(&lp, localhost(), move |_, connected| {
        assert!(connected.is_err());
        calls.set(calls.get() + 1);
    });
    assert_eq!(called.get(), 0);
    finish(lp);
    assert_eq!(called.get(), 1);
}

#[test]
fn a_connect_that_is_closed_while_it_connects_is_cancelled_once() {
    let lp = new_loop();
    let listener = std::net::TcpListener::bind(localhost()).unwrap();
    let log = Log::default();
    let calls = log.clone();
    let connecting = TcpStream::connect_with(&lp, listener.local_addr().unwrap(), move |_, connected| {
        let error = connected.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        calls.add("cancelled");
    });
    connecting.close();
    connecting.close();
    assert_eq!(log.len(), 0, "not inside the call");
    finish(lp);
    assert_eq!(log.lines(), ["cancelled"]);
    connecting.close();
}

#[test]
fn a_connect_calls_back_with_a_stream() {
    let lp = new_loop();
    let listener = std::net::TcpListener::bind(localhost()).unwrap();
    let log = Log::default();
    let calls = log.clone();
    TcpStream::connect_with(&lp, listener.local_addr().unwrap(), move |_, connected| {
        let stream = connected.unwrap();
        calls.add("connected");
        stream.queue_write(b"hello").unwrap();
    });
    assert_eq!(log.len(), 0);
    finish(lp);
    assert_eq!(log.lines(), ["connected"]);
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn a_stream_may_be_closed_where_it_is_connected() {
    let lp = new_loop();
    let listener = std::net::TcpListener::bind(localhost()).unwrap();
    let log = Log::default();
    let calls = log.clone();
    TcpStream::connect_with(&lp, listener.local_addr().unwrap(), move |_, connected| {
        calls.add("connected");
        connected.unwrap().close_with(move |_| calls.add("closed"));
    });
    finish(lp);
    assert_eq!(log.lines(), ["connected", "closed"]);
}

/// A listener whose backlog is full, so that a further connect gets no answer. To be held, all of it.
fn full_listener() -> (socket2::Socket, Vec<socket2::Socket>) {
    let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let listener = new();
    listener.bind(&localhost().into()).expect("loopback has ports");
    listener.listen(0).expect("it is bound");
    let address = listener.local_addr().expect("it is bound");
    let waiting = (0..8).map(|_| {
        let socket = new();
        socket.set_nonblocking(true).expect("any socket can be");
        let _under_way = socket.connect(&address);
        socket
    });
    let waiting = waiting.collect();
    (listener, waiting)
}

#[test]
fn a_connect_without_an_answer_is_given_up() {
    let lp = new_loop();
    let (listener, _waiting) = full_listener();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let connected = block_on(&lp, lp.timeout(ms(20), TcpStream::connect(&lp, address)));
    connected.unwrap_err(); // the time was up
    finish(lp); // and the socket is gone with the future
}

#[test]
fn a_connect_that_nobody_awaits_any_more_is_closed() {
    let lp = new_loop();
    let (listener, _waiting) = full_listener();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let connecting = TcpStream::connect(&lp, address);
    lp.walk(|info| assert!(info.to_string().starts_with("TcpStream (inactive) from runtime/tests/")));
    drop(connecting);
    let task = {
        let lp = lp.handle();
        lp.clone().spawn(async move { TcpStream::connect(&lp, address).await.is_ok() })
    };
    turns_in(&lp, ms(5));
    task.abort();
    assert!(block_on(&lp, task).unwrap_err().is_cancelled());
    finish(lp);
}

#[test]
fn a_connect_callback_is_dropped_with_its_loop() {
    let lp = new_loop();
    let (listener, _waiting) = full_listener();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let (dropped, drops) = Dropped::new();
    TcpStream::connect_with(&lp, address, move |_, _| {
        dropped.keep();
        panic!("the loop is gone");
    });
    turns_in(&lp, ms(5));
    drop(lp);
    assert_eq!(drops.get(), 1);
}

// --- accepting --------------------------------------------------------------------------------------------------------

#[test]
fn connections_from_before_are_accepted_late() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let _peers: Vec<Peer> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
    turns_in(&lp, ms(5)); // the event comes while nobody accepts
    block_on(&lp, listener.accept()).unwrap();
    let accepted = Rc::new(Cell::new(0));
    let count = Rc::clone(&accepted);
    listener
        .on_connection(move |listener, connection| {
            connection.unwrap();
            count.set(count.get() + 1);
            if count.get() == 2 {
                listener.close();
            }
        })
        .unwrap();
    drop(listener);
    finish(lp);
    assert_eq!(accepted.get(), 2);
}

#[test]
fn an_address_that_is_listened_on_is_refused_at_bind() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let again = TcpListener::bind(&lp, listener.local_addr().unwrap());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);
    finish(lp);
}

#[test]
fn listeners_that_agree_share_a_port() {
    let lp = new_loop();
    let mut options = ListenOptions::default();
    options.reuse_port = true;
    let one = TcpListener::bind_with(&lp, localhost(), &options).unwrap();
    let other = TcpListener::bind_with(&lp, one.local_addr().unwrap(), &options).unwrap();
    let accepted = Rc::new(Cell::new(0));
    for listener in [&one, &other] {
        let count = Rc::clone(&accepted);
        listener
            .on_connection(move |_, connection| connection.map(|_| count.set(count.get() + 1)).unwrap())
            .unwrap();
    }
    let address = one.local_addr().unwrap();
    let _peers: Vec<Peer> = (0..20).map(|_| Peer::connect(address).unwrap()).collect();
    run_while(&lp, || accepted.get() < 20);
    one.close();
    other.close();
    finish(lp);
}

#[test]
fn a_second_connection_callback_replaces_the_first() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let (dropped, drops) = Dropped::new();
    listener
        .on_connection(move |_, _| {
            dropped.keep();
            panic!("it was replaced");
        })
        .unwrap();
    let log = Log::default();
    let calls = log.clone();
    listener
        .on_connection(move |listener, _| {
            calls.add("first");
            let calls = calls.clone();
            let next = listener.on_connection(move |listener, _| {
                calls.add("second");
                listener.close();
            });
            next.unwrap();
        })
        .unwrap();
    assert_eq!(drops.get(), 1);
    let address = listener.local_addr().unwrap();
    let _peers = (Peer::connect(address).unwrap(), Peer::connect(address).unwrap());
    drop(listener);
    finish(lp);
    assert_eq!(log.lines(), ["first", "second"]);
}

#[test]
fn a_listener_may_be_closed_in_its_callback() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let peers: Vec<Peer> = (0..5).map(|_| Peer::connect(address).unwrap()).collect();
    let log = Log::default();
    let (dropped, drops) = Dropped::new();
    let (calls, own) = (log.clone(), listener.clone());
    listener
        .on_connection(move |_, connection| {
            dropped.keep();
            calls.add("connection");
            connection.unwrap().close();
            let calls = calls.clone();
            assert!(own.close_with(move |_| calls.add("closed")));
            assert!(own.on_connection(|_, _| {}).is_err());
        })
        .unwrap();
    drop(listener);
    finish(lp);
    assert_eq!(log.lines(), ["connection", "closed"]);
    assert_eq!(drops.get(), 1);
    assert!(Peer::connect(address).is_err());
    drop(peers);
}

#[test]
fn closing_others_while_accepting_touches_nothing_dead() {
    // Events of the streams and of the listener are in one batch; whichever comes first closes all the others.
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Rc::new(Cell::new(0));
    let all = Rc::new(RefCell::new(Vec::new()));
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Peer::connect(address).unwrap());
        let (stream, _) = block_on(&lp, listener.accept()).unwrap();
        let (count, others) = (Rc::clone(&calls), Rc::clone(&all));
        stream
            .read_start(move |_, _| {
                count.set(count.get() + 1);
                others.take().iter().for_each(TcpStream::close);
            })
            .unwrap();
        all.borrow_mut().push(stream);
    }
    let (count, others) = (Rc::clone(&calls), Rc::clone(&all));
    listener
        .on_connection(move |listener, _| {
            count.set(count.get() + 1);
            others.take().iter().for_each(TcpStream::close);
            listener.close();
        })
        .unwrap();
    peers.push(Peer::connect(address).unwrap());
    for mut peer in &peers {
        std::io::Write::write_all(&mut peer, b"x").unwrap();
    }
    drop(listener);
    finish(lp);
    assert!((1..=2).contains(&calls.get()), "{} callbacks ran", calls.get());
    assert!(all.borrow().is_empty());
}

#[test]
fn a_dropped_accept_loses_no_connection() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    block_on(&lp, async {
        for round in 0..10 {
            // Given up before, while, and after the connection comes.
            assert!(lp.timeout(ms(0), listener.accept()).await.is_err());
            let peer = Peer::connect(address).unwrap();
            drop(listener.accept());
            if round % 2 == 0 {
                lp.sleep(ms(1)).await;
            }
            let (stream, from) = listener.accept().await.unwrap();
            assert_eq!(from, peer.local_addr().unwrap());
            assert_eq!(stream.peer_addr().unwrap(), from);
        }
    });
    drop(listener);
    finish(lp);
}

#[test]
fn connections_can_be_had_as_a_stream() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let _peers: Vec<Peer> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
    let streams: Vec<_> = block_on(&lp, listener.incoming().take(3).collect());
    assert!(streams.iter().all(Result::is_ok));
    drop((streams, listener));
    finish(lp);
}

#[test]
fn a_turn_accepts_no_more_than_its_budget() {
    let lp = loop_with(Limits {
        accepts_per_turn: std::num::NonZeroU32::new(3).expect("not zero"),
        ..Limits::default()
    });
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let _peers: Vec<Peer> = (0..20).map(|_| Peer::connect(address).unwrap()).collect();
    let turns = Rc::new(RefCell::new(Vec::new()));
    accept_twenty(&listener, Rc::clone(&turns));
    drop(listener);
    finish(lp);
    let turns = turns.borrow();
    let most = turns.iter().map(|turn| turns.iter().filter(|other| *other == turn).count()).max();
    assert_eq!((turns.len(), most), (20, Some(3)));
}

/// Notes the turn of each connection, with a callback that is replaced each time.
fn accept_twenty(listener: &TcpListener, turns: Rc<RefCell<Vec<u64>>>) {
    let started = listener.on_connection(move |listener, connection| {
        connection.expect("nothing is short");
        turns.borrow_mut().push(listener.lp().metrics().turns);
        match turns.borrow().len() {
            20 => listener.close(),
            _ => accept_twenty(listener, Rc::clone(&turns)),
        }
    });
    started.expect("the listener is open");
}

#[test]
fn a_listener_without_anybody_who_accepts_does_not_spin() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let _peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    let turns = turns_in(&lp, ms(30));
    assert!(turns < 10, "{turns} turns");
    drop(listener);
    finish(lp);
}

#[test]
fn callbacks_that_own_their_listener_are_dropped_with_the_loop() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let (dropped, drops) = Dropped::new();
    let own = listener.clone();
    listener
        .on_connection(move |_, _| {
            dropped.keep();
            let _cycle = &own;
        })
        .unwrap();
    drop(listener);
    drop(lp);
    assert_eq!(drops.get(), 1);
    assert!(Peer::connect(address).is_err());
}

#[test]
fn an_unreferenced_listener_does_not_hold_the_loop() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    listener.on_connection(|_, _| {}).unwrap();
    listener.unref();
    run(&lp);
    listener.ref_();
    assert!(lp.is_alive());
    listener.close();
    finish(lp);
}

#[test]
fn a_connection_that_was_reset_in_the_backlog_stops_nobody() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    loopback::reset(Peer::connect(address).unwrap());
    let good = Peer::connect(address).unwrap();
    let log = Log::default();
    let (calls, expected) = (log.clone(), good.local_addr().unwrap());
    listener
        .on_connection(move |listener, connection| {
            let Ok(stream) = connection else { return calls.add("failed") };
            if stream.peer_addr().ok() == Some(expected) {
                calls.add("good");
                return listener.close();
            }
            let calls = calls.clone();
            let reading = stream.read_start(move |_, event| {
                assert!(matches!(event, ReadEvent::Failed(_)));
                calls.add("failed");
            });
            reading.unwrap();
        })
        .unwrap();
    drop(listener);
    finish(lp);
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["failed", "good"]);
}

#[test]
fn a_task_that_goes_on_after_a_listener_was_closed_neither_hangs_nor_spins() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let errors = Rc::new(Cell::new(0_u128));
    let (failed, accepts) = (Rc::clone(&errors), listener.clone());
    let began = std::time::Instant::now();
    let server = lp.spawn(async move {
        loop {
            let error = accepts.accept().await.unwrap_err(); // and on at once, as many programs do
            assert_eq!(error.kind(), ErrorKind::NotConnected);
            failed.set(failed.get() + 1);
        }
    });
    listener.close();
    let turns = turns_in(&lp, ms(20));
    assert!(turns < 20, "{turns} turns passed");
    run_while(&lp, || errors.get() < 3);
    assert!(errors.get() <= 2 + began.elapsed().as_millis() / 50, "{} errors", errors.get());
    server.abort();
    drop((server, listener));
    finish(lp);
}

#[test]
fn a_listener_that_somebody_has_shut_down_does_not_spin() {
    use std::os::fd::AsFd;
    for by_callback in [true, false] {
        let lp = new_loop();
        let listener = TcpListener::bind(&lp, localhost()).unwrap();
        rustix::net::shutdown(listener.as_fd(), rustix::net::Shutdown::Both).unwrap();
        let errors = Rc::new(Cell::new(0_u128));
        let failed = Rc::clone(&errors);
        let note = move |accepted: std::io::Result<TcpStream>| {
            assert_eq!(accepted.unwrap_err().kind(), ErrorKind::InvalidInput);
            failed.set(failed.get() + 1);
        };
        let began = std::time::Instant::now();
        let accepts = listener.clone();
        let task = match by_callback {
            true => {
                listener.on_connection(move |_, accepted| note(accepted)).unwrap();
                lp.spawn(async {})
            }
            false => lp.spawn(async move {
                loop {
                    note(accepts.accept().await.map(|(stream, _)| stream));
                }
            }),
        };
        let turns = turns_in(&lp, ms(20));
        assert!(turns < 20, "{turns} turns passed");
        run_while(&lp, || errors.get() < 2);
        assert!(errors.get() <= 1 + began.elapsed().as_millis() / 50, "{} errors", errors.get());
        task.abort();
        listener.close();
        drop((task, listener));
        finish(lp);
    }
}
