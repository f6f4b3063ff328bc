//! Socket.IO on several workers: the official client polls, and its session stays with one worker.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use phaseloop::process::{Command, ExecOptions, Output};
use phaseloop::{EventLoop, LoopHandle};
use phaseloop_server::cluster::{Event, Options, Policy, Setup, Stickiness, Worker, Workers};
use phaseloop_server::http::Server;
use phaseloop_server::socketio::{Io, Options as IoOptions};
use phaseloop_tests::peers::{node_package, peer};
use serde_json::{Value, json};

/// A test that takes longer fails. It is long, since the machine may be busy with other things.
const LIMIT: Duration = Duration::from_secs(120);

/// Twelve clients, half of which stay with polling; each asks twenty times who answers, and must hear the same each time.
const CLIENTS: &str = "
const { io } = require('socket.io-client');
const one = (number) => new Promise((done, fail) => {
  const options = number % 2 ? { transports: ['polling'] } : { transports: ['polling', 'websocket'] };
  const socket = io(`http://127.0.0.1:${process.argv[1]}`, { forceNew: true, reconnection: false, ...options });
  socket.on('connect_error', fail);
  socket.on('disconnect', (reason) => fail(new Error(reason)));
  socket.on('connect', async () => {
    const heard = new Set();
    for (let count = 0; count < 20; count += 1) heard.add(await new Promise((told) => socket.emit('who', told)));
    if (heard.size !== 1) return fail(new Error(`it heard ${[...heard]}`));
    done([...heard][0]);
  });
});
Promise.all([...Array(12).keys()].map(one)).then(
  (workers) => { console.log(JSON.stringify(workers)); process.exit(0); },
  (error) => { console.error(String(error)); process.exit(1); },
);
";

fn serve(lp: &LoopHandle, worker: Worker) {
    let mut options = IoOptions::default();
    options.engine.session_prefix = worker.session_prefix();
    let io = Io::with_options(options);
    let id = worker.id().number();
    io.on_connection(move |socket| {
        socket.on("who", move |event| {
            event.ack((id,));
        });
    });
    worker.serve("web", &Server::new(io).serve_streams(lp)).unwrap();
}

async fn ask(lp: &LoopHandle, policy: Policy, node: PathBuf, modules: PathBuf) -> Output {
    let mut options = Options::default();
    options.workers = 3.try_into().unwrap();
    options.policy = policy;
    let setup = Setup::new(options).listen("web", "127.0.0.1:0".parse().unwrap());
    let primary = setup.start(lp, Workers::threads(serve)).unwrap();
    let mut events = primary.events();
    for _ in 0..3 {
        while !matches!(events.next().await.unwrap(), Event::Ready { .. }) {}
    }
    let port = primary.local_addr("web").unwrap().port().to_string();
    let command = Command::new(node).args(["-e", CLIENTS, &port]).env("NODE_PATH", modules);
    let output = command.output(lp, ExecOptions::default()).await.unwrap();
    primary.kill();
    primary.ended().await;
    output
}

#[test]
fn sessions_stay_with_their_workers_and_would_not_without_stickiness() {
    let Some(node) = peer("node") else { return };
    let Some(modules) = node_package("socket.io-client") else { return };
    let lp = EventLoop::new().unwrap();
    let run = |policy| {
        let asked = ask(&lp, policy, node.clone(), modules.clone());
        lp.block_on(lp.timeout(LIMIT, asked)).unwrap().expect("it is done in time")
    };
    for stickiness in [Stickiness::SessionId, Stickiness::Address] {
        let output = run(Policy::Sticky(stickiness));
        assert!(output.success(), "{stickiness:?}: {}", String::from_utf8_lossy(&output.stderr));
        let workers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let used: BTreeSet<String> = workers.iter().map(Value::to_string).collect();
        assert!(workers.len() == 12 && workers.iter().all(|worker| *worker != json!(null)));
        match stickiness {
            Stickiness::Address => assert_eq!(used.len(), 1, "all have one address: {workers:?}"),
            _ => assert!(used.len() > 1, "they are spread: {workers:?}"),
        }
    }
    let output = run(Policy::RoundRobin);
    assert!(!output.success(), "the check finds what is wrong: {output:?}");
}
