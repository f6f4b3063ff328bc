//! Engine.IO by WebSocket, in virtual time, with clients that speak bytes.
#![cfg(feature = "socketio")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use peer::{Raw, body, ms, on_loop, secs, start};
use phaseloop::LoopHandle;
use phaseloop_server::engineio::{CloseReason, Engine, Message, Options, Session};
use phaseloop_server::http::{Server, Serving};

/// An engine that serves, the session that came last, and how sessions ended.
struct Fixture {
    engine: Engine,
    serving: Serving,
    address: SocketAddr,
    last: Rc<RefCell<Option<Session>>>,
    ends: Rc<RefCell<Vec<CloseReason>>>,
}

/// Sessions echo text.
fn echo(lp: &LoopHandle, options: Options) -> Fixture {
    let (last, ends) =
        (Rc::<RefCell<Option<Session>>>::default(), Rc::<RefCell<Vec<CloseReason>>>::default());
    let (kept, noted) = (Rc::clone(&last), Rc::clone(&ends));
    let engine = Engine::new(options, move |session, _| {
        let (back, noted) = (session.clone(), Rc::clone(&noted));
        session.on_message(move |message| {
            if let Message::Text(text) = message {
                back.send_text(text).unwrap();
            }
        });
        session.on_close(move |reason| noted.borrow_mut().push(reason));
        kept.replace(Some(session));
    });
    let (serving, address) = start(lp, Server::new(engine.clone()));
    Fixture { engine, serving, address, last, ends }
}

impl Fixture {
    /// A client that has opened a session by WebSocket.
    async fn websocket(&self, lp: &LoopHandle) -> Raw {
        let mut raw = open(lp, self.address, "").await;
        raw.bytes_until(b"maxPayload").await;
        raw
    }

    fn session(&self) -> Session {
        self.last.borrow().clone().unwrap()
    }
}

/// A WebSocket, for a session that there is or for a new one.
async fn open(lp: &LoopHandle, address: SocketAddr, sid: &str) -> Raw {
    let head = format!(
        "GET /engine.io/?EIO=4&transport=websocket{sid} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut raw = Raw::ask(lp, address, head).await;
    let reply = raw.reply().await;
    assert!(reply.starts_with("HTTP/1.1 101 "), "{reply}");
    raw
}

/// A short masked frame, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | len, 0, 0, 0, 0][..], payload].concat()
}

#[test]
fn a_flood_of_pings_that_takes_no_pong_costs_little() {
    on_loop(async |lp| {
        let it = echo(&lp, Options::default());
        let mut flooder = it.websocket(&lp).await;
        let pings = frame(0x89, &[7; 125]).repeat(1000);
        let waiting = lp.begin_request(); // no time passes
        for _ in 0..FLOOD {
            flooder.send(&pings).await; // all of it is read
        }
        drop(waiting);
        flooder.send(frame(0x81, b"4the end")).await;
        let got = flooder.bytes_until(b"4the end").await;
        assert!(got < 16 * 1024 * 1024, "{got} bytes of {} waited", FLOOD * 127_000);
    });
}

/// Thousands of pings, 32 MB in all: more than the limit and the system's buffers take.
const FLOOD: usize = 250;

#[test]
fn a_client_that_takes_nothing_goes_with_its_session() {
    for end in [CloseReason::PingTimeout, CloseReason::ServerShuttingDown, CloseReason::TransportError] {
        on_loop(async |lp| {
            let mut options = Options::default();
            options.send_queue_len_max = 16 * 1024 * 1024;
            let it = echo(&lp, options);
            let stuck = it.websocket(&lp).await;
            let session = it.session();
            for _ in 0..12 {
                session.send_text(&"x".repeat(1024 * 1024)).unwrap();
            }
            lp.sleep(secs(1)).await; // the system's buffers are full
            assert!(session.queued() > 0);
            match end {
                CloseReason::PingTimeout => lp.sleep(secs(60)).await,
                CloseReason::ServerShuttingDown => it.engine.close(),
                _ => while session.send_text(&"x".repeat(1024 * 1024)).is_ok() {},
            }
            lp.sleep(secs(6)).await;
            assert_eq!(*it.ends.borrow(), [end]);
            assert_eq!((it.serving.stats().connections, session.queued()), (0, 0), "{end}");
            drop(stuck);
        });
    }
}

/// A client that polls, on one connection.
struct Polling {
    raw: Raw,
    sid: String,
}

impl Polling {
    async fn open(lp: &LoopHandle, address: SocketAddr) -> Self {
        let mut it = Self { raw: Raw::connect(lp, address).await, sid: String::new() };
        it.ask().await;
        let facts: serde_json::Value = serde_json::from_str(&body(&it.raw.reply().await)[1..]).unwrap();
        it.sid = format!("&sid={}", facts["sid"].as_str().unwrap());
        it
    }

    /// Asks for what waits.
    async fn ask(&self) {
        let target = format!("/engine.io/?EIO=4&transport=polling{}", self.sid);
        self.raw.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    }

    /// What that is answered with, at once or later.
    async fn payload(&mut self) -> String {
        body(&self.raw.late_reply().await).to_owned()
    }
}

#[test]
fn polls_wait_as_ever_until_the_websocket_is_probed_and_then_do_not_spin() {
    on_loop(async |lp| {
        let it = echo(&lp, Options::default());
        let mut polling = Polling::open(&lp, it.address).await;
        polling.ask().await;
        let mut websocket = open(&lp, it.address, &polling.sid).await;
        for said in ["4one", "4two"] {
            websocket.send(frame(0x89, said.as_bytes())).await;
            websocket.bytes_until(said.as_bytes()).await; // it is there, and waits for the probe
            it.session().send_text(&said[1..]).unwrap();
            assert_eq!(polling.payload().await, said);
            polling.ask().await;
        }
        websocket.send(frame(0x81, b"2probe")).await;
        websocket.bytes_until(b"3probe").await;
        // From here on polls come home, also those that the client made before it heard of the probe.
        let before = lp.now();
        for _ in 0..3 {
            assert_eq!(polling.payload().await, "6");
            polling.ask().await;
        }
        assert!(lp.now() - before >= ms(200), "{:?}", lp.now() - before);
        websocket.send(frame(0x81, b"5")).await;
        assert_eq!(polling.payload().await, "6");
        websocket.send(frame(0x81, b"4there")).await;
        websocket.bytes_until(b"4there").await;
    });
}
