//! A primary of ours with unmodified programs of Node's `cluster` as its workers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::AsyncReadExt;
use phaseloop::net::TcpStream;
use phaseloop::process::{Command, Stdio};
use phaseloop::signal::Signal;
use phaseloop::{EventLoop, LoopHandle};
use phaseloop_server::cluster::{Ending, Event, Events, Options, Policy, Primary, Setup, Workers};
use phaseloop_tests::peers::{free_port, peer};
use serde_json::{Value, json};

/// A test that takes longer fails. It is long, since the machine may be busy with other things.
const LIMIT: Duration = Duration::from_secs(120);

fn in_time<T>(lp: &EventLoop, future: impl Future<Output = T>) -> T {
    lp.block_on(lp.timeout(LIMIT, future)).expect("the loop runs").expect("it is done in time")
}

/// What every tutorial has in its worker's branch. The port is the first argument.
const SERVER: &str = "
const cluster = require('node:cluster');
if (!cluster.isWorker) throw new Error('it is no worker');
require('node:http').createServer((request, response) => {
  if (request.url === '/leave') cluster.worker.disconnect();
  response.end(`${cluster.worker.id} ${process.pid}`);
}).listen(Number(process.argv[1]), '127.0.0.1');
process.on('message', (message) => process.send({ echo: message }));
";

fn node(program: PathBuf, script: &'static str, port: u16) -> Workers {
    Workers::node(move |_| {
        Command::new(&program).args(["-e", script, &port.to_string()]).stdin(Stdio::ignore()).kill_on_drop()
    })
}

fn options(workers: usize, policy: Policy) -> Options {
    let mut options = Options::default();
    options.workers = workers.try_into().unwrap();
    options.policy = policy;
    options
}

async fn start(lp: &LoopHandle, options: Options, workers: Workers) -> (Primary, Events) {
    let count = options.workers.get();
    let primary = Setup::new(options).start(lp, workers).unwrap();
    let mut events = primary.events();
    for _ in 0..count {
        until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
    }
    (primary, events)
}

async fn until(events: &mut Events, mut is_it: impl FnMut(&Event) -> bool) -> Event {
    let mut before = Vec::new();
    while let Some(event) = events.next().await {
        if is_it(&event) {
            return event;
        }
        before.push(event);
    }
    panic!("it did not come, but {before:?}");
}

async fn get(lp: &LoopHandle, port: u16, target: &str) -> String {
    let stream = TcpStream::connect(lp, SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    (&stream).read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

async fn end(primary: Primary) {
    primary.end();
    let report = primary.ended().await;
    let good = |ending: &Ending| matches!(ending, Ending::Process(status) if status.success());
    assert!(
        report.workers.iter().all(|end| end.was_told && !end.was_killed && good(&end.ending)),
        "{report:?}"
    );
}

#[test]
fn nodes_workers_serve_by_either_policy_are_killed_and_replaced() {
    let Some(program) = peer("node") else { return };
    for policy in [Policy::RoundRobin, Policy::Shared] {
        let lp = EventLoop::new().unwrap();
        let port = free_port().unwrap();
        in_time(&lp, async {
            let workers = node(program.clone(), SERVER, port);
            let (primary, mut events) = start(&lp, options(2, policy), workers).await;
            let mut served = BTreeMap::<String, u32>::new();
            for _ in 0..40 {
                *served.entry(get(&lp, port, "/").await).or_default() += 1;
            }
            let pids: BTreeSet<String> = primary
                .workers()
                .iter()
                .map(|worker| format!("{} {}", worker.id, worker.pid.unwrap()))
                .collect();
            assert!(served.keys().all(|answer| pids.contains(answer)), "{policy:?}: {served:?}, {pids:?}");
            if policy == Policy::RoundRobin {
                assert_eq!(served.values().copied().collect::<Vec<_>>(), [20, 20], "{served:?}");
            }
            let victim = primary.workers()[0];
            kill(victim.pid.unwrap());
            let Event::Exited(end) = until(&mut events, |event| matches!(event, Event::Exited(_))).await
            else {
                unreachable!()
            };
            assert_eq!((end.worker, end.was_told), (victim.id, false));
            until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
            for _ in 0..10 {
                let answer = get(&lp, port, "/").await;
                assert!(!answer.starts_with("1 "), "{answer}");
            }
            self::end(primary).await;
        });
    }
}

#[test]
fn a_rolling_restart_of_nodes_workers_refuses_nobody() {
    let Some(program) = peer("node") else { return };
    for policy in [Policy::RoundRobin, Policy::Shared] {
        let lp = EventLoop::new().unwrap();
        let port = free_port().unwrap();
        in_time(&lp, async {
            let (primary, _events) =
                start(&lp, options(2, policy), node(program.clone(), SERVER, port)).await;
            let mut rolling = std::pin::pin!(primary.rolling_restart());
            let mut answered = 0;
            let report = loop {
                if let Some(report) = futures::FutureExt::now_or_never(rolling.as_mut()) {
                    break report.unwrap();
                }
                get(&lp, port, "/").await;
                answered += 1;
            };
            assert_eq!(report.replaced.len(), 2);
            assert!(report.replaced.iter().all(|end| !end.was_killed), "{report:?}");
            assert!(answered > 0);
            end(primary).await;
        });
    }
}

#[test]
fn messages_of_nodes_workers_go_both_ways_and_one_that_leaves_is_replaced() {
    let Some(program) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let port = free_port().unwrap();
    in_time(&lp, async {
        let (primary, mut events) =
            start(&lp, options(1, Policy::RoundRobin), node(program, SERVER, port)).await;
        primary.send(primary.workers()[0].id, &json!({"a": [1, "\n"]})).unwrap();
        let event = until(&mut events, |event| matches!(event, Event::Message { .. })).await;
        let Event::Message { message, .. } = event else { unreachable!() };
        assert_eq!(message.parse::<Value>().unwrap(), json!({"echo": {"a": [1, "\n"]}}));
        assert!(get(&lp, port, "/leave").await.starts_with("1 "), "it answers before it leaves");
        until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
        assert!(get(&lp, port, "/").await.starts_with("2 "));
        end(primary).await;
    });
}

#[test]
fn a_nodes_worker_that_closes_its_server_and_listens_again_serves_again() {
    let Some(program) = peer("node") else { return };
    let script = "const server = require('node:http').createServer((request, response) => response.end(`${turn}`));
        let turn = 1;
        const listen = () => server.listen(Number(process.argv[1]), '127.0.0.1', () => process.send(`turn ${turn}`));
        process.on('message', (message) => {
            if (message === 'close') {
                server.close(() => process.send('closed'));
                server.closeAllConnections();
            } else {
                turn += 1;
                listen();
            }
        });
        listen();";
    for policy in [Policy::RoundRobin, Policy::Shared] {
        let lp = EventLoop::new().unwrap();
        let port = free_port().unwrap();
        in_time(&lp, async {
            let setup = Setup::new(options(1, policy));
            let primary = setup.start(&lp, node(program.clone(), script, port)).unwrap();
            let mut events = primary.events();
            assert_eq!(said(&mut events).await, "turn 1");
            let worker = primary.workers()[0].id;
            for turn in 2..=4 {
                assert_eq!(get(&lp, port, "/").await, (turn - 1).to_string(), "{policy:?}");
                primary.send(worker, "close").unwrap();
                assert_eq!(said(&mut events).await, "closed", "{policy:?}");
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                // The worker's word may be here before the listener is closed.
                let refused = loop {
                    match TcpStream::connect(&lp, address).await {
                        Ok(_) => phaseloop::yield_now().await,
                        Err(error) => break error,
                    }
                };
                assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{policy:?}");
                primary.send(worker, "listen").unwrap();
                assert_eq!(said(&mut events).await, format!("turn {turn}"), "{policy:?}");
            }
            assert_eq!(get(&lp, port, "/").await, "4", "{policy:?}");
            assert_eq!(primary.workers()[0].id, worker, "it is the same one");
            end(primary).await;
        });
    }
}

/// What a worker says next.
async fn said(events: &mut Events) -> String {
    let event = until(events, |event| matches!(event, Event::Message { .. })).await;
    let Event::Message { message, .. } = event else { unreachable!() };
    message.parse().unwrap()
}

#[test]
fn an_address_in_use_is_told_to_nodes_worker_as_node_tells_it() {
    let Some(program) = peer("node") else { return };
    let script = "require('node:http').createServer(() => {}).on('error', (error) => {
        process.send({ code: error.code, syscall: error.syscall });
    }).listen(Number(process.argv[1]), '127.0.0.1');";
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let taken = phaseloop::net::TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let port = taken.local_addr().unwrap().port();
        let setup = Setup::new(options(1, Policy::RoundRobin));
        let primary = setup.start(&lp, node(program, script, port)).unwrap();
        let mut events = primary.events();
        let event = until(&mut events, |event| matches!(event, Event::Message { .. })).await;
        let Event::Message { message, .. } = event else { unreachable!() };
        assert_eq!(message.parse::<Value>().unwrap()["code"], "EADDRINUSE");
        primary.kill();
        primary.ended().await;
    });
}

#[test]
fn several_servers_and_unix_sockets_of_one_worker_are_opened() {
    let Some(program) = peer("node") else { return };
    let script = "const http = require('node:http'), net = require('node:net');
        const two = [0, 0].map((port) => new Promise((done) => {
            const server = http.createServer((request, response) => response.end('http'));
            server.listen(port, '127.0.0.1', () => done(server.address().port));
        }));
        const path = process.argv[1] + '.sock';
        Promise.all(two).then((ports) => {
            net.createServer((socket) => socket.end('net')).listen(path, () => process.send({ ports, path }));
        });";
    for policy in [Policy::RoundRobin, Policy::Shared] {
        let folder =
            std::env::temp_dir().join(format!("phaseloop-cluster-{}-{policy:?}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lp = EventLoop::new().unwrap();
        in_time(&lp, async {
            let (own, program) = (folder.clone(), program.clone());
            let workers = Workers::node(move |_| {
                let command = Command::new(&program).args(["-e", script, "1"]).stdin(Stdio::ignore());
                command.current_dir(&own).kill_on_drop()
            });
            let primary = Setup::new(options(1, policy)).start(&lp, workers).unwrap();
            let mut events = primary.events();
            let event = until(&mut events, |event| matches!(event, Event::Message { .. })).await;
            let Event::Message { message, .. } = event else { unreachable!() };
            let value: Value = message.parse().unwrap();
            let ports: Vec<u16> = serde_json::from_value(value["ports"].clone()).unwrap();
            assert_ne!(ports[0], ports[1]);
            for port in ports {
                assert_eq!(get(&lp, port, "/").await, "http", "{policy:?}");
            }
            let path = folder.join(value["path"].as_str().unwrap());
            assert_eq!(read_unix(&lp, &path).await, "net", "{policy:?}");
            end(primary).await;
        });
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

async fn read_unix(lp: &LoopHandle, path: &Path) -> String {
    let stream = phaseloop::net::UnixStream::connect(lp, path).await.unwrap();
    let mut answer = String::new();
    (&stream).read_to_string(&mut answer).await.unwrap();
    answer
}

fn kill(pid: u32) {
    let signal = format!("-{}", Signal::KILL.number());
    let sent = std::process::Command::new("kill").args([&signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}
