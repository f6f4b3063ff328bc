//! The web server and the WebSocket client against real peers: the npm packages ws and eventsource, and Chromium.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use examples::ws_echo;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use phaseloop::net::pipe::PipeStream;
use phaseloop::process::{Command, Stdio};
use phaseloop::{EventLoop, LoopHandle};
use phaseloop_server::client::Client;
use phaseloop_server::http::{Body, HeaderValue, Request, Response, Server, Serving, StatusCode, header};
use phaseloop_server::sse::{Channel, ChannelOptions, Event};
use phaseloop_server::tls::{Certificates, DevCertificate, ServerTls};
use phaseloop_server::ws::{
    Acceptor, CloseCode, Connector, DeflateContext, DeflateOptions, Lost, Message, WebSocket, WsOptions,
};
use phaseloop_tests::chromium::Chromium;
use phaseloop_tests::peers::{node_package, peer};

/// Bytes of a script's words.
const SAID_MAX: usize = 256 * 1024;

/// How long a peer may take for all it does, its start included.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs a test on a loop; one whose peer says nothing more fails.
fn on_loop<F: Future>(test: impl FnOnce(LoopHandle) -> F) -> F::Output {
    let lp = EventLoop::new().unwrap();
    let handle = lp.handle();
    lp.block_on(async { handle.timeout(PATIENCE, test(handle.clone())).await.expect("the peer is slow") })
        .unwrap()
}

/// A script with the packages that it needs, or nothing, loudly.
#[track_caller]
fn script(name: &str, package: &str) -> Option<Command> {
    let (node, modules) = (peer("node")?, node_package(package)?);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("web").join(name);
    Some(Command::new(node).arg(script).env("NODE_PATH", modules).stdout(Stdio::pipe()).kill_on_drop())
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

// --- ws ---------------------------------------------------------------------------------------------------------------

#[test]
fn the_client_of_ws_is_content_with_our_server() {
    let Some(command) = script("ws_client.cjs", "ws") else { return };
    let said = on_loop(async |lp| {
        let serving = ws_echo::server(DeflateContext::Connection).listen(&lp, any_port()).unwrap();
        let port = serving.local_addr().unwrap().port().to_string();
        let mut client = command.arg(port).spawn(&lp).unwrap();
        let said = client.take_stdout().unwrap().read_to_end(SAID_MAX).await.unwrap();
        assert!(client.wait().await.unwrap().success());
        String::from_utf8(said).unwrap()
    });
    let bad: Vec<_> = said.lines().filter(|line| line.starts_with("FAILED")).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(said.ends_with("end\n") && said.matches("ok ").count() >= 45, "{said}");
}

#[test]
fn our_client_is_content_with_the_server_of_ws() {
    let Some(command) = script("ws_server.cjs", "ws") else { return };
    on_loop(async |lp| {
        let mut server = command.stdin(Stdio::pipe()).spawn(&lp).unwrap();
        let port = line(&server.take_stdout().unwrap()).await;
        let uri = format!("ws://127.0.0.1:{port}/");
        let plain = Connector::new(&Client::new(&lp), WsOptions::default());
        let mut packing = DeflateOptions::default();
        packing.len_min = 0;
        let message = plain.clone().deflate(packing.clone());
        packing.context = DeflateContext::Connection;
        for connector in [plain.clone(), message, plain.clone().deflate(packing)] {
            talk(&mut connector.connect(&uri).await.unwrap()).await;
        }
        let greeting = header::HeaderName::from_static("x-greeting");
        let polite =
            plain.clone().protocols(["chat", "superchat"]).header(greeting, HeaderValue::from_static("hi"));
        let mut polite = polite.connect(&uri).await.unwrap();
        assert_eq!(polite.protocol(), Some("superchat"));
        assert_eq!(ask(&mut polite, "headers").await, "hi");
        polite.send("break").await.unwrap();
        assert_eq!(polite.next().await, None);
        assert!(matches!(polite.how_closed().unwrap().lost, Some(Lost::NoGoodbye | Lost::Io(_))));
        drop(server.take_stdin());
        assert!(server.wait().await.unwrap().success());
    });
}

async fn talk(socket: &mut WebSocket) {
    for len in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        for message in [Message::from("a".repeat(len)), Message::from(vec![7; len])] {
            socket.send(message.clone()).await.unwrap();
            assert!(socket.next().await == Some(message), "{len} bytes");
        }
    }
    assert_eq!(ask(socket, "pieces").await, "in pieces");
    assert_eq!(ask(socket, "ping").await, "pong p");
    socket.send("close").await.unwrap();
    assert_eq!(socket.next().await, None);
    let closed = socket.how_closed().unwrap();
    assert!(closed.is_clean() && closed.code == CloseCode(4002) && &*closed.reason == "bye", "{closed}");
}

async fn ask(socket: &mut WebSocket, what: &str) -> String {
    socket.send(what).await.unwrap();
    socket.next().await.unwrap().as_text().unwrap().to_owned()
}

/// The first line that a process says.
async fn line(stdout: &PipeStream) -> String {
    let mut said = Vec::new();
    while !said.ends_with(b"\n") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).await.unwrap(), 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    String::from_utf8(said).unwrap().trim().to_owned()
}

// --- event streams that come back -------------------------------------------------------------------------------------

/// The last event.
const LAST: u64 = 400;

/// What is told, whether or not somebody serves it: numbers, the newest last.
#[derive(Default)]
struct News {
    last: u64,
    channel: Option<Channel>,
}

/// A server that can be started anew at its address, and tells who comes.
struct Desk {
    lp: LoopHandle,
    news: Rc<RefCell<News>>,
    page: &'static str,
    came: UnboundedSender<()>,
    result: UnboundedSender<String>,
}

impl Desk {
    /// Serves. Like a program that was started anew, it knows no client, and what was told only from what is kept elsewhere.
    fn open(&self, address: SocketAddr) -> Serving {
        let mut options = ChannelOptions::default();
        (options.replay_max, options.retry) = (1000, Duration::from_millis(20));
        let channel = Channel::new(options);
        let mut news = self.news.borrow_mut();
        for number in 1..=news.last {
            channel.send(event(number));
        }
        news.channel = Some(channel.clone());
        let (page, came, result) = (self.page, self.came.clone(), self.result.clone());
        let server = Server::new(async move |request: Request<Body>| match request.uri().path() {
            "/events" => {
                let response = channel.subscribe(&request);
                came.unbounded_send(()).unwrap();
                response
            }
            "/result" => {
                result.unbounded_send(request.into_body().text().await.unwrap()).unwrap();
                Response::new(Body::empty())
            }
            "/" => page_of(page.replace("LAST", &LAST.to_string())),
            _ => status(StatusCode::NOT_FOUND),
        });
        server.listen(&self.lp, address).unwrap()
    }

    /// Tells the next numbers; who is not there hears of them later.
    fn tell(&self, count: u64) {
        for _ in 0..count {
            let mut news = self.news.borrow_mut();
            news.last += 1;
            if let Some(channel) = &news.channel {
                channel.send(event(news.last));
            }
        }
    }

    /// Closes at once, in the middle of what is told.
    async fn close(&self, serving: Serving) {
        self.news.borrow_mut().channel = None;
        serving.shutdown(Duration::ZERO).await.unwrap();
    }
}

fn event(number: u64) -> Event {
    Event::new(number.to_string()).id(&number.to_string())
}

fn page_of(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Tells all numbers, and starts the server anew three times in between.
async fn tell_all(desk: &Desk, mut serving: Serving, mut came: UnboundedReceiver<()>) -> Serving {
    let address = serving.local_addr().unwrap();
    for _ in 0..3 {
        came.next().await.unwrap();
        desk.tell(50);
        // The last ones are on their way, or not even that, when the server goes.
        phaseloop::yield_now().await;
        desk.tell(25);
        desk.close(serving).await;
        desk.tell(25); // nobody is there
        serving = desk.open(address);
    }
    came.next().await.unwrap();
    desk.tell(LAST - 300);
    serving
}

/// Each number once, and in order.
fn all_numbers() -> String {
    (1..=LAST).map(|number| format!("{number} {number}")).collect::<Vec<_>>().join("\n")
}

fn desk(lp: &LoopHandle, page: &'static str) -> (Desk, UnboundedReceiver<()>, UnboundedReceiver<String>) {
    let ((came, comes), (result, results)) = (unbounded(), unbounded());
    (Desk { lp: lp.clone(), news: Rc::default(), page, came, result }, comes, results)
}

#[test]
fn eventsource_of_npm_loses_and_doubles_nothing_when_the_server_starts_anew() {
    let Some(command) = script("eventsource.cjs", "eventsource") else { return };
    on_loop(async |lp| {
        let (desk, came, _) = desk(&lp, "");
        let serving = desk.open(any_port());
        let url = format!("http://{}/events", serving.local_addr().unwrap());
        let mut client = command.args([&url, &LAST.to_string()]).spawn(&lp).unwrap();
        let _serving = tell_all(&desk, serving, came).await;
        let said = client.take_stdout().unwrap().read_to_end(SAID_MAX).await.unwrap();
        assert_eq!(String::from_utf8(said).unwrap().trim_end(), all_numbers());
    });
}

#[test]
fn eventsource_of_chromium_loses_and_doubles_nothing_when_the_server_starts_anew() {
    let Some(binary) = peer("chromium") else { return };
    on_loop(async |lp| {
        let (desk, came, mut results) = desk(&lp, include_str!("../web/events.html"));
        let serving = desk.open(any_port());
        let url = format!("http://{}/", serving.local_addr().unwrap());
        let _browser = Chromium::new(binary).open(&url, &[]).unwrap();
        let _serving = tell_all(&desk, serving, came).await;
        assert_eq!(results.next().await.unwrap(), all_numbers());
    });
}

// --- all of it on one connection --------------------------------------------------------------------------------------

#[test]
fn chromium_loads_a_page_events_and_a_websocket_over_one_connection_of_http2() {
    let Some(binary) = peer("chromium") else { return };
    on_loop(async |lp| {
        let dev = DevCertificate::generate(["localhost"]).unwrap();
        let tls = ServerTls::new(&Certificates::new(dev.certificate())).unwrap();
        let (result, mut results) = unbounded();
        let acceptor = Acceptor::new(WsOptions::default()).protocols(["superchat"]);
        let acceptor = acceptor.deflate(DeflateOptions::default());
        let channel = Channel::new(ChannelOptions::default());
        for text in ["one", "two", "three"] {
            channel.send(Event::new(text));
        }
        let server = Server::new(async move |mut request: Request<Body>| match request.uri().path() {
            "/" => page_of(include_str!("../web/h2.html").to_owned()),
            "/json" => Response::new(Body::from("{\"hello\":\"world\"}")),
            "/events" => {
                // Who comes for the first time is told all that is kept.
                request.headers_mut().insert("last-event-id", HeaderValue::from_static("0"));
                channel.subscribe(&request)
            }
            "/socket" => acceptor.answer(request, async |mut socket| {
                while let Some(message) = socket.next().await {
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
            }),
            "/result" => {
                result.unbounded_send(request.into_body().text().await.unwrap()).unwrap();
                Response::new(Body::empty())
            }
            _ => status(StatusCode::NOT_FOUND),
        });
        // A WebSocket can not go around HTTP/2 here.
        let serving = server.tls(&tls).allow_http1(false).listen(&lp, any_port()).unwrap();
        let url = format!("https://localhost:{}/", serving.local_addr().unwrap().port());
        let flags = ["--ignore-certificate-errors", "--host-resolver-rules=MAP localhost 127.0.0.1"];
        let _browser = Chromium::new(binary).open(&url, &flags).unwrap();
        let said = results.next().await.unwrap();
        let result: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(result["error"], serde_json::Value::Null, "{said}");
        assert_eq!(result["json"], "world");
        assert_eq!(result["page"], "h2");
        // The browser asks for an icon, too, sooner or later.
        let spoken = result["spoken"].as_array().unwrap();
        assert!(!spoken.is_empty() && spoken.iter().all(|protocol| protocol == "h2"), "{said}");
        assert_eq!(result["events"], serde_json::json!(["one", "two", "three"]));
        let socket = &result["socket"];
        assert!(socket[1].as_str().unwrap().starts_with("permessage-deflate"), "{said}");
        assert_eq!(
            serde_json::json!([socket[0], socket[2], socket[3], socket[4], socket[5]]),
            serde_json::json!(["superchat", "hello", 100_000, 4001, true]),
        );
    });
}

/// Where the scripts are: a test that says if one of them is not used any more.
#[test]
fn every_script_is_used() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let me =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_peers.rs")).unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.iter().all(|file| me.contains(file.file_name().unwrap().to_str().unwrap())), "{files:?}");
}
