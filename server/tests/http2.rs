//! HTTP/2 by prior knowledge, and what is done against its floods: frames by hand.

#![cfg(feature = "http2")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use peer::{Raw, on_loop, secs, start};
use phaseloop::LoopHandle;
use phaseloop::net::TcpStream;
use phaseloop_server::http::{Body, Limits, Protocol, Request, RequestExt, Server, Serving};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u8 = 0xb;

/// A GET of `/` from `x`, in HPACK: three entries of the static table, and a literal.
const GET: &[u8] = b"\x82\x86\x84\x41\x01x";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A client that sends frames and looks at those that come.
struct Client {
    lp: LoopHandle,
    stream: TcpStream,
}

impl Client {
    async fn connect(lp: &LoopHandle, address: std::net::SocketAddr) -> Self {
        let raw = Raw::ask(lp, address, [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        Self { lp: lp.clone(), stream: raw.stream }
    }

    async fn send(&self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame, or `None` once the other side has closed.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The body of the answer on `stream`; no time passes.
    async fn answer(&mut self, stream: u32) -> String {
        let waiting = self.lp.begin_request();
        let mut body = Vec::new();
        loop {
            let frame = self.next().await.expect("the answer comes before the end");
            if frame.stream == stream && frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                drop(waiting);
                return String::from_utf8(body).unwrap();
            }
        }
    }

    /// What comes next on `stream`, however long that takes in virtual time.
    #[cfg(feature = "ws")]
    async fn data(&mut self, stream: u32) -> Vec<u8> {
        loop {
            let frame = self.next().await.expect("the connection stays");
            if (frame.kind, frame.stream) == (DATA, stream) {
                return frame.payload;
            }
        }
    }

    /// Reads until the end and gives the code of the last GOAWAY, if there was one.
    async fn goaway(&mut self) -> Option<u8> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = frame.payload.get(7).copied();
            }
        }
        code
    }

    /// Sends `bytes` again and again, until the server has had enough, while reading what it says: the code of its GOAWAY,
    /// and how often it took them. More than `often` times fails.
    async fn flood(&mut self, bytes: &[u8], often: usize) -> (Option<u8>, usize) {
        let (stream, bytes, taken) = (self.stream.clone(), bytes.to_vec(), Rc::new(Cell::new(0)));
        let counted = Rc::clone(&taken);
        let flooding = self.lp.spawn(async move {
            while counted.get() < often && stream.write_all(&bytes).await.is_ok() {
                counted.set(counted.get() + 1);
            }
        });
        let code = self.goaway().await;
        flooding.abort();
        (code, taken.get())
    }
}

async fn say(request: Request<Body>) -> String {
    assert_eq!(request.connection().unwrap().protocol, Protocol::Http2);
    request.into_body().text().await.unwrap() + "."
}

#[test]
fn streams_are_answered_as_they_come() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(say));
        let mut client = Client::connect(&lp, address).await;
        client.send(&frame(HEADERS, END_HEADERS, 1, GET)).await; // its body is open
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 3, GET)).await;
        assert_eq!(client.answer(3).await, ".");
        client.send(&frame(DATA, 0, 1, b"late")).await;
        client.send(&frame(DATA, END_STREAM, 1, b"r")).await;
        assert_eq!(client.answer(1).await, "later.");
        assert_eq!((serving.stats().connections, serving.stats().requests), (1, 2));
    });
}

#[test]
fn a_host_beside_the_authority_is_one_and_valid() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(say));
        let mut client = Client::connect(&lp, address).await;
        // `host` of the static table, and a literal.
        let asked: [(&[u8], &[u8], &str); 6] = [
            (GET, b"\x66\x01x", "."),
            (GET, b"\x66\x01X", "."),
            (GET, b"\x66\x01x\x66\x01x", "a request has one Host\n"),
            (GET, b"\x66\x03a b", "the Host is none\n"),
            (GET, b"\x66\x01y", "the Host is another than the authority\n"),
            (b"\x82\x86\x84\x41\x03u@x", b"", "the authority is none\n"),
        ];
        for ((head, hosts, says), stream) in asked.into_iter().zip([1, 3, 5, 7, 9, 11]) {
            client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &[head, hosts].concat())).await;
            assert_eq!(client.answer(stream).await, says);
        }
    });
}

#[test]
fn a_preface_in_pieces_is_understood() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(say));
        let raw = Raw::connect(&lp, address).await;
        for byte in PREFACE {
            raw.send([*byte]).await;
            phaseloop::yield_now().await;
        }
        let mut client = Client { lp: lp.clone(), stream: raw.stream };
        client.send(&frame(SETTINGS, 0, 0, &[])).await;
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await;
        assert_eq!(client.answer(1).await, ".");
    });
}

#[test]
fn a_length_that_is_wrong_goes_before_the_answer() {
    on_loop(async |lp| {
        let handler = async |_: Request<Body>| "nobody reads the body";
        let (_serving, address) = start(&lp, Server::new(handler));
        let mut client = Client::connect(&lp, address).await;
        // A content-length of the static table.
        let head = frame(HEADERS, END_HEADERS, 1, &[b"\x83\x86\x84\x41\x01x", &b"\x5c\x01\x31"[..]].concat());
        client.send(&[head, frame(DATA, END_STREAM, 1, b"four")].concat()).await;
        let answered = loop {
            match client.next().await {
                Some(frame) if [HEADERS, RST_STREAM, GOAWAY].contains(&frame.kind) => break frame.kind,
                Some(_) => {}
                None => panic!("the connection stays"),
            }
        };
        assert_eq!(answered, RST_STREAM);
    });
}

#[test]
fn a_panic_at_once_costs_its_stream_only() {
    on_loop(async |lp| {
        lp.on_task_failure(|_, _| {});
        let asked = Cell::new(0);
        let handler = move |_: Request<Body>| {
            asked.set(asked.get() + 1);
            let is_first = asked.get() == 1;
            async move {
                assert!(!is_first, "this stream is not answered");
                "well"
            }
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let mut client = Client::connect(&lp, address).await;
        let both = [1, 3].map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, GET)).concat();
        client.send(&both).await;
        assert_eq!(client.answer(3).await, "well");
        assert_eq!((lp.task_failures(), serving.stats().connections), (1, 1));
    });
}

#[test]
fn a_reset_drops_a_handler_that_waits() {
    on_loop(async |lp| {
        let waits = Rc::new(());
        let held = Rc::downgrade(&waits);
        let waits = Cell::new(Some(waits));
        let handler = move |_: Request<Body>| {
            let waits = waits.take();
            async move {
                let _waits = waits;
                std::future::pending::<()>().await;
            }
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let client = Client::connect(&lp, address).await;
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await;
        lp.sleep(peer::ms(1)).await;
        assert!(held.upgrade().is_some());
        client.send(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await;
        lp.sleep(peer::ms(1)).await;
        assert!(held.upgrade().is_none());
        assert_eq!(serving.stats().connections, 1);
    });
}

#[test]
fn a_handler_that_shuts_down_at_once_is_answered() {
    on_loop(async |lp| {
        let own = Rc::new(RefCell::new(None::<Serving>));
        let shut = Rc::clone(&own);
        let handler = async move |_: Request<Body>| {
            drop(shut.borrow().as_ref().unwrap().shutdown(secs(10)));
            "the last"
        };
        let (serving, address) = start(&lp, Server::new(handler));
        own.replace(Some(serving));
        let mut client = Client::connect(&lp, address).await;
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await;
        assert_eq!(client.answer(1).await, "the last");
        own.take();
    });
}

#[test]
fn a_shutdown_sends_goaway_and_finishes_what_is_under_way() {
    on_loop(async |lp| {
        let handler = async |_: Request<Body>| {
            phaseloop::sleep(secs(5)).await;
            "done"
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let mut client = Client::connect(&lp, address).await;
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await;
        lp.sleep(secs(1)).await;
        let report = serving.shutdown(secs(30));
        let (mut seen, mut body) = (Vec::new(), Vec::new());
        while let Some(frame) = client.next().await {
            if frame.kind == PING && frame.flags == 0 {
                client.send(&self::frame(PING, 1, 0, &frame.payload)).await; // the answer that ends the first GOAWAY
            }
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            seen.push(frame.kind);
        }
        assert_eq!(body, b"done");
        let goaways = seen.iter().filter(|kind| **kind == GOAWAY).count();
        assert_eq!(goaways, 2, "one to tell, one to say which stream is the last: {seen:?}");
        drop(client);
        let report = report.await.unwrap();
        assert_eq!((report.finished, report.cut.len()), (1, 0), "{report}");
    });
}

#[test]
fn an_idle_connection_is_told_and_closed() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(say));
        let mut client = Client::connect(&lp, address).await;
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await;
        assert_eq!(client.answer(1).await, ".");
        let before = lp.now();
        assert_eq!(client.goaway().await, Some(0));
        let took = lp.now() - before;
        assert!((secs(75)..secs(80)).contains(&took), "{took:?}");
        drop(client);
        lp.sleep(secs(3)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn a_peer_that_opens_no_window_is_cut() {
    on_loop(async |lp| {
        let handler = async |_: Request<Body>| {
            let (mut sender, body) = Body::channel(64 * 1024);
            phaseloop::spawn(async move { while sender.send(vec![b'x'; 16 * 1024]).await.is_ok() {} });
            phaseloop_server::http::Response::new(body)
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let mut client = Client::connect(&lp, address).await;
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await;
        // It reads all that the window of 64 KiB lets through, and asks for no more.
        let before = lp.now();
        client.goaway().await;
        assert!((secs(30)..secs(40)).contains(&(lp.now() - before)));
        drop(client);
        lp.sleep(secs(3)).await;
        assert_eq!(serving.stats().connections, 0);
        assert_eq!(lp.task_count(), 2, "the test and the accepting: the writer learned of it");
    });
}

#[test]
fn floods_of_frames_that_carry_nothing_are_cut_off() {
    let floods = [
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("acknowledged PING", frame(PING, 1, 0, &[7; 8])),
        ("unknown", frame(0x99, 0, 0, b"?")),
    ];
    for (name, bytes) in floods {
        on_loop(async |lp| {
            let (serving, address) = start(&lp, Server::new(say));
            let mut client = Client::connect(&lp, address).await;
            let (code, taken) = client.flood(&bytes, 100_000).await;
            assert!(taken < 50_000, "{name}: {taken} were taken");
            assert!(matches!(code, Some(ENHANCE_YOUR_CALM) | None), "{name}: {code:?}");
            drop(client);
            lp.sleep(secs(5)).await;
            assert_eq!(serving.stats().connections, 0, "{name}");
        });
    }
}

#[test]
fn the_peer_is_told_why_when_it_listens() {
    on_loop(async |lp| {
        let limits = {
            let mut limits = Limits::default();
            limits.control_frames_burst = 20;
            limits
        };
        let (_serving, address) = start(&lp, Server::new(say).limits(limits));
        let mut client = Client::connect(&lp, address).await;
        client.send(&frame(PING, 1, 0, &[7; 8]).repeat(21)).await;
        assert_eq!(client.goaway().await, Some(ENHANCE_YOUR_CALM));
    });
}

#[test]
fn rapid_resets_are_cut_off() {
    on_loop(async |lp| {
        let running = Rc::new(Cell::new(0));
        let most = Rc::new(Cell::new(0));
        let (counted, peak) = (Rc::clone(&running), Rc::clone(&most));
        let handler = async move |_: Request<Body>| {
            counted.set(counted.get() + 1);
            peak.set(peak.get().max(counted.get()));
            phaseloop::sleep(secs(60)).await;
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let mut client = Client::connect(&lp, address).await;
        let stream = client.stream.clone();
        lp.spawn(async move {
            for id in (1..200_000).step_by(2) {
                let open = frame(HEADERS, END_HEADERS | END_STREAM, id, GET);
                let reset = frame(RST_STREAM, 0, id, &8u32.to_be_bytes());
                if stream.write_all(&[open, reset].concat()).await.is_err() {
                    return;
                }
            }
        });
        let code = client.goaway().await;
        assert!(matches!(code, Some(ENHANCE_YOUR_CALM) | None), "{code:?}");
        assert!(serving.stats().requests < 1_000, "{:?}", serving.stats());
        assert!(most.get() <= 400, "{} handlers were started", most.get());
        drop(client);
        lp.sleep(secs(5)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn headers_without_end_are_cut_off() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(say));
        let mut client = Client::connect(&lp, address).await;
        client.send(&frame(HEADERS, END_STREAM, 1, GET)).await;
        // A literal that is not indexed: `x: yyyy...`.
        let field = [b"\x00\x01x\x7f\x81\x07".as_slice(), &[b'y'; 1024]].concat();
        let (code, taken) = client.flood(&frame(CONTINUATION, 0, 1, &field), 100_000).await;
        assert!(taken < 10_000, "{taken} were taken");
        assert!(matches!(code, Some(1 | ENHANCE_YOUR_CALM) | None), "{code:?}");
        drop(client);
        lp.sleep(secs(5)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn a_list_of_headers_that_is_small_only_on_the_wire_is_refused() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(say));
        let mut client = Client::connect(&lp, address).await;
        // A field of 4000 bytes that is put into the table, and then named by one byte, ten thousand times: 40 MB.
        let field = [b"\x40\x01x\x7f\xa1\x1e".as_slice(), &[b'y'; 4000]].concat();
        let bomb = [GET, &field, &[0xbe; 10_000]].concat();
        assert!(bomb.len() < 16_384);
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await;
        // HPACK goes on behind it, or the connection is ended: either way nobody's handler sees it.
        let waiting = lp.begin_request();
        let mut refused = false;
        while let Some(frame) = client.next().await {
            refused = refused || frame.kind == RST_STREAM || frame.kind == GOAWAY || frame.kind == HEADERS;
            if refused {
                assert!(
                    frame.kind != HEADERS || frame.payload.starts_with(b"\x48\x03431"),
                    "{:x?}",
                    frame.payload
                );
                break;
            }
        }
        drop(waiting);
        assert!(refused);
    });
}

#[test]
fn more_streams_than_allowed_are_refused_one_by_one() {
    on_loop(async |lp| {
        let handler = async |_: Request<Body>| phaseloop::sleep(secs(5)).await;
        let limits = {
            let mut limits = Limits::default();
            limits.streams_per_connection_max = 2;
            limits
        };
        let (_serving, address) = start(&lp, Server::new(handler).limits(limits));
        let mut client = Client::connect(&lp, address).await;
        for id in [1, 3, 5] {
            client.send(&frame(HEADERS, END_HEADERS | END_STREAM, id, GET)).await;
        }
        loop {
            let frame = client.next().await.expect("the connection stays");
            if frame.kind == RST_STREAM {
                const REFUSED_STREAM: &[u8] = &[0, 0, 0, 7];
                assert_eq!((frame.stream, frame.payload.as_slice()), (5, REFUSED_STREAM));
                return;
            }
        }
    });
}

/// A header that is no entry of a table.
#[cfg(feature = "ws")]
fn literal(name: &str, value: &str) -> Vec<u8> {
    let len = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, len(name)], name.as_bytes(), &[len(value)], value.as_bytes()].concat()
}

#[cfg(feature = "ws")]
#[test]
fn a_websocket_on_a_stream_outlives_the_idle_time() {
    use phaseloop_server::ws::{Acceptor, WsOptions};

    on_loop(async |lp| {
        let mut options = WsOptions::default();
        options.ping_interval = secs(0);
        let acceptor = Acceptor::new(options);
        let server = Server::new(move |request: Request<Body>| {
            let response = acceptor.answer(request, async |mut socket| {
                while let Some(message) = socket.next().await {
                    socket.send(message).await.unwrap();
                }
            });
            async { response }
        });
        let (_serving, address) = start(&lp, server);
        let mut client = Client::connect(&lp, address).await;
        let connect = [
            literal(":method", "CONNECT"),
            b"\x86\x84\x41\x01x".to_vec(),
            literal(":protocol", "websocket"),
            literal("sec-websocket-version", "13"),
        ];
        client.send(&frame(HEADERS, END_HEADERS, 1, &connect.concat())).await;
        for pause in [0, 200] {
            lp.sleep(secs(pause)).await;
            client.send(&frame(DATA, 0, 1, b"\x81\x82\0\0\0\0hi")).await;
            assert_eq!(client.data(1).await, b"\x81\x02hi");
        }
    });
}

#[cfg(all(feature = "ws", feature = "socketio"))]
#[test]
fn an_engineio_session_on_a_stream_lives_and_ends_without_its_connection() {
    use phaseloop_server::engineio::{CloseReason, Engine, Message, Options};

    on_loop(async |lp| {
        let end = Rc::new(Cell::new(None));
        let noted = Rc::clone(&end);
        let engine = Engine::new(Options::default(), move |session, _| {
            let (back, noted) = (session.clone(), Rc::clone(&noted));
            session.on_message(move |message| match message {
                Message::Text(text) => drop(back.send_text(text)),
                Message::Binary(bytes) => drop(back.send_binary(bytes)),
            });
            session.on_close(move |reason| noted.set(Some(reason)));
        });
        let (_serving, address) = start(&lp, Server::new(engine.clone()));
        let mut client = Client::connect(&lp, address).await;
        let connect = [
            literal(":method", "CONNECT"),
            literal(":path", "/engine.io/?EIO=4&transport=websocket"),
            b"\x86\x41\x01x".to_vec(),
            literal(":protocol", "websocket"),
            literal("sec-websocket-version", "13"),
        ];
        client.send(&frame(HEADERS, END_HEADERS, 1, &connect.concat())).await;
        let waiting = lp.begin_request(); // no time passes
        let opened = client.data(1).await;
        assert!(opened.starts_with(b"\x81") && opened.windows(5).any(|found| found == b"\"sid\""));
        for said in ["4hi", "4there"] {
            client.send(&frame(DATA, 0, 1, &masked_text(said))).await;
            assert_eq!(client.data(1).await[2..], *said.as_bytes());
        }
        drop(waiting);
        for _ in 0..3 {
            assert_eq!(client.data(1).await, b"\x81\x012"); // when the interval is over
            client.send(&frame(DATA, 0, 1, &masked_text("3"))).await;
        }
        assert_eq!((engine.session_count(), end.get()), (1, None));
        let _waiting = lp.begin_request(); // as above
        client.send(&frame(DATA, 0, 1, b"\x88\x80\0\0\0\0")).await;
        assert_eq!(client.data(1).await, b"\x88\x00");
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 3, GET)).await;
        client.answer(3).await; // the connection stays
        assert_eq!((engine.session_count(), end.get()), (0, Some(CloseReason::TransportClose)));
    });
}

/// A short text in a frame of a WebSocket's client, with a mask of zeros.
#[cfg(all(feature = "ws", feature = "socketio"))]
fn masked_text(text: &str) -> Vec<u8> {
    let len = u8::try_from(text.len()).unwrap();
    [&[0x81, 0x80 | len, 0, 0, 0, 0], text.as_bytes()].concat()
}
