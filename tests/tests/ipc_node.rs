//! Channels to real Node programs, as their parent and as their child.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use phaseloop::ipc::{
    self, Attachment, AttachmentKind, Channel, ChannelLimits, Framing, Message, ReceiveError, SendError,
};
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop::process::{Child, Command, ExecOptions, Stdio};
use phaseloop::signal::Signal;
use phaseloop::{EventLoop, Outcome};
use phaseloop_tests::peers::peer;
use serde_json::{Value, json};

/// A test that takes longer fails. It is long, since the machine may be busy with other things.
const LIMIT: Duration = Duration::from_secs(120);

/// By which this program, run again by Node, learns what it is to do.
const ROLE: &str = "PHASELOOP_TEST_ROLE";

fn in_time<T>(lp: &EventLoop, future: impl Future<Output = T>) -> T {
    lp.block_on(lp.timeout(LIMIT, future)).expect("the loop runs").expect("it is done in time")
}

/// Runs the loop until nothing keeps it alive.
fn run(lp: &EventLoop) {
    let outcome = lp.run_until(Instant::now() + LIMIT).expect("the loop runs");
    assert_eq!(outcome, Outcome::Finished, "it is done in time: {:?}", lp.why_alive());
}

fn fork(lp: &EventLoop, node: PathBuf, script: &str) -> (Child, Channel) {
    fork_with(lp, node, script, ChannelLimits::default())
}

fn fork_with(lp: &EventLoop, node: PathBuf, script: &str, limits: ChannelLimits) -> (Child, Channel) {
    let command = Command::new(node).args(["-e", script]).stdin(Stdio::ignore()).kill_on_drop();
    command.spawn_with_channel(lp, Framing::NODE, limits).expect("node starts")
}

async fn next(channel: &Channel) -> Message {
    channel.recv().await.expect("it is connected").expect("it is a message")
}

async fn next_value(channel: &Channel) -> Value {
    next(channel).await.parse().expect("it is JSON")
}

// --- a Node child -----------------------------------------------------------------------------------------------------

const ECHO: &str = "process.on('message', (m) => m === 'end' ? process.disconnect() : process.send(m))";

#[test]
fn a_node_child_answers_and_ends_when_it_disconnects() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let (child, channel) = fork(&lp, node, ECHO);
    let values = [
        json!({"a": [1, null, "two\nlines", "\u{e9}\u{1f600}"]}),
        json!(""),
        json!(7.5),
        json!(null),
        json!({"cmd": 5}),
    ];
    in_time(&lp, async {
        for value in &values {
            channel.send_json(value).unwrap();
            assert_eq!(next_value(&channel).await, *value);
        }
        channel.send_json("end").unwrap();
        assert!(channel.recv().await.is_none(), "it disconnected");
        assert!(child.wait().await.unwrap().success());
    });
    assert!(matches!(channel.send_json("late"), Err(SendError::Disconnected(_))));
}

#[test]
fn callbacks_get_messages_and_then_the_end_and_let_the_loop_end() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let (_child, channel) = fork(&lp, node, ECHO);
    let log = Rc::new(RefCell::new(Vec::new()));
    let (messages, ends) = (Rc::clone(&log), Rc::clone(&log));
    channel.on_message(move |channel, message| {
        let value: Value = message.unwrap().parse().unwrap();
        messages.borrow_mut().push(value.to_string());
        if value == json!(2) {
            channel.disconnect();
        }
    });
    channel.on_disconnect(move |_| ends.borrow_mut().push("disconnected".to_owned()));
    channel.send_with("1", |_, sent| sent.unwrap()).unwrap();
    channel.send("2").unwrap();
    run(&lp);
    assert_eq!(*log.borrow(), ["1", "2", "disconnected"]);
}

#[test]
fn a_message_of_ten_mebibytes_goes_both_ways() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let (_child, channel) = fork(&lp, node, ECHO);
    let long = "0123456789abcdef".repeat(10 * 1024 * 64);
    let back = in_time(&lp, async {
        channel.send_json(&long).unwrap();
        next(&channel).await
    });
    assert_eq!(back.bytes().len(), 10 * 1024 * 1024 + 2);
    assert!(back.parse::<String>().unwrap() == long, "it is the same");
}

#[test]
fn a_hundred_thousand_small_messages_go_both_ways_in_order() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let (_child, channel) = fork(&lp, node, ECHO);
    let sender = channel.clone();
    lp.spawn(async move {
        for number in 0..100_000 {
            sender.send_when_room(Message::json(&number).unwrap()).await.unwrap();
        }
    });
    in_time(&lp, async {
        for number in 0..100_000 {
            assert_eq!(next_value(&channel).await, json!(number));
        }
    });
}

#[test]
fn a_child_that_dies_in_the_middle_of_a_message_is_reported() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let script = r#"process.send('whole', () => {
        require('fs').writeSync(3, '{"half": "of it');
        process.kill(process.pid, 'SIGKILL');
    })"#;
    let (child, channel) = fork(&lp, node, script);
    in_time(&lp, async {
        assert_eq!(next_value(&channel).await, "whole");
        let cut = channel.recv().await.unwrap();
        assert!(matches!(cut, Err(ReceiveError::Truncated { len: 15 })), "{cut:?}");
        assert!(channel.recv().await.is_none());
        let status = child.wait().await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::KILL.number()));
    });
}

#[test]
fn malformed_json_is_reported_and_the_channel_goes_on() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let script = r#"require('fs').writeSync(3, '{"a": oops}\n\n'); process.send('next')"#;
    let (_child, channel) = fork(&lp, node, script);
    assert!(matches!(channel.send("{oops}"), Err(SendError::NotJson { .. })));
    in_time(&lp, async {
        let bad = channel.recv().await.unwrap().unwrap_err().to_string();
        assert!(bad.contains("line 1 column 7") && bad.contains("oops"), "{bad}");
        assert!(matches!(channel.recv().await, Some(Err(ReceiveError::Malformed { .. }))));
        assert_eq!(next_value(&channel).await, "next");
    });
}

#[test]
fn a_message_over_the_limit_is_refused_here_and_skipped_from_there() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let limits = ChannelLimits { message_len_max: 1000, ..ChannelLimits::default() };
    let script = "process.send('x'.repeat(5000)); process.send('next'); setInterval(() => {}, 1000)";
    let (_child, channel) = fork_with(&lp, node, script, limits);
    let refused = channel.send_json(&"x".repeat(999)).unwrap_err();
    assert_eq!(refused.to_string(), "a message of 1001 bytes is too long: the limit is 1000");
    in_time(&lp, async {
        let skipped = channel.recv().await.unwrap();
        assert!(matches!(skipped, Err(ReceiveError::TooLong { len: 5002, limit: 1000 })), "{skipped:?}");
        assert_eq!(next_value(&channel).await, "next");
    });
}

#[test]
fn a_child_that_never_reads_fills_the_queue_and_no_more() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let limits = ChannelLimits { send_queue_len_max: 1 << 20, ..ChannelLimits::default() };
    // It is stopped as soon as it runs, and reads nothing.
    let (child, channel) = fork_with(&lp, node, "process.kill(process.pid, 'SIGSTOP')", limits);
    let message = format!("{:?}", "x".repeat(10_000));
    let refused = loop {
        if let Err(refused) = channel.send(message.as_str()) {
            break refused;
        }
    };
    assert!(refused.is_full(), "{refused}");
    assert!(channel.send_queue_len() <= 1 << 20);
    child.kill(Signal::KILL).unwrap();
    in_time(&lp, async { while channel.recv().await.is_some() {} });
}

#[test]
fn a_listener_that_is_handed_to_a_node_child_serves_there() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let script = "process.on('message', (m, server) => {
        if (!server) return process.send(m);
        server.on('connection', (socket) => socket.end('from node: ' + m.text));
        process.send('listening');
    })";
    let (_child, channel) = fork(&lp, node, script);
    let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let text = in_time(&lp, async {
        let message = Message::json(&json!({"text": "hello"})).unwrap();
        channel.send(message.attach(Attachment::listener(&listener).unwrap())).unwrap();
        channel.send_json("behind it").unwrap();
        drop(listener); // the child has its own
        assert_eq!(next_value(&channel).await, "listening");
        assert_eq!(next_value(&channel).await, "behind it", "messages keep their order");
        read_all(&lp, address).await
    });
    assert_eq!(text, "from node: hello");
}

#[test]
fn connections_that_are_handed_to_a_node_child_are_answered_there() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let script = "process.on('message', (m, socket) => socket.end('answer ' + m))";
    let (_child, channel) = fork(&lp, node, script);
    let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    in_time(&lp, async {
        let clients: Vec<_> = (0..5).map(|_| lp.spawn(read_all(&lp, address))).collect();
        for number in 0..5 {
            let (stream, _) = listener.accept().await.unwrap();
            let message = Message::json(&number).unwrap();
            channel.send(message.attach(Attachment::stream(&stream).unwrap())).unwrap();
        }
        let mut answers = Vec::new();
        for client in clients {
            answers.push(client.await.unwrap());
        }
        answers.sort();
        assert_eq!(answers, ["answer 0", "answer 1", "answer 2", "answer 3", "answer 4"]);
    });
}

#[test]
fn a_server_that_a_node_child_sends_serves_here() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let script = "const server = require('net').createServer();
        server.listen(0, '127.0.0.1', () => { process.send('ignored', server); process.send('server', server); process.send('after') });
        process.on('message', () => process.exit())";
    let (_child, channel) = fork(&lp, node, script);
    let (address, listener) = in_time(&lp, async {
        drop(next(&channel).await); // its socket is closed with it
        let mut message = next(&channel).await;
        assert_eq!(message.bytes(), b"\"server\"");
        let attachment = message.take_attachment().unwrap();
        assert_eq!(attachment.kind(), AttachmentKind::Listener);
        let listener = attachment.into_tcp_listener(&lp).unwrap();
        assert_eq!(next_value(&channel).await, "after");
        channel.send_json("exit").unwrap();
        assert!(channel.recv().await.is_none());
        (listener.local_addr().unwrap(), listener)
    });
    lp.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"from phaseloop").await.unwrap();
    });
    assert_eq!(in_time(&lp, read_all(&lp, address)), "from phaseloop");
}

#[test]
fn messages_of_what_is_built_on_the_channel_go_to_its_hook() {
    let Some(node) = peer("node") else { return };
    let lp = EventLoop::new().unwrap();
    let script = "process.on('internalMessage', (m) => process.send({ got: m.act }));
        process.channel.ref(); // a listener for messages would do that
        process.send({ cmd: 'NODE_CLUSTER', act: 'online' })";
    let (_child, channel) = fork(&lp, node, script);
    let acts = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&acts);
    channel.on_internal(move |channel, message| {
        let value: Value = message.parse().unwrap();
        seen.borrow_mut().push(value["act"].to_string());
        channel.send_json(&json!({"cmd": "NODE_CLUSTER", "act": "answer"})).unwrap();
    });
    in_time(&lp, async { assert_eq!(next_value(&channel).await, json!({"got": "answer"})) });
    assert_eq!(*acts.borrow(), ["\"online\""]);
}

/// What a server sends until it ends.
fn read_all(lp: &EventLoop, address: std::net::SocketAddr) -> impl Future<Output = String> + use<> {
    let lp = lp.handle();
    async move {
        let stream = TcpStream::connect(&lp, address).await.expect("the exchange works");
        let (mut text, mut buf) = (Vec::new(), [0; 100]);
        loop {
            match stream.read(&mut buf).await.expect("the exchange works") {
                0 => return String::from_utf8(text).expect("the exchange works"),
                len => text.extend_from_slice(&buf[..len]),
            }
        }
    }
}

// --- a Node parent ----------------------------------------------------------------------------------------------------

/// Runs a script in Node, which has this program in `bin`, and gives what it printed.
fn node_parent(node: PathBuf, script: &str, role: &str) -> String {
    let lp = EventLoop::new().expect("the exchange works");
    let prelude = format!(
        "const {{ fork, spawn }} = require('child_process'), net = require('net');
        const bin = {:?}, args = ['acts_as_a_child', '--nocapture'];
        const begin = () => fork('--exact', args, {{ execPath: bin, execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }});\n",
        std::env::current_exe().expect("the exchange works")
    );
    let mut options = ExecOptions::default();
    options.timeout = Some(LIMIT);
    let command = Command::new(node).args(["-e", &(prelude + script)]).env(ROLE, role);
    let output =
        lp.block_on(command.output(&lp, options)).expect("the exchange works").expect("node ends in time");
    assert!(output.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the exchange works")
}

#[test]
fn a_node_parent_exchanges_messages_with_us() {
    let Some(node) = peer("node") else { return };
    let script = "const child = begin();
        child.on('message', (m) => { console.log(JSON.stringify(m)); if (m === 3) child.send('end'); });
        child.on('exit', (code) => console.log('exit', code));
        child.on('disconnect', () => console.log('disconnect'));
        for (const m of [{ a: [1] }, 'two', 3]) child.send(m)";
    let printed = node_parent(node, script, "echo");
    let mut lines: Vec<_> = printed.lines().collect();
    lines[3..].sort_unstable(); // Node tells of both as they come
    assert_eq!(lines, ["{\"a\":[1]}", "\"two\"", "3", "disconnect", "exit 0"]);
}

#[test]
fn we_end_when_a_node_parent_disconnects() {
    let Some(node) = peer("node") else { return };
    let script = "const child = begin();
        child.on('message', () => child.disconnect());
        child.on('exit', (code) => console.log('exit', code));
        child.send('hello')";
    assert_eq!(node_parent(node, script, "echo"), "exit 0\n");
}

#[test]
fn a_server_of_a_node_parent_serves_here_and_its_sockets_too() {
    let Some(node) = peer("node") else { return };
    // Closed in the parent before anybody connects, or it would take connections from the one backlog too.
    let script = "const child = begin(), shared = net.createServer(), own = net.createServer({ pauseOnConnect: true });
        const get = (port, then) => { let text = ''; const socket = net.connect(port, '127.0.0.1');
            socket.on('data', (data) => text += data).on('end', () => { console.log(text); then(); }); };
        shared.listen(0, '127.0.0.1', () => child.send('server', shared));
        child.once('message', () => {
            const { port } = shared.address();
            shared.close();
            get(port, () => {
                own.on('connection', (socket) => child.send('socket', socket));
                own.listen(0, '127.0.0.1', () => get(own.address().port, () =>
                    own.close(() => { console.log('closed'); child.send('end'); })));
            });
        });";
    assert_eq!(node_parent(node, script, "serve"), "from the server\nfrom the socket\nclosed\n");
}

#[test]
fn a_node_parent_gets_a_server_of_ours() {
    let Some(node) = peer("node") else { return };
    let script = "const child = begin();
        child.on('message', (m, server) => {
            server.on('connection', (socket) => { socket.end('from node'); server.close(); });
            net.connect(server.address().port, '127.0.0.1').on('data', (data) => { console.log(m, `${data}`); child.disconnect(); });
        });";
    assert_eq!(node_parent(node, script, "listen"), "ours from node\n");
}

/// No test of its own: what the tests above have Node run.
#[test]
fn acts_as_a_child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let lp = EventLoop::new().unwrap();
    let channel =
        ipc::from_env(&lp, Framing::NODE, ChannelLimits::default()).unwrap().expect("Node gave one");
    let again = ipc::from_env(&lp, Framing::NODE, ChannelLimits::default()).unwrap_err().to_string();
    assert!(again.contains("no inherited descriptor"), "{again}");
    match role.as_str() {
        "echo" => channel.on_message(|channel, message| match message.unwrap() {
            message if message.bytes() == b"\"end\"" => channel.disconnect(),
            message => channel.send(message).unwrap(),
        }),
        "serve" => serve(&channel),
        "listen" => {
            let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
            let attachment = Attachment::listener(&listener).unwrap();
            channel.send(Message::json("ours").unwrap().attach(attachment)).unwrap();
            channel.on_message(|_, _| {});
        }
        other => panic!("no role is called {other}"),
    }
    drop(channel);
    run(&lp);
}

/// Serves with what the parent sends: a server, or connections.
fn serve(channel: &Channel) {
    let server: Rc<Cell<Option<TcpListener>>> = Rc::default();
    channel.on_message(move |channel, message| {
        let (lp, mut message) = (channel.lp().clone(), message.expect("the exchange works"));
        let attachment = message.take_attachment();
        match (message.bytes(), attachment) {
            (b"\"server\"", Some(listener)) => {
                let listener = listener.into_tcp_listener(&lp).expect("the exchange works");
                let answer = |_: &_, stream: std::io::Result<TcpStream>| {
                    say(&stream.expect("the exchange works"), "from the server")
                };
                listener.on_connection(answer).expect("the exchange works");
                server.set(Some(listener));
                channel.send_json("serving").expect("the exchange works");
            }
            (b"\"socket\"", Some(stream)) => {
                say(&stream.into_tcp_stream(&lp).expect("the exchange works"), "from the socket")
            }
            (b"\"end\"", None) => {
                server.take().expect("it came first").close();
                channel.disconnect();
            }
            _ => panic!("{message:?}"),
        }
    });
}

fn say(stream: &TcpStream, text: &str) {
    stream.queue_write(text.as_bytes()).expect("the exchange works");
    stream.shutdown_with(|stream, _| stream.close()).expect("the exchange works");
}
