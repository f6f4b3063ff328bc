//! What does a round trip of a tokio stream cost on a loop that hosts tokio, against the same stream on tokio alone?

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use phaseloop::EventLoop;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::peers::tokio::current_thread;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::of_this_thread;

const MESSAGE_LEN: usize = 64;

/// One message there and back. The peer is a thread that blocks; the stream's thread alone is counted.
pub const QUESTIONS: &[Question] = &[Question {
    name: "tokio_host",
    operation: "round trip of 64 B",
    unit: Unit::CpuUs,
    full: 50_000,
    brief: 200,
    goals: &[Goal { of: "tokio-on-phaseloop", bound: Bound::Times(1.15, "tokio") }],
    contestants: &[
        Contestant::ours("tokio-on-phaseloop", |count| measure(count, on_phaseloop)),
        Contestant::ours("tokio-task-on-phaseloop", |count| measure(count, as_task_on_phaseloop)),
        Contestant::peer("tokio", |count| measure(count, on_tokio)),
        Contestant::peer("tokio-task", |count| measure(count, as_task_on_tokio)),
    ],
}];

fn on_phaseloop(address: SocketAddr, count: u64) {
    hosting().block_on(ask(address, count)).expect("the driver waits");
}

fn as_task_on_phaseloop(address: SocketAddr, count: u64) {
    let asking = async { tokio::spawn(ask(address, count)).await.expect("it does not panic") };
    hosting().block_on(asking).expect("the driver waits");
}

fn hosting() -> EventLoop {
    EventLoop::builder().with_tokio().and_then(|builder| builder.build()).expect("phaseloop hosts tokio")
}

fn on_tokio(address: SocketAddr, count: u64) {
    current_thread().block_on(ask(address, count));
}

fn as_task_on_tokio(address: SocketAddr, count: u64) {
    current_thread().block_on(async {
        tokio::spawn(ask(address, count)).await.expect("it does not panic");
    });
}

async fn ask(address: SocketAddr, count: u64) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("it is TCP");
    let mut buf = [0; MESSAGE_LEN];
    for number in 0..count {
        buf[0] = number as u8;
        stream.write_all(&buf).await.expect("it is connected");
        stream.read_exact(&mut buf).await.expect("it is answered");
        assert_eq!(buf[0], number as u8);
    }
}

fn measure(count: u64, run: fn(SocketAddr, u64)) -> Sample {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = listener.local_addr().expect("it is bound");
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody connects");
        stream.set_nodelay(true).expect("it is TCP");
        let mut buf = [0; MESSAGE_LEN];
        while stream.read_exact(&mut buf).is_ok() {
            stream.write_all(&buf).expect("it is connected");
        }
    });
    let sample = of_this_thread(count, || run(address, count));
    peer.join().expect("the peer answered");
    sample
}
