//! Who follows orders hears of all of them, in order, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use std::rc::Rc;
use std::time::Instant;

use futures::AsyncReadExt as _;
use phaseloop::net::TcpStream;
use serde_json::Value;
use shop::{Events, Shop, test};

async fn ids(events: &mut Events, count: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let event = events.next().await.expect("the answer goes on");
        ids.push(event["id"].as_i64().unwrap());
    }
    ids
}

async fn buy(shop: &Shop, token: &str, key: &str) {
    let (status, answer) = shop.order(token, key, &[(2, 1)]).await;
    assert_eq!(status, 201, "{answer}");
}

#[test]
fn a_client_hears_of_each_change() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let mut events = shop.follow("/api/orders/events", &[]).await;
        buy(&shop, &token, "the-first-order").await;
        let event = events.next().await.unwrap();
        assert_eq!(event["status"], "pending");
        assert_eq!((&event["user"], &event["total_cents"]), (&Value::from("ada"), &Value::from(349)));
        let id = &event["order"];
        assert_eq!(shop.with_token(&token, "POST", &format!("/api/orders/{id}/pay"), None).await.0, 200);
        assert_eq!(events.next().await.unwrap()["status"], "paid");
    });
}

#[test]
fn answers_that_go_on_are_the_last_of_their_connections() {
    test(async |world| {
        let shop = world.open(&[]).await;
        for path in ["/api/orders/events", "/api/loop/events"] {
            let response = shop.response("GET", path, &[], None).await;
            // Otherwise what reads requests, twenty times as large as the rest, is kept beside them.
            assert_eq!(response.headers()["connection"], "close", "{path}");
        }
    });
}

#[test]
fn what_happened_before_while_away_and_over_a_restart_is_told() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let mut events = shop.follow("/api/orders/events", &[]).await;
        for number in 1..=3 {
            buy(&shop, &token, &format!("before-the-end-{number}")).await;
        }
        assert_eq!(ids(&mut events, 2).await, [1, 2]);
        drop(events); // with the third unread
        buy(&shop, &token, "while-away-order").await;
        shop.service.shutdown().await;

        let shop = world.open(&[]).await;
        buy(&shop, &token, "after-the-restart").await;
        let mut events = shop.follow("/api/orders/events", &[("last-event-id", "2")]).await;
        assert_eq!(ids(&mut events, 3).await, [3, 4, 5]);
        buy(&shop, &token, "and-live-again").await;
        assert_eq!(ids(&mut events, 1).await, [6]);
        let mut last = shop.follow("/api/orders/events?last=2", &[]).await;
        assert_eq!(ids(&mut last, 2).await, [5, 6]);
        let mut after = shop.follow("/api/orders/events?after=0", &[]).await;
        assert_eq!(ids(&mut after, 6).await, [1, 2, 3, 4, 5, 6]);
        // Of a database that was there before this one.
        let mut ahead = shop.follow("/api/orders/events", &[("last-event-id", "1000")]).await;
        buy(&shop, &token, "told-from-now-on").await;
        assert_eq!(ids(&mut ahead, 1).await, [7]);
    });
}

#[test]
fn nothing_is_told_that_is_not_committed() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let mut events = shop.follow("/api/orders/events", &[]).await;
        shop.service.fail_at(|step| step == "commit");
        let (status, answer) = shop.order(&token, "never-committed", &[(2, 1)]).await;
        assert_eq!((status, &answer["error"]["code"]), (503, &Value::from("unavailable")));
        shop.service.fail_at(|_| false);
        buy(&shop, &token, "committed-order").await;
        let event = events.next().await.unwrap();
        assert_eq!((&event["id"], &event["order"]), (&Value::from(1), &Value::from(1)));
    });
}

#[test]
fn a_shutdown_ends_the_answers_and_what_is_under_way() {
    test(async |world| {
        let shop = Rc::new(world.open(&[]).await);
        let token = shop.register("ada").await;
        let mut orders = shop.follow("/api/orders/events", &[]).await;
        let mut metrics = shop.follow("/api/loop/events", &[]).await;
        assert!(metrics.next().await.unwrap()["pool"]["workers_max"].is_number());
        let buying = Rc::clone(&shop);
        let order = phaseloop::spawn(async move { buying.order(&token, "just-in-time", &[(1, 1)]).await });
        phaseloop::yield_now().await;
        let report = shop.service.shutdown().await;
        assert_eq!(report.cut, []);
        assert_eq!(order.await.unwrap().0, 201, "what was asked before is answered");
        while orders.next().await.is_some() {}
        while metrics.next().await.is_some() {}
    });
}

#[test]
fn what_is_asked_for_at_the_last_moment_does_not_keep_a_shutdown_waiting() {
    test(async |world| {
        let shop = Rc::new(world.open(&[]).await);
        let address = shop.service.local_addr().unwrap();
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut streams = Vec::new();
        for (path, more) in [
            ("/api/loop/events", ""),
            ("/api/orders/events", ""),
            ("/socket.io/?EIO=4&transport=websocket", upgrade),
        ] {
            let stream = TcpStream::connect(&world.lp, address).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\n{more}").as_bytes()).await.unwrap();
            streams.push(stream);
        }
        // By then the service has read what was sent before.
        assert_eq!(shop.get("/api/health").await.0, 200);
        let ending = Rc::clone(&shop);
        let report = phaseloop::spawn(async move { ending.service.shutdown().await });
        phaseloop::yield_now().await;
        for stream in streams {
            stream.write_all(b"Host: shop\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            (&stream).read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 "), "{answer:?}");
        }
        assert_eq!(report.await.unwrap().cut, []);
    });
}

#[test]
fn who_looks_at_the_loop_takes_nothing_from_those_who_follow_it() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let alone = shop.get("/api/loop").await.1;
        assert_eq!((&alone["phases"], &alone["delay"]), (&Value::Null, &Value::Null), "nobody follows");
        let again = shop.get("/api/loop").await.1;
        let number = |sample: &Value, name: &str| sample[name].as_f64().unwrap();
        assert!(number(&again, "interval_ms") > number(&alone, "interval_ms"));
        assert!(number(&again, "turns") > number(&alone, "turns"));

        let begin = Instant::now();
        let mut events = shop.follow("/api/loop/events", &[]).await;
        let first = events.next().await.unwrap();
        let between = shop.get("/api/loop").await.1;
        assert!(between["phases"].is_array());
        let second = events.next().await.unwrap();
        for name in ["interval_ms", "turns"] {
            assert!(number(&second, name) > number(&between, name), "{name}: {between} {second}");
        }
        // Of the time since the first, which has begun after it was asked for.
        let passed = begin.elapsed().as_secs_f64() * 1e3;
        assert!(number(&second, "interval_ms") + number(&first, "interval_ms") < passed, "{first} {second}");
    });
}
