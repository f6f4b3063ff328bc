//! What does an echoed message of 64 B cost the server over UDP and over Unix sockets, with 50 peers?
//!
//! Closed loop: each peer has one message in flight. The peers are blocking sockets of another thread; the server's thread alone
//! is counted, from the first message to the last. Both share a core where the run is pinned.

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::of_this_thread;

const PEERS: usize = 50;
const MESSAGE: [u8; 64] = [7; 64];

/// One message echoed, as datagrams and over Unix sockets.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "udp_echo",
        operation: "datagram of 64 B",
        unit: Unit::CpuUs,
        full: 200_000,
        brief: 500,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) }],
        contestants: &[
            Contestant::ours("phaseloop", |count| udp(count, peers::phaseloop::udp_echo)),
            Contestant::ours("phaseloop-task", |count| udp(count, peers::phaseloop::udp_echo_task)),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", |count| udp(count, peers::libuv::udp_echo)),
            Contestant::peer("tokio", |count| udp(count, peers::tokio::udp_echo)),
        ],
    },
    Question {
        name: "unix_echo",
        operation: "message of 64 B",
        unit: Unit::CpuUs,
        full: 200_000,
        brief: 500,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) }],
        contestants: &[
            Contestant::ours("phaseloop", |count| unix(count, peers::phaseloop::unix_echo)),
            Contestant::ours("phaseloop-task", |count| unix(count, peers::phaseloop::unix_echo_task)),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", |count| unix(count, peers::libuv::unix_echo)),
            Contestant::peer("tokio", |count| unix(count, peers::tokio::unix_echo)),
        ],
    },
];

/// Counts a server that ends with an empty datagram.
fn udp(count: u64, serve: fn(UdpSocket)) -> Sample {
    let server = bound();
    let address = server.local_addr().expect("it is bound");
    let peers = thread::spawn(move || ask_by_datagrams(count, address));
    let sample = of_this_thread(count, || serve(server));
    assert_eq!(peers.join().expect("the peers got their answers"), count);
    sample
}

fn bound() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("loopback has ports")
}

fn ask_by_datagrams(count: u64, server: SocketAddr) -> u64 {
    let peers: Vec<UdpSocket> = (0..PEERS).map(|_| bound()).collect();
    let (mut answered, mut buf) = (0, [0; 2 * MESSAGE.len()]);
    while answered < count {
        let round = &peers[..PEERS.min((count - answered) as usize)];
        for peer in round {
            peer.send_to(&MESSAGE, server).expect("loopback takes it");
        }
        for peer in round {
            let len = peer.recv(&mut buf).expect("it is answered");
            assert_eq!(buf[..len], MESSAGE);
            answered += 1;
        }
    }
    peers[0].send_to(&[], server).expect("loopback takes it");
    answered
}

/// Counts a server that ends with its connections.
fn unix(count: u64, serve: fn(Vec<UnixStream>)) -> Sample {
    let pairs = (0..PEERS).map(|_| UnixStream::pair().expect("descriptors are left"));
    let (peers, served): (Vec<_>, Vec<_>) = pairs.unzip();
    let peers = thread::spawn(move || ask_by_streams(count, peers));
    let sample = of_this_thread(count, || serve(served));
    assert_eq!(peers.join().expect("the peers got their answers"), count);
    sample
}

fn ask_by_streams(count: u64, mut peers: Vec<UnixStream>) -> u64 {
    let (mut answered, mut buf) = (0, [0; MESSAGE.len()]);
    while answered < count {
        let round = PEERS.min((count - answered) as usize);
        for peer in &mut peers[..round] {
            peer.write_all(&MESSAGE).expect("it is connected");
        }
        for peer in &mut peers[..round] {
            peer.read_exact(&mut buf).expect("it is answered");
            assert_eq!(buf, MESSAGE);
            answered += 1;
        }
    }
    answered
}
