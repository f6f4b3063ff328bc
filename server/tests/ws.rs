//! WebSocket: both ends of it, and raw bytes where a peer does what none should.

#![cfg(feature = "ws")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::StreamExt;
use peer::{Raw, ms, on_loop, secs, start, status};
use phaseloop::LoopHandle;
use phaseloop_server::client::Client;
use phaseloop_server::http::{Body, Handler, HeaderValue, Limits, Request, Server, Serving, header};
use phaseloop_server::ws::{
    self, Acceptor, Close, CloseCode, ConnectError, Connector, Lost, Message, SendError, WebSocket, WhenFull,
    WsCallbacks, WsOptions, WsSender,
};

const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn echoing(acceptor: Acceptor) -> Server<impl Handler> {
    serving(acceptor, async |mut socket| {
        while let Some(message) = socket.next().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

fn serving<F: Future<Output = ()> + 'static>(
    acceptor: Acceptor,
    serve: impl Fn(WebSocket) -> F + Clone + 'static,
) -> Server<impl Handler> {
    Server::new(move |request: Request<Body>| {
        let response = acceptor.answer(request, serve.clone());
        async { response }
    })
}

fn options() -> WsOptions {
    WsOptions::default()
}

/// A client that speaks bytes, behind a handshake.
async fn raw(lp: &LoopHandle, address: SocketAddr) -> Raw {
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n");
    let mut raw = Raw::ask(lp, address, head).await;
    let reply = raw.reply().await;
    assert!(reply.starts_with("HTTP/1.1 101 ") && reply.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{reply}");
    raw
}

/// A client that speaks bytes, and the server's end of its connection.
async fn raw_and_sender(lp: &LoopHandle, acceptor: Acceptor) -> (Serving, Raw, WsSender) {
    let sender = Rc::new(RefCell::new(None::<WsSender>));
    let keep = Rc::clone(&sender);
    let server = serving(acceptor, move |socket| {
        keep.replace(Some(socket.sender()));
        async move { drop(socket.closed().await) }
    });
    let (serving, address) = start(lp, server);
    let mut raw = raw(lp, address).await;
    raw.send(frame(0x89, b"")).await;
    raw.bytes_until(&[0x8a, 0]).await; // the connection is there
    let sender = sender.borrow().clone().unwrap();
    (serving, raw, sender)
}

/// A masked frame, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = match payload.len() {
        len @ ..126 => vec![0x80 | len as u8],
        len @ ..65536 => [&[0x80 | 126][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[0x80 | 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    [&[first][..], &len, &[0; 4], payload].concat()
}

fn is_close(bytes: &[u8], code: u16) -> bool {
    bytes.len() >= 4 && bytes[0] == 0x88 && bytes[2..4] == code.to_be_bytes()
}

#[test]
fn messages_of_every_length_come_back() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, echoing(Acceptor::new(options())));
        let mut socket = ws::connect(&Client::new(&lp), &format!("ws://{address}/")).await.unwrap();
        for len in [0, 1, 125, 126, 127, 1024, 1025, 65535, 65536, 300_000, 1024 * 1024] {
            let text = Message::from("é".repeat(len / 2));
            let bytes = Message::from(vec![7; len]);
            socket.send(text.clone()).await.unwrap();
            socket.send(bytes.clone()).await.unwrap();
            assert!(socket.next().await == Some(text) && socket.next().await == Some(bytes), "{len} bytes");
        }
        socket.close(Close::new(CloseCode(4001), "enough"));
        assert_eq!(socket.next().await, None);
        let closed = socket.how_closed().unwrap();
        assert!(closed.is_clean() && closed.code == CloseCode(4001), "{closed}");
        assert!(
            matches!(socket.try_send("late"), Err(SendError::Closed(message)) if message.as_text() == Some("late"))
        );
    });
}

/// What the connection of a client that sends `bytes` behind a good handshake comes to: all it got, and how our side saw it.
fn after(options: WsOptions, bytes: Vec<u8>) -> (Vec<u8>, String) {
    on_loop(async |lp| {
        let told = Rc::new(RefCell::new(String::new()));
        let tell = Rc::clone(&told);
        let server = serving(Acceptor::new(options), move |mut socket| {
            let tell = Rc::clone(&tell);
            async move {
                while socket.next().await.is_some() {}
                *tell.borrow_mut() = socket.how_closed().unwrap().to_string();
            }
        });
        let (_serving, address) = start(&lp, server);
        let mut raw = raw(&lp, address).await;
        raw.send(bytes).await;
        let got = raw.bytes_until_closed().await;
        let told = told.borrow().clone();
        (got, told)
    })
}

#[test]
fn what_breaks_the_protocol_ends_with_1002() {
    let wrong: &[(&str, Vec<u8>)] = &[
        ("a client's frame is not masked", vec![0x81, 0x01, b'x']),
        ("a reserved bit is set", frame(0xc1, b"x")),
        ("an opcode is unknown", frame(0x83, b"x")),
        ("a control frame is fragmented", frame(0x09, b"x")),
        ("a control frame is too long", frame(0x89, &[0; 126])),
        ("there is nothing to continue", frame(0x80, b"x")),
        ("a message begins inside another", [frame(0x01, b"x"), frame(0x81, b"y")].concat()),
        ("half a close code", frame(0x88, &[3])),
        ("no such close code", frame(0x88, &1005u16.to_be_bytes())),
    ];
    for (rule, bytes) in wrong {
        let (got, told) = after(options(), bytes.clone());
        assert!(is_close(&got, 1002), "{rule}: {got:x?}");
        assert!(told.ends_with(rule), "{rule}: {told}");
    }
}

#[test]
fn text_that_is_not_utf8_ends_with_1007_before_the_rest_has_come() {
    let (got, told) = after(options(), frame(0x01, b"ok \xff"));
    assert!(is_close(&got, 1007), "{told}");
    let cut = after(options(), [frame(0x01, b"\xe2\x82"), frame(0x80, b"")].concat());
    assert!(is_close(&cut.0, 1007), "{}", cut.1);
    let reason = after(options(), frame(0x88, b"\x03\xe8\xff"));
    assert!(is_close(&reason.0, 1007), "{}", reason.1);
}

#[test]
fn what_is_too_long_ends_with_1009_before_it_has_come() {
    let mut options = options();
    (options.frame_len_max, options.message_len_max) = (1000, 1500);
    let head_of_a_huge_one = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes()[..], &[0; 4]].concat();
    for bytes in [
        head_of_a_huge_one,
        frame(0x82, &[0; 1001]),
        [frame(0x02, &[0; 900]), frame(0x80, &[0; 700])].concat(),
    ] {
        let (got, told) = after(options.clone(), bytes);
        assert!(is_close(&got, 1009), "{told}");
    }
}

#[test]
fn a_connection_that_breaks_off_is_told_from_a_goodbye() {
    on_loop(async |lp| {
        let ended = Rc::new(RefCell::new(Vec::new()));
        let tell = Rc::clone(&ended);
        let server = serving(Acceptor::new(options()), move |socket| {
            let tell = Rc::clone(&tell);
            async move {
                let closed = socket.closed().await;
                tell.borrow_mut().push((closed.code.0, closed.is_clean()));
            }
        });
        let (_serving, address) = start(&lp, server);
        drop(raw(&lp, address).await);
        let mut polite = raw(&lp, address).await;
        polite.send(frame(0x88, b"\x0f\xa0bye")).await;
        assert!(is_close(&polite.bytes_until_closed().await, 4000));
        let mut mute = raw(&lp, address).await;
        mute.send(frame(0x88, b"")).await;
        assert_eq!(mute.bytes_until_closed().await, [0x88, 0]);
        assert_eq!(*ended.borrow(), [(1006, false), (4000, true), (1005, true)]);
    });
}

#[test]
fn a_peer_that_does_not_answer_a_ping_is_given_up() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, echoing(Acceptor::new(options())));
        let mut half_open = raw(&lp, address).await;
        let began = lp.now();
        let got = half_open.bytes_until_cut().await; // it answers nothing
        assert_eq!(got, [0x89, 0], "one ping");
        assert_eq!(lp.now() - began, secs(60), "30 s of silence, 30 s to answer");
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn pings_are_answered_and_pongs_keep_a_connection() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, echoing(Acceptor::new(options())));
        let mut quiet = ws::connect(&Client::new(&lp), &format!("ws://{address}/")).await.unwrap();
        lp.sleep(secs(3600)).await; // both ends ask, both answer
        quiet.send("still there").await.unwrap();
        assert_eq!(quiet.next().await, Some("still there".into()));
    });
}

#[test]
fn a_slow_peer_is_bounded_as_the_policy_has_it() {
    for policy in [WhenFull::Wait, WhenFull::Drop, WhenFull::Close] {
        on_loop(async |lp| {
            let mut options = options();
            (options.when_full, options.high_water) = (policy, 100_000);
            let (_serving, mut slow, sender) = raw_and_sender(&lp, Acceptor::new(options)).await;
            let before = slow.bytes_until(&[0x8a, 0]).await;
            let mut refused = None;
            for _ in 0..1000 {
                if let Err(error) = sender.try_send(vec![0; 50_000]) {
                    refused = Some(error);
                    break;
                }
                phaseloop::yield_now().await;
            }
            assert!(sender.queued() <= 150_010, "{}", sender.queued());
            match (policy, refused) {
                (WhenFull::Wait, Some(SendError::Full(_))) => {
                    let waiting = sender.clone();
                    let sent = lp.spawn(async move { waiting.send("at last").await });
                    let got = slow.bytes_until(b"at last").await;
                    assert!(got > 100_000 && sent.await.unwrap().is_ok());
                }
                (WhenFull::Drop, Some(SendError::Dropped(_))) => assert!(sender.is_open()),
                (WhenFull::Close, Some(SendError::Closed(_))) => {
                    let closed = sender.closed().await;
                    assert!(matches!(closed.lost, Some(Lost::SlowPeer)) && closed.code == CloseCode::POLICY);
                    // The frame that was begun is whole, and the goodbye stands behind it.
                    let got = slow.bytes_until(&[0x88, 2, 0x03, 0xf0]).await;
                    assert_eq!((got - before - 4) % 50_004, 0, "{got}");
                }
                (_, refused) => panic!("{policy:?} gave {refused:?}"),
            }
        });
    }
}

#[test]
fn never_is_a_time_too() {
    on_loop(async |lp| {
        let (mut limits, mut options) = (Limits::default(), WsOptions::default());
        (limits.first_byte, limits.head, limits.idle) = (Duration::MAX, Duration::MAX, Duration::MAX);
        (limits.write_stall, limits.linger) = (Duration::MAX, Duration::MAX);
        limits.first_request_at_shutdown = Duration::MAX;
        (options.ping_interval, options.ping_timeout) = (Duration::MAX, Duration::MAX);
        (options.close_timeout, options.write_stall) = (Duration::MAX, Duration::MAX);
        let (serving, address) = start(&lp, echoing(Acceptor::new(options)).limits(limits));
        let mut raw = raw(&lp, address).await;
        raw.send(frame(0x81, b"x")).await;
        raw.bytes_until(b"\x81\x01x").await;
        assert_eq!((serving.stats().connections, lp.task_failures()), (1, 0));
    });
}

#[test]
fn senders_that_are_kept_hold_no_connection() {
    on_loop(async |lp| {
        let (serving, gone, sender) = raw_and_sender(&lp, Acceptor::new(options())).await;
        assert_eq!(serving.stats().connections, 1);
        drop(gone);
        lp.sleep(secs(1)).await;
        assert!(!sender.is_open());
        assert_eq!(serving.stats().connections, 0);
        assert_eq!(serving.shutdown(secs(1)).await.unwrap().cut, []);
    });
}

struct Never;

impl Wake for Never {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn who_stops_waiting_for_room_or_the_end_is_forgotten() {
    on_loop(async |lp| {
        let mut options = options();
        options.high_water = 0;
        let (_serving, _raw, sender) = raw_and_sender(&lp, Acceptor::new(options)).await;
        sender.try_send("more than may wait").unwrap();
        let never = Arc::new(Never);
        let waker = Waker::from(Arc::clone(&never));
        let mut cx = Context::from_waker(&waker);
        for _ in 0..3 {
            assert!(pin!(sender.send("a")).poll(&mut cx).is_pending());
            assert!(pin!(sender.closed()).poll(&mut cx).is_pending());
        }
        assert_eq!(Arc::strong_count(&never), 2, "ours, and no waker's but ours");
        assert!(sender.send("a").await.is_ok(), "who waits on is woken");
    });
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    on_loop(async |lp| {
        let server = serving(Acceptor::new(options()), async |mut socket| {
            while socket.send(vec![0; 60_000]).await.is_ok() {}
            assert_eq!(socket.next().await, None);
            assert!(matches!(socket.how_closed().unwrap().lost, Some(Lost::WriteStall | Lost::NoPong)));
        });
        let (serving, address) = start(&lp, server);
        let stuck = raw(&lp, address).await;
        lp.sleep(secs(120)).await;
        assert_eq!(serving.stats().connections, 0);
        drop(stuck);
    });
}

#[test]
fn a_flood_of_pings_that_takes_no_pong_costs_little() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, echoing(Acceptor::new(options())));
        let flooder = raw(&lp, address).await;
        let pings = frame(0x89, &[7; 100]).repeat(1000);
        let (stream, flooding) = (flooder.stream.clone(), pings.clone());
        let flood = lp.spawn(async move {
            for _ in 0..100 {
                stream.write_all(&flooding).await.unwrap(); // 10 MB: all of it is read
            }
        });
        flood.await.unwrap();
        let mut other = ws::connect(&Client::new(&lp), &format!("ws://{address}/")).await.unwrap();
        other.send("served").await.unwrap();
        assert_eq!(other.next().await, Some("served".into()));
        assert_eq!(serving.stats().connections, 2);
    });
}

#[test]
fn what_a_receiver_does_not_take_is_not_read() {
    on_loop(async |lp| {
        let socket = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&socket);
        let server = serving(Acceptor::new(options()), move |socket| {
            keep.replace(Some(socket));
            async {}
        });
        let (_serving, address) = start(&lp, server);
        let sender = raw(&lp, address).await;
        let (stream, message) = (sender.stream.clone(), frame(0x82, &[1; 60_000]));
        let flood = lp.spawn(async move {
            let mut sent = 0;
            while sent < 1000 {
                let write = std::pin::pin!(stream.write_all(&message));
                let pause = std::pin::pin!(phaseloop::sleep(secs(1)));
                if let futures::future::Either::Right(_) = futures::future::select(write, pause).await {
                    break; // the system's buffers are full
                }
                sent += 1;
            }
            sent
        });
        let sent = flood.await.unwrap();
        assert!(sent < 1000, "the server read on");
        let mut socket = socket.take().unwrap();
        for _ in 0..sent {
            assert_eq!(socket.next().await.map(|message| message.len()), Some(60_000));
        }
    });
}

#[test]
fn callbacks_get_messages_and_the_end_once() {
    on_loop(async |lp| {
        let acceptor = Acceptor::new(options());
        let server = Server::new(move |mut request: Request<Body>| {
            let (response, opening) = acceptor.accept(&mut request).unwrap();
            phaseloop::spawn(opening.callbacks(WsCallbacks::new(|sender, message| {
                sender.try_send(message).unwrap();
            })))
            .detach();
            async { response }
        });
        let (_serving, address) = start(&lp, server);
        let log = Rc::new(RefCell::new(Vec::new()));
        let (said, ended) = (Rc::clone(&log), Rc::clone(&log));
        let callbacks = WsCallbacks::new(move |sender, message| {
            said.borrow_mut().push(message.as_text().unwrap().to_owned());
            if said.borrow().len() == 3 {
                sender.close(CloseCode::NORMAL);
            }
        })
        .on_close(move |_, closed| ended.borrow_mut().push(closed.to_string()));
        let connector = Connector::new(&Client::new(&lp), options());
        let sender = connector.callbacks(&format!("ws://{address}/"), callbacks).await.unwrap();
        ["one", "two", "three"].into_iter().for_each(|word| sender.try_send(word).unwrap());
        sender.closed().await;
        phaseloop::yield_now().await;
        assert_eq!(*log.borrow(), ["one", "two", "three", "closed with 1000"]);
    });
}

#[test]
fn a_broadcast_reaches_all_that_are_open() {
    on_loop(async |lp| {
        let room = Rc::new(RefCell::new(Vec::new()));
        let join = Rc::clone(&room);
        let server = serving(Acceptor::new(options()), move |socket| {
            join.borrow_mut().push(socket.sender());
            async move { drop(socket.closed().await) }
        });
        let (_serving, address) = start(&lp, server);
        let client = Client::new(&lp);
        let mut sockets = Vec::new();
        for _ in 0..5 {
            sockets.push(ws::connect(&client, &format!("ws://{address}/")).await.unwrap());
        }
        let gone = sockets.pop().unwrap();
        gone.close(CloseCode::NORMAL);
        gone.closed().await;
        assert_eq!(ws::broadcast(&*room.borrow(), "x".repeat(2000)), 4);
        for socket in &mut sockets {
            assert_eq!(socket.next().await.unwrap().len(), 2000);
        }
    });
}

#[test]
fn the_handshake_is_checked_and_subprotocols_are_chosen() {
    on_loop(async |lp| {
        let acceptor = Acceptor::new(options()).protocols(["soup", "chat"]).origin(|origin, asks| {
            origin != Some("http://evil") && asks.headers().get("from").is_none_or(|from| from != "\u{fc}")
        });
        let failing = acceptor.clone();
        let (_serving, address) = start(&lp, echoing(acceptor));
        // A handler that hands the refusal on as its error gives the same answers.
        let (_failing, failing) = start(
            &lp,
            Server::new(move |mut request: Request<Body>| {
                let accepted = failing.accept(&mut request).map(|(response, _)| response);
                async { accepted }
            }),
        );
        let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
        for (head, expected) in [
            (String::new(), 426),
            (upgrade.to_owned() + &KEY.replace("13", "8"), 426),
            (format!("{upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"), 400),
            (format!("Upgrade: websocket\r\n{KEY}"), 400),
            (format!("{upgrade}{KEY}Origin: http://evil\r\n"), 403),
            (format!("{upgrade}{KEY}Origin: http://good\r\nSec-WebSocket-Protocol: x, chat, soup\r\n"), 101),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n");
            for address in [address, failing] {
                let reply = Raw::ask(&lp, address, &head).await.reply().await;
                assert_eq!(status(&reply), expected, "{reply}");
                let reply = reply.to_ascii_lowercase();
                assert_eq!(reply.contains("sec-websocket-version: 13"), expected == 426, "{reply}");
                assert_eq!(reply.contains("upgrade: websocket"), [101, 426].contains(&expected), "{reply}");
                assert_eq!(reply.contains("sec-websocket-protocol: chat"), expected == 101);
            }
        }
        let uri = format!("ws://{address}/");
        let connector = Connector::new(&Client::new(&lp), options());
        let socket = connector.clone().protocols(["nothing", "soup"]).connect(&uri).await.unwrap();
        assert_eq!(socket.protocol(), Some("soup"));
        for (name, value) in [(header::ORIGIN, "http://evil"), (header::FROM, "\u{fc}")] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            let refused = connector.clone().header(name, value).connect(&uri).await;
            assert!(matches!(refused, Err(ConnectError::Refused(status)) if status == 403));
        }
    });
}

#[test]
fn a_shutdown_says_going_away_and_waits_for_the_goodbye() {
    on_loop(async |lp| {
        let (serving, address): (Serving, _) = start(&lp, echoing(Acceptor::new(options())));
        let socket = ws::connect(&Client::new(&lp), &format!("ws://{address}/")).await.unwrap();
        let report = serving.shutdown(secs(30)).await.unwrap();
        assert_eq!((report.finished, report.cut.len()), (1, 0), "{report}");
        assert_eq!(socket.closed().await.code, CloseCode::GOING_AWAY);
    });
}

#[test]
fn a_socket_that_is_dropped_says_goodbye() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, serving(Acceptor::new(options()), async |socket| drop(socket)));
        let mut socket = ws::connect(&Client::new(&lp), &format!("ws://{address}/")).await.unwrap();
        assert_eq!(StreamExt::next(&mut socket).await, None);
        assert_eq!(socket.how_closed().unwrap().code, CloseCode::NORMAL);
        lp.sleep(ms(1)).await;
    });
}

#[test]
fn a_socket_that_is_dropped_with_messages_in_it_still_hears_the_goodbye() {
    on_loop(async |lp| {
        let mut options = options();
        options.inbox_len_max = 0;
        let server = serving(Acceptor::new(options), async |socket| {
            phaseloop::sleep(secs(1)).await;
            drop(socket);
        });
        let (_serving, address) = start(&lp, server);
        let mut raw = raw(&lp, address).await;
        raw.send(frame(0x81, b"x").repeat(3)).await;
        lp.sleep(secs(1)).await;
        raw.bytes_until(b"\x88\x02\x03\xe8").await;
        raw.send(frame(0x88, b"\x03\xe8")).await;
        raw.bytes_until_closed().await; // no time passes: the server does not wait for its own deadline
    });
}

#[test]
fn a_goodbye_leaves_and_is_heard_if_who_serves_the_socket_panics() {
    on_loop(async |lp| {
        lp.on_task_failure(|_, _| {});
        let server = serving(Acceptor::new(options()), async |mut socket| {
            socket.send("last words").await.unwrap();
            socket.next().await;
            panic!("on purpose");
        });
        let (serving, address) = start(&lp, server);
        let mut raw = raw(&lp, address).await;
        raw.send(frame(0x81, b"x")).await;
        raw.bytes_until(b"\x81\x0alast words\x88\x02\x03\xe8").await;
        assert_eq!((lp.task_failures(), serving.stats().connections), (1, 1));
        raw.send(frame(0x88, b"\x03\xe8")).await;
        raw.bytes_until_closed().await;
        drop(raw);
        lp.sleep(secs(1)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn a_peer_is_answered_while_who_serves_it_waits_for_something_else() {
    on_loop(async |lp| {
        let server = serving(Acceptor::new(options()), async |socket| {
            std::future::pending::<()>().await;
            drop(socket);
        });
        let (serving, address) = start(&lp, server);
        let mut raw = raw(&lp, address).await;
        raw.send([frame(0x81, b"x"), frame(0x89, b"ping")].concat()).await;
        raw.bytes_until(b"\x8a\x04ping").await;
        raw.send(frame(0x88, b"\x03\xe8")).await;
        raw.bytes_until_closed().await;
        drop(raw);
        lp.sleep(secs(1)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn callbacks_go_on_when_a_slow_peer_takes_what_is_there_for_it() {
    on_loop(async |lp| {
        let mut options = options();
        options.high_water = 1000;
        let acceptor = Acceptor::new(options);
        let server = Server::new(move |mut request: Request<Body>| {
            let (response, opening) = acceptor.accept(&mut request).unwrap();
            let echo = WsCallbacks::new(|sender, message| sender.try_send(message).unwrap());
            phaseloop::spawn(opening.callbacks(echo)).detach();
            async { response }
        });
        let (_serving, address) = start(&lp, server);
        let mut slow = raw(&lp, address).await;
        let (stream, message) = (slow.stream.clone(), frame(0x82, &[1; 60_000]));
        let flood = lp.spawn(async move {
            for _ in 0..300 {
                stream.write_all(&message).await.unwrap(); // 18 MB: more than the system holds
            }
            stream.write_all(&frame(0x82, b"the last")).await.unwrap();
        });
        lp.sleep(secs(1)).await;
        assert!(!flood.is_finished(), "the server reads what it can not answer");
        slow.bytes_until(b"the last").await; // no time passes: no ping comes to the rescue
        flood.await.unwrap();
    });
}
