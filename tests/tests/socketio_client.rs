//! The official `socket.io-client` against our Socket.IO server: by polling, by WebSocket, and from one to the other.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use phaseloop::{EventLoop, RunMode, sleep};
use phaseloop_server::engineio::TransportKind;
use phaseloop_server::http::{Body, Request, Server, StatusCode};
use phaseloop_server::socketio::{Args, ConnectError, Event, Io, Options, Recovery, Socket};
use phaseloop_tests::peers::{node_package, peer};
use serde_json::{Value, json};

/// Fewer would show that the script did not run to its end.
const CHECKS_MIN: usize = 100;

#[test]
fn the_official_client_is_content() {
    let Some(node) = peer("node") else { return };
    let Some(modules) = node_package("socket.io-client") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("socketio/client.cjs");
    let port = serve();
    let output =
        Command::new(node).arg(script).arg(port.to_string()).env("NODE_PATH", modules).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    let bad: Vec<&str> = said.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(output.status.success(), "{}\n{trouble}", bad.join("\n"));
    let checks = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(checks >= CHECKS_MIN, "{checks} checks:\n{said}");
}

/// Serves from another thread for as long as the test runs.
fn serve() -> u16 {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lp = EventLoop::new().unwrap();
        let mut options = Options::default();
        options.engine.path = "/recover/".to_owned();
        options.recovery = Some(Recovery::default());
        let (plain, recovering) = (Io::new(), Io::with_options(options));
        set_up(&plain);
        set_up(&recovering);
        let nothing = async |_: Request<Body>| StatusCode::NOT_FOUND;
        let server = Server::new(plain.beside(recovering.beside(nothing)));
        let serving = server.listen(&lp, "[::]:0".parse().unwrap()).unwrap();
        sender.send(serving.local_addr().unwrap().port()).unwrap();
        lp.run(RunMode::Default).unwrap();
    });
    receiver.recv().unwrap()
}

fn set_up(io: &Io) {
    let server = io.clone();
    io.on_connection(move |socket| {
        echoes(socket);
        own_rooms(socket);
        speaks(&server, socket);
        asks(&server, socket);
    });
    let admin = io.of("admin");
    admin.use_(async |socket: Socket| {
        sleep(Duration::from_millis(1)).await;
        match socket.handshake().auth["token"].as_str() {
            Some("good") => Ok(()),
            _ => Err(ConnectError::new("who are you?").with_data(json!({ "code": 7 }))),
        }
    });
    admin.on_connection(|socket| {
        socket.on("name", |event| {
            let token = event.socket.handshake().auth["token"].clone();
            event.ack((event.socket.namespace().name(), token));
        });
        socket.on("close", |event| event.socket.disconnect(true));
    });
    io.of_any(
        |name| name.starts_with("/made-"),
        |namespace| {
            namespace.on_connection(|socket| {
                socket.on("name", |event| {
                    event.ack(event.socket.namespace().name());
                });
            });
        },
    );
}

fn echoes(socket: &Socket) {
    socket.on("echo", |event| event.socket.emit("echo-back", event.args.clone()));
    socket.on("echo-ack", |event| {
        event.ack(event.args.clone());
    });
    socket.on_async("later", async |event: Event| {
        sleep(Duration::from_millis(1)).await;
        event.ack(event.args.clone());
    });
    socket.on_any(|event| {
        event.ack(("any", event.name.as_str()));
    });
    socket.on("id", |event| {
        event.ack(event.socket.id());
    });
    socket.on("transport", |event| {
        let is_websocket = event.socket.transport() == TransportKind::WebSocket;
        event.ack(if is_websocket { "WebSocket" } else { "polling" });
    });
}

fn text(event: &Event, number: usize) -> String {
    event.args.get(number).unwrap()
}

fn own_rooms(socket: &Socket) {
    socket.on("join", |event| {
        event.socket.set_data("joined", text(&event, 0));
        event.socket.join(&text(&event, 0));
        event.ack(());
    });
    socket.on("noted", |event| {
        event.ack(event.socket.data("joined").unwrap_or_default());
    });
    socket.on("leave", |event| {
        event.socket.leave(&text(&event, 0));
        event.ack(());
    });
    socket.on("rooms", |event| {
        event.ack(json!(event.socket.rooms()));
    });
    socket.on("say to", |event| {
        event.socket.to(text(&event, 0)).emit("said", text(&event, 1));
        event.ack(());
    });
    socket.on("broadcast", |event| {
        event.socket.broadcast().emit("said", text(&event, 0));
        event.ack(());
    });
}

fn speaks(io: &Io, socket: &Socket) {
    let server = io.clone();
    socket.on("io to", move |event| {
        let rooms: Vec<String> = event.args.get(0).unwrap();
        let whom = rooms.iter().fold(server.all(), |whom, room| whom.to(room));
        whom.emit("said", text(&event, 1));
        event.ack(());
    });
    let server = io.clone();
    socket.on("io except", move |event| {
        server.except(text(&event, 0)).emit("said", text(&event, 1));
        event.ack(());
    });
    let server = io.clone();
    socket.on("io emit", move |event| {
        server.emit("said", event.args.clone());
        event.ack(());
    });
    let server = io.clone();
    socket.on("sockets leave", move |event| {
        server.in_(text(&event, 0)).sockets_leave(&text(&event, 0));
        event.ack(());
    });
    let server = io.clone();
    socket.on("kick", move |event| {
        server.in_(text(&event, 0)).disconnect_sockets(false);
        event.ack(());
    });
}

fn asks(io: &Io, socket: &Socket) {
    let server = io.clone();
    socket.on_async("fetch", async move |event: Event| {
        let found = server.in_(text(&event, 0)).fetch_sockets().await.unwrap();
        event.ack(json!(found.iter().map(|socket| socket.id.as_str()).collect::<Vec<_>>()));
    });
    let server = io.clone();
    socket.on_async("question to", async move |event: Event| {
        let value: i64 = event.args.get(1).unwrap();
        // Whoever answers does so at once; who does not is not waited for long.
        let limit = Duration::from_millis(if value == 1 { 50 } else { 30_000 });
        let answers = server.to(text(&event, 0)).emit_with_ack("question", value, limit).await;
        let plain = |answer: Result<Args, _>| match answer {
            Ok(args) => args.values()[0].clone(),
            Err(error) => Value::from(ToString::to_string(&error)),
        };
        event.ack(Value::from_iter(answers.into_iter().map(plain)));
    });
    let server = io.clone();
    socket.on("watch", move |event| {
        let (watcher, watched) = (event.socket.clone(), server.socket_by_id(&text(&event, 0)).unwrap());
        watched.on_disconnect(move |_, reason| watcher.emit("left", reason.as_str()));
        event.ack(());
    });
}
