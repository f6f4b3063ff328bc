//! Tasks that send and receive datagrams beside a queue, and beside errors that the network reports.

use std::io::ErrorKind;

use phaseloop::EventLoop;
use phaseloop::net::{UdpSocket, UndeliveredTo, UnixDatagram};

mod loopback;
use loopback::{block_on, localhost, ms, new_loop, turns_in};

fn bind(lp: &EventLoop) -> UdpSocket {
    UdpSocket::bind(lp, localhost()).expect("loopback has ports")
}

#[test]
fn a_refusal_that_a_send_meets_is_told_to_the_task_that_receives() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
    a.report_undelivered(UndeliveredTo::Receiver).unwrap();
    let receives = a.clone();
    let receives = lp.spawn(async move { receives.recv(&mut [0; 8]).await });
    turns_in(&lp, ms(1)); // it waits
    a.try_send_to(b"lost", &nobody).unwrap();
    a.try_send_to(b"meets it", &b.local_addr().unwrap()).unwrap();
    let error = block_on(&lp, receives).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(block_on(&lp, b.recv(&mut [0; 8])).unwrap(), 8, "the second one went");
}

#[test]
fn a_task_that_sends_does_not_overtake_what_is_queued() {
    let lp = new_loop();
    let (a, b) = UnixDatagram::pair(&lp).unwrap();
    let mut queued = 0_u32;
    while a.send_queue_len() < 3 {
        a.queue_send(&queued.to_le_bytes(), None).unwrap();
        queued += 1;
    }
    let sends = a.clone();
    let sent = lp.spawn(async move { sends.send(&u32::MAX.to_le_bytes()).await });
    block_on(&lp, async {
        for expected in (0..queued).chain([u32::MAX]) {
            let mut bytes = [0; 4];
            b.recv(&mut bytes).await.unwrap();
            assert_eq!(u32::from_le_bytes(bytes), expected);
        }
        sent.await.unwrap().unwrap();
    });
}
