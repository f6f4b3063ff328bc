//! Clusters of threads.

#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod cluster_load;

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use cluster_load::Load;
use futures::AsyncReadExt;
use phaseloop::net::TcpStream;
use phaseloop::{EventLoop, LoopHandle, RunMode};
use phaseloop_server::cluster::{
    Ending, Event, Events, Options, Policy, Primary, Setup, Stickiness, Worker, WorkerEnd, WorkerId, Workers,
};
use phaseloop_server::http::{Body, Limits, Request, Server};
use serde_json::{Value, json};

/// A test that takes longer fails. It is long, since the machine may be busy with other things.
const LIMIT: Duration = Duration::from_secs(120);

fn in_time<T>(lp: &EventLoop, future: impl Future<Output = T>) -> T {
    lp.block_on(lp.timeout(LIMIT, future)).expect("the loop runs").expect("it is done in time")
}

fn options(workers: usize, policy: Policy) -> Options {
    let mut options = Options::default();
    options.workers = workers.try_into().unwrap();
    options.policy = policy;
    options
}

fn serve(lp: &LoopHandle, worker: &Worker) {
    let own = worker.clone();
    let server = Server::new(async move |request: Request<Body>| {
        if request.uri().path() == "/leave" {
            own.end();
        }
        own.id().to_string()
    });
    let mut limits = Limits::default();
    // A client of a busy machine may take long from its connection to its request.
    limits.first_request_at_shutdown = LIMIT;
    worker.serve("web", &server.limits(limits).serve_streams(lp)).unwrap();
}

async fn start(lp: &LoopHandle, options: Options, workers: Workers) -> (Primary, Events, SocketAddr) {
    let count = options.workers.get();
    let setup = Setup::new(options).listen("web", "127.0.0.1:0".parse().unwrap());
    let primary = setup.start(lp, workers).unwrap();
    let mut events = primary.events();
    for _ in 0..count {
        ready(&mut events).await;
    }
    let address = primary.local_addr("web").unwrap();
    (primary, events, address)
}

async fn ready(events: &mut Events) {
    while !matches!(events.next().await.unwrap(), Event::Ready { .. }) {}
}

async fn exited(events: &mut Events) -> WorkerEnd {
    loop {
        if let Event::Exited(end) = events.next().await.unwrap() {
            return end;
        }
    }
}

async fn get(lp: &LoopHandle, address: SocketAddr, target: &str) -> String {
    let stream = TcpStream::connect(lp, address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    (&stream).read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or(answer)
}

#[test]
fn threads_serve_are_replaced_without_a_failed_request_and_end() {
    for policy in [Policy::Shared, Policy::RoundRobin, Policy::ReusePort] {
        let lp = EventLoop::new().unwrap();
        in_time(&lp, async {
            let (primary, _events, address) =
                start(&lp, options(2, policy), Workers::threads(serve_it)).await;
            let load = Load::start(&lp, address, 8);
            load.until_answered(50).await;
            let report = primary.rolling_restart().await.unwrap();
            let good = |end: &WorkerEnd| end.ending == Ending::Thread && end.was_told && !end.was_killed;
            assert!(report.replaced.len() == 2 && report.replaced.iter().all(good), "{report:?}");
            load.until_answered(load.tally.answered.get() + 50).await;
            let tally = load.finish().await;
            assert!(tally.failed.borrow().is_empty(), "{policy:?}: {:?}", tally.failed.borrow());
            assert_eq!(get(&lp, address, "/leave").await.len(), 1);
            primary.end();
            let report = primary.ended().await;
            assert!(report.workers.iter().all(|end| end.ending == Ending::Thread), "{report:?}");
        });
        lp.run(RunMode::Default).unwrap(); // nothing is left that keeps it alive
    }
}

fn serve_it(lp: &LoopHandle, worker: Worker) {
    serve(lp, &worker);
}

#[test]
fn a_thread_that_panics_is_replaced_and_says_why() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let workers = Workers::threads(|lp, worker| {
            serve(lp, &worker);
            worker.on_message(|worker, message| {
                let value: Value = message.parse().unwrap();
                assert!(value != json!("panic"), "worker {} was told to", worker.id());
                worker.send(&value).unwrap();
            });
        });
        let (primary, mut events, address) = start(&lp, options(1, Policy::RoundRobin), workers).await;
        let worker = primary.workers()[0].id;
        primary.send(worker, &json!({"to": "you"})).unwrap();
        let Some(Event::Message { message, .. }) = events.next().await else { panic!("a message") };
        assert_eq!(message.parse::<Value>().unwrap(), json!({"to": "you"}));
        primary.send(worker, "panic").unwrap();
        let end = exited(&mut events).await;
        assert!(end.to_string().contains("worker 1 was told to"), "{end}");
        ready(&mut events).await;
        assert_eq!(get(&lp, address, "/").await, "2");
        primary.end();
        primary.ended().await;
    });
}

#[test]
fn a_thread_that_is_stuck_is_given_up_and_replaced() {
    let lp = EventLoop::new().unwrap();
    let (go_on, watched) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    in_time(&lp, async {
        let (stuck, left) = (Arc::clone(&go_on), Arc::clone(&watched));
        let workers = Workers::threads(move |lp, worker| {
            serve(lp, &worker);
            let (stuck, left) = (Arc::clone(&stuck), Arc::clone(&left));
            worker.on_message(move |_, _| {
                while !stuck.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                left.store(true, Ordering::Release);
            });
        });
        let mut options = options(1, Policy::Shared);
        let heartbeat = options.heartbeat.as_mut().unwrap();
        (heartbeat.interval, heartbeat.unanswered_max) = (Duration::from_millis(400), 5);
        let (primary, mut events, address) = start(&lp, options, workers).await;
        primary.send(primary.workers()[0].id, "get stuck").unwrap();
        let end = exited(&mut events).await;
        assert_eq!((end.ending, end.was_killed), (Ending::Abandoned, true));
        ready(&mut events).await;
        assert_eq!(get(&lp, address, "/").await, "2");
        go_on.store(true, Ordering::Release);
        primary.end();
        let report = primary.ended().await;
        assert_eq!(report.workers.len(), 1, "of the one that was given up nothing more is told");
    });
    lp.run(RunMode::Default).unwrap(); // a stuck thread would not keep it alive
}

#[test]
fn connections_that_a_paused_worker_does_not_want_go_to_others() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let workers = Workers::threads(|lp, worker| {
            serve(lp, &worker);
            worker.on_message(|worker, message| {
                worker.pause(message.parse::<bool>().unwrap());
                worker.send("done").unwrap();
            });
        });
        let (primary, mut events, address) = start(&lp, options(2, Policy::RoundRobin), workers).await;
        let ids: Vec<_> = primary.workers().iter().map(|worker| worker.id).collect();
        let mut answers = BTreeSet::new();
        for pause in [true, false] {
            primary.send(ids[0], &pause).unwrap();
            while !matches!(events.next().await.unwrap(), Event::Message { .. }) {}
            answers.clear();
            for _ in 0..4 {
                answers.insert(get(&lp, address, "/").await);
            }
            assert_eq!(answers.contains(&ids[0].to_string()), !pause, "{answers:?}");
        }
        assert_eq!(answers.len(), 2);
        primary.end();
        primary.ended().await;
    });
}

#[test]
fn silent_clients_keep_nobody_else_from_a_sticky_cluster() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let mut options = options(1, Policy::Sticky(Stickiness::SessionId));
        (options.limits.connections_waiting_max, options.limits.first_line_timeout) = (2, LIMIT * 2);
        let (primary, _events, address) = start(&lp, options, Workers::threads(serve_it)).await;
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(TcpStream::connect(&lp, address).await.unwrap());
        }
        assert_eq!(get(&lp, address, "/").await, "1");
        primary.kill();
        let report = primary.ended().await;
        assert_eq!((&report.workers[0].ending, report.workers[0].was_killed), (&Ending::Thread, true));
        assert_eq!(report.unserved, 2, "which were being read");
    });
}

#[test]
fn what_waits_in_the_backlog_of_a_sticky_cluster_is_answered_at_the_end() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let options = options(2, Policy::Sticky(Stickiness::SessionId));
        let (primary, _events, address) = start(&lp, options, Workers::threads(serve_it)).await;
        let mut clients: Vec<_> = (0..4).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        }
        primary.end(); // before the loop has accepted them
        primary.ended().await;
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
        }
    });
}

#[test]
fn workers_that_may_take_all_the_time_there_is_start_and_end() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let mut options = options(1, Policy::Shared);
        (options.start_timeout, options.grace) = (Some(Duration::MAX), Duration::MAX);
        options.heartbeat.as_mut().unwrap().interval = Duration::MAX;
        let (primary, _events, address) = start(&lp, options, Workers::threads(serve_it)).await;
        assert_eq!(get(&lp, address, "/").await, "1");
        primary.end();
        assert!(primary.ended().await.workers.iter().all(|end| end.was_told && !end.was_killed));
    });
}

#[test]
fn what_waits_beyond_what_workers_may_have_unconfirmed_is_answered_at_the_end() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let mut options = options(2, Policy::RoundRobin);
        options.limits.unconfirmed_max = 2;
        let (primary, _events, address) = start(&lp, options, Workers::threads(serve_it)).await;
        let mut clients: Vec<_> = (0..40).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        }
        primary.end();
        assert_eq!(primary.ended().await.unserved, 0);
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
        }
    });
}

#[test]
fn a_client_whose_first_line_is_being_read_at_the_end_is_answered() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let mut options = options(2, Policy::Sticky(Stickiness::SessionId));
        options.limits.first_line_timeout = LIMIT * 2;
        let (primary, _events, address) = start(&lp, options, Workers::threads(serve_it)).await;
        let (half, silent) =
            (TcpStream::connect(&lp, address).await.unwrap(), TcpStream::connect(&lp, address));
        half.write_all(b"GET / HT").await.unwrap();
        let silent = silent.await.unwrap();
        // One that came later is answered, so these are being read.
        assert_eq!(get(&lp, address, "/").await.len(), 1);
        primary.end();
        half.write_all(b"TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        silent.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        for client in [half, silent] {
            let mut answer = String::new();
            (&client).read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
        }
        assert_eq!(primary.ended().await.unserved, 0);
    });
}

#[test]
fn what_no_worker_is_left_for_is_closed_and_counted() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let setup = Setup::new(options(2, Policy::RoundRobin)).listen("web", "127.0.0.1:0".parse().unwrap());
        let primary = setup.start(&lp, Workers::threads(serve_it)).unwrap();
        let mut events = primary.events();
        let address = primary.local_addr("web").unwrap();
        let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        primary.end(); // before a worker is there
        assert_eq!(primary.ended().await.unserved, 3);
        let mut closed = 0;
        while let Some(event) = events.next().await {
            if let Event::Unserved { listener, count } = event {
                assert_eq!(listener, "web");
                closed += count;
            }
        }
        assert_eq!(closed, 3);
        for mut client in clients {
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
    });
}

/// A cluster whose first worker is stuck, with its channel full, until what this gives is dropped.
async fn stuck(lp: &LoopHandle) -> (Primary, Events, SocketAddr, WorkerId, mpsc::Sender<()>) {
    let (go_on, stuck) = mpsc::channel();
    let stuck = Arc::new(Mutex::new(stuck));
    let workers = Workers::threads(move |lp, worker| {
        serve(lp, &worker);
        let stuck = Arc::clone(&stuck);
        worker.on_message(move |worker, message| {
            if message.parse::<Value>().unwrap() == json!("get stuck") {
                worker.send("stuck").unwrap();
                let until = stuck.lock().unwrap().recv();
                assert!(until.is_err(), "it is dropped");
            }
        });
    });
    let mut options = options(2, Policy::RoundRobin);
    options.heartbeat = None;
    let (primary, mut events, address) = start(lp, options, workers).await;
    let first = primary.workers()[0].id;
    primary.send(first, "get stuck").unwrap();
    while !matches!(events.next().await.unwrap(), Event::Message { .. }) {}
    let long = "x".repeat(64 * 1024);
    while primary.send(first, &long).is_ok() {}
    (primary, events, address, first, go_on)
}

/// A loop on which few messages may wait.
fn narrow() -> EventLoop {
    let limits = phaseloop::Limits { queued_writes_max: 16, ..Default::default() };
    EventLoop::builder().limits(limits).build().unwrap()
}

#[test]
fn a_worker_whose_channel_is_full_gets_connections_again_once_there_is_room() {
    let lp = narrow();
    in_time(&lp, async {
        let (primary, _events, address, first, go_on) = stuck(&lp).await;
        for _ in 0..6 {
            assert_ne!(get(&lp, address, "/").await, first.to_string());
        }
        drop(go_on);
        while get(&lp, address, "/").await != first.to_string() {}
        primary.end();
        let report = primary.ended().await;
        assert!(report.workers.iter().all(|end| end.was_told && !end.was_killed), "{report:?}");
    });
}

#[test]
fn a_worker_whose_channel_is_full_at_the_end_is_told_once_there_is_room() {
    let lp = narrow();
    in_time(&lp, async {
        let (primary, _events, address, _first, go_on) = stuck(&lp).await;
        let mut client = std::net::TcpStream::connect(address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        primary.end();
        drop(go_on);
        let report = primary.ended().await;
        assert!(report.workers.iter().all(|end| end.was_told && !end.was_killed), "{report:?}");
        assert_eq!(report.unserved, 0);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    });
}

#[test]
fn a_cluster_that_is_told_to_end_before_it_begins_is_over() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let setup = Setup::new(options(2, Policy::Shared)).listen("web", "127.0.0.1:0".parse().unwrap());
        let primary = setup.start(&lp, Workers::threads(serve_it)).unwrap();
        primary.end();
        assert!(primary.ended().await.workers.is_empty());
        assert!(primary.rolling_restart().await.is_err());
        assert!(primary.workers().is_empty());
    });
    lp.run(RunMode::Default).unwrap(); // nothing keeps it alive
}

#[test]
fn what_can_not_be_set_up_is_refused_with_the_reason() {
    let lp = EventLoop::new().unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let twice = Setup::new(options(1, Policy::Shared)).listen("web", address).listen("web", address);
    let error = twice.start(&lp, Workers::threads(serve_it)).unwrap_err();
    assert!(error.to_string().contains("\"web\""), "{error}");
    let taken = phaseloop::net::TcpListener::bind(&lp, address).unwrap();
    let setup = Setup::new(options(1, Policy::Shared)).listen("web", taken.local_addr().unwrap());
    let error = setup.start(&lp, Workers::threads(serve_it)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let node = Workers::node(|_| phaseloop::process::Command::new("node"));
    let error = Setup::new(options(1, Policy::Shared)).listen("web", address).start(&lp, node).unwrap_err();
    assert!(error.to_string().contains("themselves"), "{error}");
}
