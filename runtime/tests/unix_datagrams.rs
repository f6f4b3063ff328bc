//! Datagrams over Unix sockets: names, senders, files.

use std::io::ErrorKind;
use std::process;

use phaseloop::net::{ReceiveEvent, UnixAddr, UnixDatagram};

mod loopback;
use loopback::{Folder, Log, block_on, finish, ms, new_loop, run, run_while, turns_in};

#[test]
fn named_sockets_answer_each_other() {
    let (lp, folder) = (new_loop(), Folder::new());
    let (path, other) = (folder.path().join("a"), folder.path().join("b"));
    let (a, b) = (UnixDatagram::bind(&lp, &path).unwrap(), UnixDatagram::bind(&lp, &other).unwrap());
    block_on(&lp, async {
        a.send_to(b"question", &UnixAddr::from(&other)).await.unwrap();
        let mut buf = [0; 16];
        let question = b.recv_from(&mut buf).await.unwrap();
        assert_eq!(question.from, UnixAddr::from(&path));
        b.send_to(b"answer", &question.from).await.unwrap();
        assert_eq!(a.recv(&mut buf).await.unwrap(), 6);
    });
    assert_eq!(UnixDatagram::bind(&lp, &path).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(a);
    assert!(!path.exists());
    b.close();
    assert!(!other.exists());
    drop(b);
    finish(lp);
}

#[test]
fn a_socket_without_a_name_sends_and_is_unnamed() {
    let lp = new_loop();
    let name = UnixAddr::abstract_name(format!("phaseloop-datagram-{}", process::id()));
    let b = UnixDatagram::bind(&lp, &name).unwrap();
    let a = UnixDatagram::unbound(&lp).unwrap();
    a.connect(&name).unwrap();
    let log = Log::default();
    let noted = log.clone();
    b.recv_start(move |socket, event| {
        let ReceiveEvent::Datagram(datagram) = event else { panic!("{event:?}") };
        noted.add(format!("{} {:?}", datagram.bytes.len(), datagram.from));
        if datagram.bytes.is_empty() {
            socket.close();
        }
    })
    .unwrap();
    a.try_send(b"abc").unwrap();
    a.try_send(b"").unwrap();
    run(&lp);
    assert_eq!(log.lines(), ["3 (unnamed)", "0 (unnamed)"]);
    // The peer is gone now, which a connected socket hears.
    assert_eq!(a.try_send(b"x").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let long = UnixAddr::abstract_name(vec![b'x'; 200]);
    assert!(a.connect(&long).unwrap_err().to_string().contains("107"));
    drop((a, b));
    finish(lp);
}

/// Sends until the peer's queue is full, and gives how many went.
fn fill(from: &UnixDatagram, to: &UnixAddr) -> usize {
    for sent in 0..100_000 {
        match from.try_send_to(&[0; 100], to) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return sent;
            }
        }
    }
    panic!("a queue has an end");
}

#[test]
fn a_peer_that_is_full_neither_spins_nor_hangs_whoever_filled_it() {
    for by_others in [false, true] {
        let lp = new_loop();
        let name = UnixAddr::abstract_name(format!("phaseloop-full-{}-{by_others}", process::id()));
        let (a, c) = (UnixDatagram::unbound(&lp).unwrap(), UnixDatagram::unbound(&lp).unwrap());
        let b = UnixDatagram::bind(&lp, &name).unwrap();
        let full = fill(if by_others { &c } else { &a }, &name);
        let log = Log::default();
        let noted = log.clone();
        a.queue_send_with(b"queued", Some(&name), move |_, sent| noted.add(format!("{sent:?}"))).unwrap();
        let (d, to) = (UnixDatagram::unbound(&lp).unwrap(), name.clone());
        let awaited = lp.spawn(async move { d.send_to(b"awaited", &to).await });
        let turns = turns_in(&lp, ms(50));
        assert!(turns < 40, "{turns} turns passed while nobody received");
        assert!(log.len() == 0 && !awaited.is_finished());
        let mut buf = [0; 200];
        (0..full).for_each(|_| assert_eq!(b.try_recv_from(&mut buf).unwrap().len, 100));
        run_while(&lp, || log.len() == 0 || !awaited.is_finished());
        assert_eq!(log.lines(), ["Ok(())"]);
        block_on(&lp, awaited).unwrap().unwrap();
        let mut lens = [b.try_recv_from(&mut buf).unwrap().len, b.try_recv_from(&mut buf).unwrap().len];
        lens.sort_unstable();
        assert_eq!(lens, [6, 7]);
    }
}

#[test]
fn a_peer_that_is_full_holds_up_no_other() {
    let lp = new_loop();
    let name = |what: &str| UnixAddr::abstract_name(format!("phaseloop-{what}-{}", process::id()));
    let (a, filler) = (UnixDatagram::unbound(&lp).unwrap(), UnixDatagram::unbound(&lp).unwrap());
    let (stuck, healthy) = (name("stuck"), name("healthy"));
    let b = UnixDatagram::bind(&lp, &stuck).unwrap();
    let c = UnixDatagram::bind(&lp, &healthy).unwrap();
    let full = fill(&filler, &stuck);
    let send = |to: &UnixAddr| {
        let (a, to) = (a.clone(), to.clone());
        async move { a.send_to(b"x", &to).await }
    };
    let stuck: Vec<_> = (0..3).map(|_| lp.spawn(send(&stuck))).collect();
    turns_in(&lp, ms(1));
    block_on(&lp, async {
        for _ in 0..100 {
            send(&healthy).await.unwrap();
            assert_eq!(c.recv(&mut [0; 8]).await.unwrap(), 1);
        }
    });
    assert!(!stuck.iter().any(|task| task.is_finished()));
    (0..full).for_each(|_| drop(b.try_recv_from(&mut [0; 200]).unwrap()));
    for task in stuck {
        assert_eq!(block_on(&lp, task).unwrap().unwrap(), 1);
    }
}
