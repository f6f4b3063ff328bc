//! What the adapter of Socket.IO does with peers that make no sense, and without Redis.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::StreamExt;
use phaseloop::LoopHandle;
use phaseloop::channel::oneshot;
use phaseloop_server::http::{Body, Method, Request};
use phaseloop_server::redis::{Client, cmd};
use phaseloop_server::socketio::{AckError, Io, RedisAdapter, RedisAdapterOptions};
use phaseloop_tests::redis_server::Redis;
use serde_json::{Value, json};

use crate::server::{ask, disconnected, ms, on_loop, secs, server};

const REQUESTS: &str = "socket.io-request#/#";

/// A server that listens, and what it reports.
async fn listening(
    lp: &LoopHandle,
    server: &Redis,
    change: impl FnOnce(&mut RedisAdapterOptions),
) -> (Io, Client, Rc<RefCell<Vec<String>>>) {
    let (client, reports) = (ask(lp, server).await, Rc::new(RefCell::new(Vec::new())));
    let mut options = RedisAdapterOptions::default();
    let log = Rc::clone(&reports);
    options.on_error = Some(Rc::new(move |why: &str| log.borrow_mut().push(why.to_owned())));
    options.requests_timeout = ms(100);
    change(&mut options);
    let (io, redis) = (Io::new(), client.clone());
    io.set_adapters(move |namespace| RedisAdapter::new(&redis, namespace, options.clone()));
    // Asked behind the adapter's own subscription, on the same connection.
    let _: String = client.query(cmd("ECHO").arg("a")).await.unwrap();
    (io, client, reports)
}

#[test]
fn what_makes_no_sense_is_reported_and_the_rest_is_heard() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (io, _client, reports) = listening(&lp, &server, |options| options.message_len_max = 1000).await;
        let (sender, heard) = oneshot();
        let sender = RefCell::new(Some(sender));
        io.on_server_side_emit("bad", |_| panic!("a handler's own"));
        io.on_server_side_emit("good", move |event| {
            sender.take().unwrap().send(event.args.values().to_vec()).unwrap();
        });
        let peer = ask(&lp, &server).await;
        let long = json!({ "type": 6, "data": ["long", "a".repeat(1000)] }).to_string();
        let messages: [(&str, &[u8]); 9] = [
            (REQUESTS, b"{"),
            (REQUESTS, b"{}"),
            (REQUESTS, b"{\"type\":77}"),
            (REQUESTS, b"{\"type\":7,\"requestId\":\"a\"}"),
            (REQUESTS, long.as_bytes()),
            ("socket.io-response#/#", b"{}"),
            ("socket.io#/#", b"\xc1"),
            ("socket.io#/#room#", b"\x93\xa1x\x80\x80"),
            (REQUESTS, br#"{"type":6,"data":["bad"]}"#),
        ];
        let count = messages.len();
        for (channel, message) in messages {
            assert_eq!(peer.publish(channel, message).await.unwrap(), 1, "{channel}");
        }
        peer.publish(REQUESTS, br#"{"type":6,"data":["good",1]}"#).await.unwrap();
        assert_eq!(heard.await.unwrap(), [1]);
        let reports = reports.borrow();
        assert_eq!(reports.len(), count, "{reports:#?}");
        assert!(reports[4].contains("above message_len_max, 1000"), "{reports:#?}");
        assert!(reports[reports.len() - 1].contains("a handler failed"), "{reports:#?}");
    });
}

#[test]
fn a_peer_that_answers_too_much_or_not_at_all_is_an_error() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let limits = |options: &mut RedisAdapterOptions| {
            options.items_max = 10;
            options.requests_max = 1;
        };
        let (io, _client, _) = listening(&lp, &server, limits).await;
        assert_eq!(io.server_count().await, Ok(1));
        let peer = ask(&lp, &server).await;
        let mut requests = peer.subscribe(REQUESTS).await.unwrap();
        assert_eq!(io.server_count().await, Ok(2));
        let partial = io.all_room_names().await.unwrap_err();
        assert!(partial.why.contains("0 of 1 other servers"), "{partial}");
        let answers = io.all().emit_with_ack("q", 1, ms(50)).await;
        assert_eq!(answers, [Err(AckError::ServerMissing)]);
        // The first of the two is under way.
        let (first, second) = futures::join!(io.all_room_names(), io.fetch_sockets());
        assert!(first.is_err());
        assert!(second.unwrap_err().why.contains("requests_max"));
        let answering = async {
            // What was asked before lies in the subscription.
            loop {
                let event = requests.next().await.unwrap().unwrap();
                let phaseloop_server::redis::Event::Message(message) = event else { continue };
                let Ok(request) = serde_json::from_slice::<Value>(&message.payload) else { continue };
                let rooms: Vec<String> = (0..20).map(|number| number.to_string()).collect();
                let response = json!({ "requestId": request["requestId"], "rooms": rooms }).to_string();
                peer.publish("socket.io-response#/#", response).await.unwrap();
            }
        };
        let asking = Box::pin(io.all_room_names());
        let found = futures::future::select(asking, Box::pin(answering)).await;
        let futures::future::Either::Left((partial, _)) = found;
        let partial = partial.unwrap_err();
        assert!(partial.found.len() == 10 && partial.why.contains("items_max"), "{partial}");
    });
}

#[test]
fn a_peer_that_answers_with_too_many_bytes_or_absurd_numbers_is_an_error() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let limits = |options: &mut RedisAdapterOptions| {
            options.items_max = 10;
            options.answers_len_max = 2000;
            options.requests_timeout = secs(60);
        };
        let (io, _client, _) = listening(&lp, &server, limits).await;
        let peer = ask(&lp, &server).await;
        let mut requests = peer.subscribe(REQUESTS).await.unwrap();
        let room = "r".repeat(600);
        let answering = async {
            loop {
                let event = requests.next().await.unwrap().unwrap();
                let phaseloop_server::redis::Event::Message(message) = event else { continue };
                let id = request_id(&message.payload);
                let response = match message.payload.first() {
                    Some(b'{') => json!({ "requestId": id, "rooms": [room, room, room, room] }),
                    _ => json!({ "type": 8, "requestId": id, "clientCount": u64::MAX }),
                };
                peer.publish("socket.io-response#/#", response.to_string()).await.unwrap();
            }
        };
        let asking = async {
            let partial = io.all_room_names().await.unwrap_err();
            assert!(partial.found.is_empty() && partial.why.contains("2000 bytes"), "{partial}");
            let answers = io.all().emit_with_ack("q", 1, secs(60)).await;
            assert_eq!(answers, vec![Err(AckError::TimedOut); 10]);
            // What was gathered is given back.
            let partial = io.all_room_names().await.unwrap_err();
            assert!(partial.why.contains("answers_len_max"), "{partial}");
        };
        futures::future::select(Box::pin(asking), Box::pin(answering)).await;
    });
}

/// The id of a request, of JSON or of msgpack, in both of which it is a short string behind its name.
fn request_id(request: &[u8]) -> String {
    if let Ok(request) = serde_json::from_slice::<Value>(request) {
        return request["requestId"].as_str().unwrap().to_owned();
    }
    let name = b"requestId";
    let at = request.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    let len = usize::from(request[at] & 0x1f);
    String::from_utf8(request[at + 1..=at + len].to_vec()).unwrap()
}

#[test]
fn a_client_of_ones_own_that_is_silent_makes_no_other_server_missing() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (io, _client, _) = listening(&lp, &server, |_| {}).await;
        let (_other, _other_client, _) = listening(&lp, &server, |_| {}).await;
        assert_eq!(io.server_count().await, Ok(2));
        let (connected, came) = oneshot();
        let connected = Cell::new(Some(connected));
        io.on_connection(move |_| connected.take().unwrap().send(()).unwrap());
        let opened = polling(&io, Method::GET, "", "").await;
        let facts: Value = serde_json::from_str(&opened[1..]).unwrap();
        let sid = format!("&sid={}", facts["sid"].as_str().unwrap());
        polling(&io, Method::POST, &sid, "40").await;
        came.await.unwrap();
        let answers = io.all().emit_with_ack("q", 1, ms(300)).await;
        assert_eq!(answers, [Err(AckError::TimedOut)]);
    });
}

async fn polling(io: &Io, method: Method, sid: &str, body: &str) -> String {
    let request = Request::builder().method(method);
    let request = request.uri(format!("/socket.io/?EIO=4&transport=polling{sid}"));
    let response = io.engine().respond(request.body(Body::from(body.to_owned())).unwrap()).await;
    response.into_body().text().await.unwrap()
}

#[test]
fn a_dropped_server_leaves_no_subscription() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (io, client, _) = listening(&lp, &server, |_| {}).await;
        let peer = ask(&lp, &server).await;
        assert_eq!(peer.publish(REQUESTS, "{}").await, Ok(1));
        drop(io);
        phaseloop::spawn(async {}).await.unwrap(); // the task that listened has been dropped
        let _: String = client.query(cmd("ECHO").arg("a")).await.unwrap();
        assert_eq!(peer.publish(REQUESTS, "{}").await, Ok(0));
    });
}

#[test]
fn without_redis_other_servers_are_an_error_at_once() {
    let Some(mut server) = server() else { return };
    on_loop(async |lp| {
        let (io, client, reports) = listening(&lp, &server, |_| {}).await;
        let gone = disconnected(&client);
        server.kill().unwrap();
        gone.await.unwrap();
        assert!(client.query::<()>(cmd("PING").arg(1)).await.is_err());
        let before = reports.borrow().len();
        io.emit("nobody hears", ());
        assert_eq!(reports.borrow().len(), before + 1);
        let partial = io.fetch_sockets().await.unwrap_err();
        assert!(partial.found.is_empty() && partial.why.contains("unavailable"), "{partial}");
    });
}
