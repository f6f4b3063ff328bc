//! UDP to many: groups, sources and broadcast.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use phaseloop::EventLoop;
use phaseloop::net::{Interface, UdpSocket};

mod loopback;
use loopback::{block_on, localhost, new_loop};

fn bind(lp: &EventLoop) -> UdpSocket {
    UdpSocket::bind(lp, localhost()).expect("loopback has ports")
}

fn addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}

#[test]
fn a_group_is_joined_and_left() {
    let lp = new_loop();
    let group = Ipv4Addr::new(239, 255, 77, 1);
    let on_loopback = Interface::Address(Ipv4Addr::LOCALHOST);
    let a = bind(&lp);
    let b = UdpSocket::bind(&lp, SocketAddr::from(([0, 0, 0, 0], 0))).unwrap();
    let to = SocketAddr::from((group, addr(&b).port()));
    a.set_multicast_interface(on_loopback).unwrap();
    a.set_multicast_ttl(1).unwrap();
    a.set_multicast_loop(true).unwrap();
    b.join_multicast(group.into(), on_loopback).unwrap();
    let again = b.join_multicast(group.into(), on_loopback).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AddrInUse);
    let mut buf = [0; 16];
    block_on(&lp, async {
        a.send_to(b"to all", &to).await.unwrap();
        let received = b.recv_from(&mut buf).await.unwrap();
        assert_eq!((&buf[..received.len], received.from), (&b"to all"[..], addr(&a)));
        b.leave_multicast(group.into(), on_loopback).unwrap();
        a.send_to(b"unheard", &to).await.unwrap();
        a.send_to(b"direct", &SocketAddr::from(([127, 0, 0, 1], to.port()))).await.unwrap();
        let received = b.recv_from(&mut buf).await.unwrap();
        assert_eq!(&buf[..received.len], b"direct");
    });
    assert!(b.leave_multicast(group.into(), on_loopback).is_err());
    assert!(b.join_multicast(Ipv4Addr::LOCALHOST.into(), on_loopback).is_err(), "no group");
}

#[test]
fn a_source_is_heard_and_others_are_not() {
    let lp = new_loop();
    let group = IpAddr::from(Ipv4Addr::new(232, 1, 77, 1));
    let loopback_index = std::num::NonZeroU32::MIN; // the number of `lo`
    let sender = |ip: [u8; 4]| {
        let socket = UdpSocket::bind(&lp, SocketAddr::from((ip, 0))).unwrap();
        socket.set_multicast_interface(Interface::Index(loopback_index)).unwrap();
        socket
    };
    let (known, stranger) = (sender([127, 0, 0, 2]), sender([127, 0, 0, 3]));
    let source = IpAddr::from([127, 0, 0, 2]);
    for interface in [Interface::Address(Ipv4Addr::LOCALHOST), Interface::Index(loopback_index)] {
        let b = UdpSocket::bind(&lp, SocketAddr::from(([0, 0, 0, 0], 0))).unwrap();
        let to = SocketAddr::from((group, addr(&b).port()));
        b.join_source(source, group, interface).unwrap();
        block_on(&lp, async {
            stranger.send_to(b"noise", &to).await.unwrap();
            known.send_to(b"signal", &to).await.unwrap();
            let mut buf = [0; 16];
            let received = b.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..received.len], received.from), (&b"signal"[..], addr(&known)));
        });
        b.leave_source(source, group, interface).unwrap();
        assert!(b.leave_source(source, group, interface).is_err());
        let mixed = b.join_source(Ipv6Addr::LOCALHOST.into(), group, Interface::Default).unwrap_err();
        assert_eq!(mixed.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn broadcast_is_allowed_where_it_was_asked_for() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), UdpSocket::bind(&lp, SocketAddr::from(([0, 0, 0, 0], 0))).unwrap());
    let all = SocketAddr::from(([127, 255, 255, 255], addr(&b).port()));
    assert_eq!(a.try_send_to(b"x", &all).unwrap_err().kind(), ErrorKind::PermissionDenied);
    a.set_broadcast(true).unwrap();
    assert!(a.broadcast().unwrap());
    block_on(&lp, async {
        a.send_to(b"all", &all).await.unwrap();
        assert_eq!(b.recv(&mut [0; 8]).await.unwrap(), 3);
    });
}
