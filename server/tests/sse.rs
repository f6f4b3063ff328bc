//! Server-sent events, read as they are on the wire.

#![cfg(feature = "sse")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use peer::{Raw, on_loop, secs, start};
use phaseloop_server::http::{Body, Handler, Request, Server};
use phaseloop_server::sse::{self, Channel, ChannelOptions, Event, WhenSlow};

fn serving(channel: &Channel) -> Server<impl Handler> {
    let channel = channel.clone();
    Server::new(move |request: Request<Body>| {
        let response = channel.subscribe(&request);
        async { response }
    })
}

fn get(last: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: x\r\n{last}\r\n")
}

/// What the last chunk that must come ends with.
fn chunk_end(text: &str) -> Vec<u8> {
    format!("{text}\r\n").into_bytes()
}

#[test]
fn all_clients_are_told_and_the_heart_beats() {
    on_loop(async |lp| {
        let channel = Channel::new(ChannelOptions::default());
        let (_serving, address) = start(&lp, serving(&channel));
        let mut clients = [Raw::ask(&lp, address, get("")).await, Raw::ask(&lp, address, get("")).await];
        for client in &mut clients {
            client.bytes_until(&chunk_end(": \nretry: 2000\n\n")).await;
        }
        assert_eq!(channel.send(Event::new("hello").name("greeting")), 2);
        for client in &mut clients {
            client.bytes_until(&chunk_end("event: greeting\nid: 1\ndata: hello\n\n")).await;
        }
        lp.sleep(secs(15)).await;
        for client in &mut clients {
            client.bytes_until(&chunk_end(": \n\n")).await;
        }
        drop(clients);
        lp.sleep(secs(1)).await;
        assert_eq!(channel.clients(), 0, "clients that are gone are noticed");
    });
}

#[test]
fn the_head_keeps_everybody_from_gathering() {
    on_loop(async |lp| {
        let (_serving, address) = start(
            &lp,
            Server::new(async |_: Request<Body>| {
                let (mut events, response) = sse::stream(1000);
                events.send(&Event::new("only")).await.unwrap();
                events.finish();
                response
            }),
        );
        let reply = Raw::ask(&lp, address, get("")).await.reply().await;
        assert!(reply.contains("content-type: text/event-stream\r\n"), "{reply}");
        assert!(reply.contains("cache-control: no-cache, no-transform\r\n"), "{reply}");
        assert!(reply.contains("data: only\n\n") && !reply.contains("content-encoding"), "{reply}");
    });
}

#[test]
fn who_comes_back_is_told_what_it_missed_even_by_a_server_that_was_restarted() {
    on_loop(async |lp| {
        let channel = Channel::new(ChannelOptions::default());
        let (before, address) = start(&lp, serving(&channel));
        let mut client = Raw::ask(&lp, address, get("")).await;
        client.bytes_until(&chunk_end("retry: 2000\n\n")).await;
        channel.send(Event::new("one"));
        client.bytes_until(&chunk_end("id: 1\ndata: one\n\n")).await;
        channel.disconnect();
        before.shutdown(secs(5)).await.unwrap();

        let mut options = ChannelOptions::default();
        options.first_id = 2;
        let channel = Channel::new(options);
        let (_after, address) = start(&lp, serving(&channel));
        channel.send(Event::new("two"));
        channel.send(Event::new("three"));
        for (last, expected) in [("1", 2), ("2", 1), ("3", 0)] {
            let mut client = Raw::ask(&lp, address, get(&format!("Last-Event-ID: {last}\r\n"))).await;
            client.bytes_until(b"retry: 2000").await;
            channel.send(Event::comment("").id("3"));
            let text = client.text_until(&chunk_end(": \nid: 3\n\n")).await;
            assert_eq!(text.matches("data: ").count(), expected, "behind {last}: {text}");
        }
    });
}

#[test]
fn the_replay_is_bounded() {
    on_loop(async |lp| {
        let mut options = ChannelOptions::default();
        (options.replay_max, options.replay_len_max) = (10, 1000);
        let channel = Channel::new(options);
        for _ in 0..100 {
            channel.send(Event::new("x".repeat(100)));
        }
        let (_serving, address) = start(&lp, serving(&channel));
        let mut client = Raw::ask(&lp, address, get("Last-Event-ID: 3\r\n")).await;
        client.bytes_until(&chunk_end(&format!("id: 100\ndata: {}\n\n", "x".repeat(100)))).await;
        let text = client.text();
        assert_eq!(text.matches("data: ").count(), 8, "1,000 bytes hold eight");
    });
}

#[test]
fn a_slow_client_is_bounded_by_either_policy() {
    for policy in [WhenSlow::Disconnect, WhenSlow::SkipEvents] {
        on_loop(async |lp| {
            let mut options = ChannelOptions::default();
            options.when_slow = policy;
            let channel = Channel::new(options);
            let (_serving, address) = start(&lp, serving(&channel));
            let mut slow = Raw::ask(&lp, address, get("")).await;
            slow.bytes_until(&chunk_end("retry: 2000\n\n")).await;
            let mut sent = 0;
            while channel.send(Event::new("x".repeat(50_000))) == 1 {
                sent += 1;
                assert!(sent < 1000, "it is never full");
                phaseloop::yield_now().await;
            }
            assert_eq!(channel.clients(), usize::from(policy == WhenSlow::SkipEvents));
        });
    }
}

#[test]
fn what_a_client_missed_does_not_make_it_a_slow_one() {
    for policy in [WhenSlow::Disconnect, WhenSlow::SkipEvents] {
        on_loop(async |lp| {
            let mut options = ChannelOptions::default();
            (options.when_slow, options.high_water) = (policy, usize::MAX);
            let unbounded = Channel::new(options.clone());
            drop(unbounded.subscribe(&Request::new(Body::empty())));
            options.high_water = 1000;
            let channel = Channel::new(options);
            for _ in 0..10 {
                channel.send(Event::new("x".repeat(1000)));
            }
            let request = Request::get("/").header("last-event-id", "1").body(Body::empty()).unwrap();
            let _unread = channel.subscribe(&request);
            assert_eq!(channel.send(Event::new("told")), 1, "{policy:?}");
            channel.send(Event::new("x".repeat(1000)));
            assert_eq!(channel.send(Event::new("full")), 0, "{policy:?}: the mark holds for what comes now");
            drop(lp);
        });
    }
}

#[test]
fn the_heart_goes_on_for_clients_that_were_all_slow_at_a_beat() {
    on_loop(async |lp| {
        let mut options = ChannelOptions::default();
        (options.when_slow, options.high_water) = (WhenSlow::SkipEvents, 1000);
        let channel = Channel::new(options);
        let mut body = channel.subscribe(&Request::get("/").body(Body::empty()).unwrap()).into_body();
        channel.send(Event::new("x".repeat(2000)));
        lp.sleep(secs(16)).await; // a beat that finds it full
        for _ in 0..2 {
            body.chunk().await.unwrap().unwrap(); // the retry, and the long event
        }
        lp.sleep(secs(15)).await;
        assert_eq!(body.chunk().await.unwrap().unwrap(), ": \n\n");
    });
}

// --- the rest of an answer, without hyper -----------------------------------------------------------------------------

#[test]
fn a_lasting_answer_is_the_last_of_its_connection_and_ends_whole() {
    on_loop(async |lp| {
        let mut options = ChannelOptions::default();
        (options.high_water, options.replay_len_max) = (1_000_000, 1_000_000);
        let channel = Channel::new(options);
        let (serving, address) = start(&lp, serving(&channel));
        let mut client = Raw::ask(&lp, address, get("")).await;
        let head = client.text_until(b"\r\n\r\n").await.to_ascii_lowercase();
        assert!(head.contains("connection: close") && head.contains("transfer-encoding: chunked"), "{head}");
        client.bytes_until(&chunk_end("retry: 2000\n\n")).await;
        // A piece that is longer than what is gathered, and than what the system takes at once.
        let long = "x".repeat(300_000);
        channel.send(Event::new(long.clone()));
        channel.send(Event::new("behind"));
        channel.disconnect();
        let rest = client.until_closed().await;
        assert!(rest.contains(&format!("data: {long}\n\n\r\n")), "{} bytes", rest.len());
        assert!(rest.ends_with("data: behind\n\n\r\n0\r\n\r\n"));
        lp.sleep(secs(5)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn an_answer_that_is_broken_off_has_no_end() {
    on_loop(async |lp| {
        let server = Server::new(async |_: Request<Body>| {
            let (mut events, response) = sse::stream(1000);
            phaseloop::spawn(async move {
                events.send(&Event::new("first")).await.unwrap();
                // Dropped at once: what was said before still goes out.
            })
            .detach();
            response
        });
        let (_serving, address) = start(&lp, server);
        let mut client = Raw::ask(&lp, address, get("")).await;
        let all = client.cut_off().await;
        assert!(all.ends_with("data: first\n\n\r\n"), "{all}");
    });
}

#[test]
fn a_shutdown_cuts_what_lasts_when_the_time_is_up() {
    on_loop(async |lp| {
        let channel = Channel::new(ChannelOptions::default());
        let (serving, address) = start(&lp, serving(&channel));
        let mut client = Raw::ask(&lp, address, get("")).await;
        client.bytes_until(&chunk_end("retry: 2000\n\n")).await;
        let report = serving.shutdown(secs(3)).await.unwrap();
        assert_eq!((report.cut.len(), report.cut[0].under_way), (1, 1), "{report}");
        client.cut_off().await;
    });
}

#[test]
fn a_client_that_goes_on_talking_is_not_listened_to() {
    on_loop(async |lp| {
        let channel = Channel::new(ChannelOptions::default());
        let (_serving, address) = start(&lp, serving(&channel));
        let mut client = Raw::ask(&lp, address, get("").repeat(2)).await;
        client.bytes_until(&chunk_end("retry: 2000\n\n")).await;
        client.send(get("").repeat(100)).await;
        channel.send(Event::new("one"));
        let text = client.text_until(&chunk_end("data: one\n\n")).await;
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
        client.send(vec![b'x'; 256 * 1024]).await;
        client.cut_off().await;
        lp.sleep(secs(1)).await;
        assert_eq!(channel.clients(), 0);
    });
}

#[test]
fn heads_are_answered_without_what_lasts() {
    on_loop(async |lp| {
        let channel = Channel::new(ChannelOptions::default());
        let (_serving, address) = start(&lp, serving(&channel));
        let mut client = Raw::ask(&lp, address, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let head = client.text_until(b"\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    });
}
