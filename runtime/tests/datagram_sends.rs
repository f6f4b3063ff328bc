//! Tasks that send and receive datagrams beside a queue, and beside errors that the network reports.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod again;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use phaseloop::EventLoop;
use phaseloop::net::{UdpSocket, UndeliveredTo, UnixDatagram};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};

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

thread_local! {
    static SOCKET: RefCell<Option<UdpSocket>> = const { RefCell::new(None) };
}

/// Closes the socket of its thread.
struct Closes;

impl Wake for Closes {
    fn wake(self: Arc<Self>) {
        if let Some(socket) = SOCKET.take() {
            socket.close();
        }
    }
}

#[test]
fn who_is_woken_by_a_refusal_may_close_the_socket() {
    let lp = new_loop();
    let (a, b) = (bind(&lp), bind(&lp));
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
    a.report_undelivered(UndeliveredTo::Receiver).unwrap();
    SOCKET.set(Some(a.clone()));
    let mut buf = [0; 8];
    let mut receives = pin!(a.recv(&mut buf));
    let waker = Waker::from(Arc::new(Closes));
    assert!(receives.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    a.try_send_to(b"lost", &nobody).unwrap();
    a.try_send_to(b"meets it", &b.local_addr().unwrap()).unwrap();
    assert!(!a.is_closed(), "nobody is woken while the socket is in use");
    turns_in(&lp, ms(1));
    assert!(a.is_closed());
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

#[test]
fn an_error_that_the_send_itself_gave_is_not_told_again() {
    let child = again::command("narrow");
    let as_root = rustix::process::geteuid().is_root();
    // A network of its own, whose loopback is made narrow: only there does the system refuse a length by itself.
    let script = "ip link set lo up mtu 1500 && exec \"$@\"";
    let unshare = |args: &[&std::ffi::OsStr]| {
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(if as_root { &[][..] } else { &["--user", "--map-root-user"] });
        unshare.args(["--net", "sh", "-c", script, "sh"]).args(args);
        unshare.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
        unshare.output()
    };
    if !unshare(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
        // Past the harness, which would keep it to itself.
        let notice = b"SKIPPED: an_error_that_the_send_itself_gave_is_not_told_again: no unshare, or no ip\n";
        std::io::Write::write_all(&mut std::io::stderr(), notice).unwrap();
        return;
    }
    let args: Vec<_> = [child.get_program()].into_iter().chain(child.get_args()).collect();
    let output = unshare(&args).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn send_what_is_too_long() {
    for told in [UndeliveredTo::Receiver, UndeliveredTo::Sender] {
        let lp = new_loop();
        let (a, b) = (bind(&lp), bind(&lp));
        a.report_undelivered(told).unwrap();
        set_ip_mtu_discover(a.as_fd(), Ipv4PathMtuDiscovery::DO).unwrap(); // it is not cut into pieces
        let to = b.local_addr().unwrap();
        assert_eq!(a.try_send_to(&[0; 4000], &to).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(a.try_recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        a.try_send_to(b"fits", &to).unwrap();
        assert_eq!(block_on(&lp, b.recv(&mut [0; 8])).unwrap(), 4);
    }
}

/// Not a test of its own: the children of the tests above start here.
#[test]
fn in_a_child() {
    match again::role().as_deref() {
        Some("narrow") => send_what_is_too_long(),
        Some(role) => panic!("no role {role}"),
        None => {}
    }
}
