//! Engine.IO by polling, in virtual time: requests are handed to the engine, no socket is involved.
#![cfg(feature = "socketio")]
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::{EventLoop, LoopHandle, sleep};
use phaseloop_server::engineio::{CloseReason, Cors, Engine, Message, Options, SendError, Session};
use phaseloop_server::http::{Body, Method, Request, StatusCode, header};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Short intervals, and small limits.
fn options() -> Options {
    let mut options = Options::default();
    (options.ping_interval, options.ping_timeout) = (ms(300), ms(200));
    (options.max_payload, options.send_queue_len_max, options.sessions_max) = (1000, 5000, 10);
    options
}

type Ends = Rc<RefCell<Vec<CloseReason>>>;

/// An engine that echoes, and notes how sessions end.
fn echo(options: Options) -> (Engine, Ends) {
    let ends = Ends::default();
    let noted = ends.clone();
    let engine = Engine::new(options, move |session: Session, _| {
        let (back, noted) = (session.clone(), noted.clone());
        session.on_message(move |message| {
            match message {
                Message::Text("bye") => back.close(),
                Message::Text(text) => drop(back.send_text(text)),
                Message::Binary(bytes) => drop(back.send_binary(bytes)),
            };
        });
        session.on_close(move |reason| noted.borrow_mut().push(reason));
    });
    (engine, ends)
}

struct Client {
    engine: Engine,
    sid: String,
}

impl Client {
    async fn open(engine: &Engine) -> Self {
        let (status, text) = ask(engine, Method::GET, "EIO=4&transport=polling", "").await;
        assert_eq!(status, 200, "{text}");
        let facts: serde_json::Value = serde_json::from_str(&text[1..]).unwrap();
        Self { engine: engine.clone(), sid: facts["sid"].as_str().unwrap().to_owned() }
    }

    async fn poll(&self) -> (u16, String) {
        ask(&self.engine, Method::GET, &self.query(), "").await
    }

    async fn post(&self, payload: &str) -> (u16, String) {
        ask(&self.engine, Method::POST, &self.query(), payload).await
    }

    fn query(&self) -> String {
        format!("EIO=4&transport=polling&sid={}", self.sid)
    }
}

async fn ask(engine: &Engine, method: Method, query: &str, body: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(format!("/engine.io/?{query}"));
    let response = engine.respond(request.body(Body::from(body.to_owned())).unwrap()).await;
    (response.status().as_u16(), response.into_body().text().await.unwrap())
}

fn run<F: Future>(test: impl FnOnce(LoopHandle) -> F) {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    lp.block_on(test(lp.handle())).unwrap();
}

#[test]
fn the_first_ping_comes_after_one_interval() {
    run(async |lp: LoopHandle| {
        let (engine, _) = echo(options());
        let client = Client::open(&engine).await;
        for _ in 0..3 {
            let before = lp.now();
            assert_eq!(client.poll().await, (200, "2".to_owned()));
            assert_eq!(lp.now() - before, ms(300));
            assert_eq!(client.post("3").await, (200, "ok".to_owned()));
        }
    });
}

#[test]
fn a_client_that_answers_no_ping_is_forgotten() {
    run(async |_| {
        let (engine, ends) = echo(options());
        let client = Client::open(&engine).await;
        sleep(ms(500)).await;
        assert_eq!(client.poll().await, (400, r#"{"code":1,"message":"Session ID unknown"}"#.to_owned()));
        assert_eq!(*ends.borrow(), [CloseReason::PingTimeout]);
        assert_eq!(engine.session_count(), 0);
    });
}

#[test]
fn a_pong_that_nobody_asked_for_does_not_put_the_ping_off() {
    run(async |lp: LoopHandle| {
        let (engine, _) = echo(options());
        let (client, before) = (Client::open(&engine).await, lp.now());
        sleep(ms(200)).await;
        client.post("3").await;
        client.poll().await;
        assert_eq!(lp.now() - before, ms(300));
    });
}

#[test]
fn packets_keep_their_order_and_kind() {
    run(async |_| {
        let (engine, _) = echo(options());
        let client = Client::open(&engine).await;
        client.post("4one\u{1e}bAQIDBA==\u{1e}4").await;
        assert_eq!(client.poll().await.1, "4one\u{1e}bAQIDBA==\u{1e}4");
    });
}

#[test]
fn sessions_begin_with_their_prefix() {
    run(async |_| {
        let mut options = options();
        options.session_prefix = "12~".to_owned();
        let (engine, _) = echo(options);
        let client = Client::open(&engine).await;
        assert!(client.sid.starts_with("12~") && client.sid.len() == 23, "{}", client.sid);
        client.post("4hello").await;
        assert_eq!(client.poll().await.1, "4hello");
    });
}

#[test]
fn refusals_have_the_codes_of_engine_io() {
    run(async |_| {
        let (engine, _) = echo(options());
        let cases = [
            (Method::GET, "EIO=4", 0),
            (Method::GET, "EIO=4&transport=abc", 0),
            (Method::GET, "EIO=4&transport=polling&sid=nobody", 1),
            (Method::POST, "EIO=4&transport=polling", 2),
            (Method::PUT, "EIO=4&transport=polling", 2),
            (Method::GET, "EIO=4&transport=websocket", 3),
            (Method::GET, "EIO=3&transport=polling", 5),
            (Method::GET, "transport=polling", 5),
        ];
        for (method, query, code) in cases {
            let (status, text) = ask(&engine, method, query, "").await;
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((status, json["code"].as_i64()), (400, Some(code)), "{query}: {text}");
        }
        engine.allow_request(|_| Err("not today".to_owned()));
        let refused = ask(&engine, Method::GET, "EIO=4&transport=polling", "").await;
        assert_eq!(refused, (403, r#"{"code":4,"message":"not today"}"#.to_owned()));
    });
}

#[test]
fn two_polls_at_a_time_end_the_session() {
    run(async |lp: LoopHandle| {
        let (engine, ends) = echo(options());
        let client = Rc::new(Client::open(&engine).await);
        let other = client.clone();
        let first = lp.spawn(async move { other.poll().await });
        sleep(ms(1)).await;
        assert_eq!(client.poll().await.0, 400);
        assert_eq!(first.await.unwrap(), (200, "1".to_owned()));
        assert_eq!(client.poll().await.0, 400);
        assert_eq!(*ends.borrow(), [CloseReason::TransportError]);
    });
}

#[test]
fn a_poll_that_is_given_up_ends_the_session() {
    run(async |lp: LoopHandle| {
        let (engine, ends) = echo(options());
        let client = Client::open(&engine).await;
        assert!(lp.timeout(ms(5), client.poll()).await.is_err());
        assert_eq!(*ends.borrow(), [CloseReason::TransportError]); // as Node has it
        assert_eq!(client.poll().await.0, 400);
    });
}

#[test]
fn the_client_closes_and_its_poll_comes_home_even_when_it_is_late() {
    run(async |lp: LoopHandle| {
        let (engine, ends) = echo(options());
        let client = Rc::new(Client::open(&engine).await);
        let other = client.clone();
        let poll = lp.spawn(async move { other.poll().await });
        sleep(ms(1)).await;
        client.post("1").await;
        assert_eq!(poll.await.unwrap(), (200, "6".to_owned()));
        assert_eq!(client.poll().await.0, 400);
        let client = Client::open(&engine).await;
        client.post("1").await;
        assert_eq!(client.poll().await, (200, "6".to_owned()));
        assert_eq!(client.poll().await.0, 400);
        assert_eq!(*ends.borrow(), [CloseReason::TransportClose; 2]);
    });
}

#[test]
fn what_was_sent_before_a_close_still_arrives() {
    run(async |_| {
        let (engine, ends) = echo(options());
        let client = Client::open(&engine).await;
        client.post("4last words\u{1e}4bye").await;
        assert_eq!(*ends.borrow(), [CloseReason::ForcedClose]);
        assert_eq!(client.poll().await, (200, "4last words".to_owned()));
        assert_eq!(client.poll().await, (200, "1".to_owned()));
        assert_eq!(engine.session_count(), 0);
        // And if nobody fetches it, it is forgotten.
        Client::open(&engine).await.post("4bye").await;
        assert_eq!(engine.session_count(), 1);
        sleep(engine.options().linger + ms(1)).await;
        assert_eq!(engine.session_count(), 0);
    });
}

#[test]
fn spoiled_payloads_end_the_session() {
    run(async |_| {
        let (engine, ends) = echo(options());
        for payload in ["abc", "", "4ok\u{1e}", "b!"] {
            let client = Client::open(&engine).await;
            client.post(payload).await;
            assert_eq!(client.poll().await.0, 400, "{payload:?}");
        }
        assert_eq!(*ends.borrow(), [CloseReason::ParseError; 4]);
    });
}

#[test]
fn a_ping_of_the_client_is_an_error_and_other_packets_of_the_server_are_nothing() {
    run(async |_| {
        let (engine, ends) = echo(options());
        let client = Client::open(&engine).await;
        assert_eq!(client.post("0\u{1e}5\u{1e}6\u{1e}4there").await.0, 200);
        assert_eq!(client.poll().await, (200, "4there".to_owned()));
        client.post("2").await;
        assert_eq!(client.poll().await.0, 400);
        assert_eq!(*ends.borrow(), [CloseReason::TransportError]);
    });
}

#[test]
fn a_client_that_takes_nothing_is_bounded() {
    run(async |_| {
        let queued = Rc::new(RefCell::new(Vec::new()));
        let noted = queued.clone();
        let engine = Engine::new(options(), move |session, _| {
            while session.send_text(&"x".repeat(999)).is_ok() {
                noted.borrow_mut().push(session.queued());
            }
            assert_eq!(session.send_text("more"), Err(SendError::Closed));
            assert_eq!(session.close_reason(), Some(CloseReason::TransportError));
            assert_eq!(session.queued(), 0);
        });
        ask(&engine, Method::GET, "EIO=4&transport=polling", "").await;
        assert_eq!(queued.borrow().len(), 4);
        assert_eq!(engine.session_count(), 0);
    });
}

#[test]
fn payloads_and_sessions_are_bounded() {
    run(async |_| {
        let (engine, _) = echo(options());
        let client = Client::open(&engine).await;
        assert_eq!(client.post(&format!("4{}", "x".repeat(1000))).await.0, 413);
        assert_eq!(client.post(&format!("4{}", "x".repeat(999))).await.0, 200);
        for _ in 1..10 {
            Client::open(&engine).await;
        }
        assert_eq!(ask(&engine, Method::GET, "EIO=4&transport=polling", "").await.0, 503);
        for number in 0..10_000 {
            let query = format!("EIO=4&transport=polling&sid={number}");
            assert_eq!(ask(&engine, Method::GET, &query, "").await.0, 400);
        }
        assert_eq!(engine.session_count(), 10);
        engine.close();
        sleep(engine.options().linger + ms(1)).await;
        assert_eq!(engine.session_count(), 0);
    });
}

#[test]
fn other_origins_get_what_they_are_allowed() {
    run(async |_| {
        let mut options = options();
        options.cors = Some(Cors::origins(["https://a.example"]).credentials(true));
        let (engine, _) = echo(options);
        let ask = async |method: Method, origin: &str| {
            let request = Request::builder().method(method).uri("/engine.io/?EIO=4&transport=polling");
            let request = request.header(header::ORIGIN, origin).body(Body::empty()).unwrap();
            engine.respond(request).await
        };
        let preflight = ask(Method::OPTIONS, "https://a.example").await;
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
        assert_eq!(preflight.headers()[header::ACCESS_CONTROL_ALLOW_METHODS], "GET,POST");
        let answer = ask(Method::GET, "https://a.example").await;
        assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        let answer = ask(Method::GET, "https://b.example").await;
        assert!(!answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    });
}
