//! Datagrams over Unix sockets: names, senders, files.

use std::io::ErrorKind;
use std::process;

use phaseloop::net::{ReceiveEvent, UnixAddr, UnixDatagram};

mod loopback;
use loopback::{Folder, Log, block_on, finish, new_loop, run};

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
