//! Rooms that servers share through a real Redis: two of ours and one of Node's, with the official clients.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use phaseloop::{EventLoop, RunMode};
use phaseloop_server::http::{Body, Request, Server, StatusCode};
use phaseloop_server::redis::{Client, Options as RedisOptions};
use phaseloop_server::socketio::{
    Args, Event, Io, Namespace, Operator, Options, RedisAdapter, RedisAdapterOptions, RemoteSocket,
};
use phaseloop_tests::peers::{node_package, peer};
use phaseloop_tests::redis_server::Redis;
use serde_json::{Value, json};

/// Fewer would show that the script did not run to its end.
const CHECKS_MIN: usize = 180;

#[test]
fn servers_of_ours_and_of_node_share_rooms_through_redis() {
    let (Some(node), Some(program)) = (peer("node"), peer("redis-server")) else { return };
    let Some(modules) = node_package("@socket.io/redis-adapter") else { return };
    let mut redis = Redis::start(&program).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("socketio/redis.cjs");
    let ports = [("one", redis.url()), ("two", redis.url())].map(|(title, url)| serve(title, &url));
    let mut process = Command::new(node)
        .arg(script)
        .arg(redis.url())
        .args(ports.map(|port| port.to_string()))
        .env("NODE_PATH", modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = process.stdin.take().unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.as_str() {
            "KILL" => redis.kill().unwrap(),
            "RESTART" => redis.restart().unwrap(),
            _ => {
                said.push(line);
                continue;
            }
        }
        writeln!(orders, "done").unwrap();
    }
    let status = process.wait().unwrap();
    let bad: Vec<&str> = said.iter().map(String::as_str).filter(|line| !line.starts_with("ok ")).collect();
    assert!(status.success(), "{}", bad.join("\n"));
    let checks = said.iter().filter(|line| line.starts_with("ok ")).count();
    assert!(checks >= CHECKS_MIN, "{checks} checks:\n{}", said.join("\n"));
}

/// Serves from another thread for as long as the test runs.
fn serve(title: &'static str, redis: &str) -> u16 {
    let (sender, receiver) = mpsc::channel();
    let url = redis.to_owned();
    thread::spawn(move || {
        let lp = EventLoop::new().unwrap();
        let mut redis = RedisOptions::url(&url).unwrap();
        redis.backoff_min = Duration::from_millis(2);
        redis.backoff_max = Duration::from_millis(20);
        let client = Client::new(&lp, redis);
        let io = Io::new();
        io.set_adapters(move |namespace| {
            let mut options = RedisAdapterOptions::default();
            options.requests_timeout = Duration::from_millis(500);
            RedisAdapter::new(&client, namespace, options)
        });
        let namespaces = [io.of("/"), io.of("/chat")].map(|namespace| Shared::new(title, namespace));
        let mut options = Options::default();
        options.engine.path = "/control/".to_owned();
        let control = Io::with_options(options);
        let namespaces = Rc::new(namespaces);
        control.on_connection(move |socket| {
            let namespaces = Rc::clone(&namespaces);
            socket.on_async("do", async move |event: Event| {
                let name: String = event.args.get(1).unwrap();
                let shared = namespaces.iter().find(|shared| shared.namespace.name() == name).unwrap();
                let answer = shared.perform(&event).await;
                event.ack(answer);
            });
        });
        let nothing = async |_: Request<Body>| StatusCode::NOT_FOUND;
        let serving =
            Server::new(io.beside(control.beside(nothing))).listen(&lp, "[::]:0".parse().unwrap()).unwrap();
        sender.send(serving.local_addr().unwrap().port()).unwrap();
        lp.run(RunMode::Default).unwrap();
    });
    receiver.recv().unwrap()
}

/// A namespace, and what servers said to it.
struct Shared {
    namespace: Namespace,
    heard: Rc<RefCell<Vec<Value>>>,
}

impl Shared {
    fn new(title: &'static str, namespace: Namespace) -> Self {
        namespace.on_connection(|socket| {
            socket.on("join", |event| {
                event.socket.join(&event.args.get::<String>(0).unwrap());
                event.ack(());
            });
            socket.on("note", |event| {
                event.socket.set_data("note", event.args.values()[0].clone());
                event.ack(());
            });
        });
        let heard: Rc<RefCell<Vec<Value>>> = Rc::default();
        let log = Rc::clone(&heard);
        namespace.on_server_side_emit("hello", move |event| {
            log.borrow_mut().push(event.args.values().into());
            if let Ok(text) = event.args.get::<String>(0) {
                event.ack(format!("{title} heard {text}"));
            }
        });
        Self { namespace, heard }
    }

    /// Does what the script says: `(what, namespace, whom, ...)`.
    async fn perform(&self, event: &Event) -> Args {
        let whom = event.args.values()[2].clone();
        let operator = self.operator(&whom);
        let room = || event.args.get::<String>(3).unwrap();
        match event.args.get::<String>(0).unwrap().as_str() {
            "emit" => operator.emit(&room(), rest(&event.args, 4)),
            "join" => operator.sockets_join(&room()),
            "leave" => operator.sockets_leave(&room()),
            "disconnect" => operator.disconnect_sockets(event.args.get(3).unwrap()),
            "say" => self.namespace.server_side_emit("hello", rest(&event.args, 3)),
            "ask" => {
                let limit = Duration::from_millis(whom["timeout"].as_u64().unwrap());
                let answers = operator.emit_with_ack(&room(), rest(&event.args, 4), limit).await;
                return acknowledged(&answers);
            }
            "fetch" => {
                let sockets = |found: Vec<RemoteSocket>| found.iter().map(describe).collect::<Value>();
                return one(match operator.fetch_sockets().await {
                    Ok(found) => sockets(found),
                    Err(partial) => {
                        let ids: Vec<_> = partial.found.iter().map(|socket| socket.id.clone()).collect();
                        json!({ "error": partial.to_string(), "found": ids })
                    }
                });
            }
            "query" => {
                let answers = self.namespace.server_side_emit_with_ack("hello", rest(&event.args, 3)).await;
                let failed = answers.is_err();
                let mut all = one(failed);
                all.push(answers.unwrap_or_else(|partial| partial.found));
                return all;
            }
            "heard" => return one(self.heard.take()),
            "count" => return one(self.namespace.server_count().await.map_or_else(Value::from, Value::from)),
            "rooms" => return one(self.namespace.all_room_names().await.unwrap()),
            other => panic!("{other}"),
        }
        Args::new()
    }

    fn operator(&self, whom: &Value) -> Operator {
        let names = |key: &str| whom[key].as_array().cloned().unwrap_or_default();
        let text = |name: &Value| name.as_str().unwrap().to_owned();
        let mut operator = self.namespace.all().compress(whom["compress"] != false);
        operator = names("to").iter().fold(operator, |operator, name| operator.to(text(name)));
        operator = names("except").iter().fold(operator, |operator, name| operator.except(text(name)));
        operator = if whom["volatile"] == true { operator.volatile() } else { operator };
        if whom["local"] == true { operator.local() } else { operator }
    }
}

fn one(value: impl Into<Value>) -> Args {
    let mut args = Args::new();
    args.push(value);
    args
}

/// The arguments from some place on, with their bytes.
fn rest(args: &Args, from: usize) -> Args {
    let mut rest = Args::new();
    for value in args.values().iter().skip(from) {
        let value = copy(value, args, &mut rest);
        rest.push(value);
    }
    rest
}

fn copy(value: &Value, from: &Args, to: &mut Args) -> Value {
    match (from.bytes(value), value) {
        (Some(bytes), _) => to.attach(bytes.clone()),
        (None, Value::Array(values)) => values.iter().map(|value| copy(value, from, to)).collect(),
        (None, Value::Object(fields)) => {
            fields.iter().map(|(key, value)| (key.clone(), copy(value, from, to))).collect()
        }
        (None, other) => other.clone(),
    }
}

/// Whether one failed, and what the others said first.
fn acknowledged(answers: &[Result<Args, phaseloop_server::socketio::AckError>]) -> Args {
    let mut all = one(answers.iter().any(Result::is_err));
    for answer in answers.iter().flatten() {
        let value = copy(&answer.values()[0], answer, &mut all);
        all.push(value);
    }
    all
}

fn describe(socket: &RemoteSocket) -> Value {
    json!({ "id": socket.id, "rooms": socket.rooms, "data": socket.data, "auth": *socket.auth })
}
