//! Socket.IO in virtual time, by polling: requests are handed to the engine, no socket is involved.
#![cfg(feature = "socketio")]
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::{EventLoop, LoopHandle, sleep};
use phaseloop_server::http::{Body, Method, Request};
use phaseloop_server::socketio::{AckError, ConnectError, DisconnectReason, Io, Options, Recovery, Socket};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Ends = Rc<RefCell<Vec<DisconnectReason>>>;

/// A server that echoes `message`, notes why sockets leave, and keeps the one that came last.
struct Fixture {
    io: Io,
    ends: Ends,
    last: Rc<RefCell<Option<Socket>>>,
}

fn fixture(options: Options) -> Fixture {
    let (io, ends, last) = (Io::with_options(options), Ends::default(), Rc::default());
    let (noted, kept): (Ends, Rc<RefCell<Option<Socket>>>) = (ends.clone(), Rc::clone(&last));
    io.on_connection(move |socket| {
        let noted = noted.clone();
        socket.on("message", |event| event.socket.emit("back", event.args.clone()));
        socket.on_disconnect(move |_, reason| noted.borrow_mut().push(reason));
        kept.replace(Some(socket.clone()));
    });
    Fixture { io, ends, last }
}

struct Client {
    io: Io,
    sid: String,
}

impl Client {
    async fn open(io: &Io) -> Self {
        let (_, text) = ask(io, Method::GET, "EIO=4&transport=polling", "").await;
        let facts: serde_json::Value = serde_json::from_str(&text[1..]).unwrap();
        Self { io: io.clone(), sid: facts["sid"].as_str().unwrap().to_owned() }
    }

    /// Opens a session and connects to the main namespace.
    async fn connect(io: &Io) -> Self {
        let client = Self::open(io).await;
        client.post("40").await;
        assert!(client.poll().await.1.starts_with("40{"));
        client
    }

    async fn poll(&self) -> (u16, String) {
        ask(&self.io, Method::GET, &format!("EIO=4&transport=polling&sid={}", self.sid), "").await
    }

    async fn post(&self, payload: &str) -> u16 {
        ask(&self.io, Method::POST, &format!("EIO=4&transport=polling&sid={}", self.sid), payload).await.0
    }
}

async fn ask(io: &Io, method: Method, query: &str, body: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(format!("/socket.io/?{query}"));
    let response = io.engine().respond(request.body(Body::from(body.to_owned())).unwrap()).await;
    (response.status().as_u16(), response.into_body().text().await.unwrap())
}

fn run<F: Future>(test: impl FnOnce(LoopHandle) -> F) {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    lp.block_on(test(lp.handle())).unwrap();
}

#[test]
fn hostile_packets_end_the_session() {
    run(async |_| {
        let it = fixture(Options::default());
        let deep = format!("42[\"message\",{}{}]", "[".repeat(50_000), "]".repeat(50_000));
        let cases = [
            r#"4599999999999999999999-["message"]"#,
            r#"4511-["message"]"#,
            r#"451-["message",{"_placeholder":true,"num":5}]"#,
            deep.as_str(),
            "42{}",
            r#"42["connect"]"#,
            "4abc",
            "bAQID",                                  // nothing announced it
            "451-[\"message\"]\u{1e}42[\"message\"]", // text where bytes were announced
        ];
        for packet in cases {
            let client = Client::connect(&it.io).await;
            client.post(packet).await;
            assert_eq!(client.poll().await.1, "1", "{}", &packet[..packet.len().min(40)]);
            assert_eq!(client.poll().await.0, 400);
        }
        assert_eq!(*it.ends.borrow(), vec![DisconnectReason::ForcedClose; cases.len()]);
        assert_eq!((it.io.socket_count(), it.io.engine().session_count()), (0, 0));
    });
}

#[test]
fn a_packet_for_a_place_one_is_not_in_ends_the_session() {
    run(async |_| {
        let it = fixture(Options::default());
        it.io.of("/other");
        for packet in ["42/other,[\"message\"]", "41/other", "40\u{1e}40", "44{}"] {
            let client = Client::connect(&it.io).await;
            client.post(packet).await;
            assert_eq!(it.ends.borrow_mut().pop(), Some(DisconnectReason::ForcedServerClose), "{packet}");
        }
    });
}

#[test]
fn a_session_that_connects_to_nothing_is_closed() {
    run(async |lp: LoopHandle| {
        let mut options = Options::default();
        options.connect_timeout = ms(100);
        let it = fixture(options);
        let (silent, before) = (Client::open(&it.io).await, lp.now());
        assert_eq!(silent.poll().await, (200, "1".to_owned()));
        assert_eq!(lp.now() - before, ms(100));
        let client = Client::connect(&it.io).await;
        sleep(ms(1000)).await;
        assert_eq!(client.post("42[\"message\",1]").await, 200);
    });
}

#[test]
fn namespaces_of_a_client_are_bounded() {
    run(async |_| {
        let mut options = Options::default();
        options.namespaces_max = 3;
        let it = fixture(options);
        it.io.of_any(|_| true, |_| ());
        let client = Client::connect(&it.io).await;
        for name in ["/a", "/b", "/c"] {
            client.post(&format!("40{name}")).await;
        }
        assert_eq!(*it.ends.borrow(), [DisconnectReason::ForcedServerClose]);
    });
}

#[test]
fn answers_are_waited_for_in_time_and_number() {
    run(async |lp: LoopHandle| {
        let mut options = Options::default();
        options.acks_max = 2;
        let it = fixture(options);
        let client = Client::connect(&it.io).await;
        let socket = it.last.borrow().clone().unwrap();
        let first = socket.emit_with_ack("q", 1, ms(100));
        let second = socket.emit_with_ack("q", 2, ms(200));
        assert_eq!(socket.emit_with_ack("q", 3, ms(1)).await, Err(AckError::TooMany));
        assert_eq!(client.poll().await.1, "420[\"q\",1]\u{1e}421[\"q\",2]");
        let before = lp.now();
        assert_eq!(first.await, Err(AckError::TimedOut));
        assert_eq!(lp.now() - before, ms(100));
        client.post("431[\"two\"]\u{1e}431[\"twice\"]\u{1e}430[\"late\"]\u{1e}4399[]").await;
        assert_eq!(second.await.unwrap().values(), ["two"]);
        let third = socket.emit_with_ack("q", 3, ms(100));
        client.post("41").await;
        assert_eq!(third.await, Err(AckError::Disconnected));
        assert_eq!(socket.emit_with_ack("q", 4, ms(100)).await, Err(AckError::Disconnected));
    });
}

#[test]
fn what_is_volatile_is_lost_while_nobody_polls() {
    run(async |lp: LoopHandle| {
        let it = fixture(Options::default());
        let client = Rc::new(Client::connect(&it.io).await);
        let socket = it.last.borrow().clone().unwrap();
        socket.volatile().emit("lost", ());
        let poller = Rc::clone(&client);
        let poll = lp.spawn(async move { poller.poll().await });
        sleep(ms(1)).await;
        it.io.volatile().emit("heard", ());
        assert_eq!(poll.await.unwrap().1, "42[\"heard\"]");
        // It is waited for, as by Node: who missed it does not answer.
        let answers = it.io.volatile().emit_with_ack("lost", (), ms(50)).await;
        assert_eq!(answers, [Err(AckError::TimedOut)]);
        it.io.emit("next", ());
        assert_eq!(client.poll().await.1, "42[\"next\"]");
    });
}

#[test]
fn who_leaves_is_in_its_rooms_until_it_has_left() {
    run(async |_| {
        let it = fixture(Options::default());
        let client = Client::connect(&it.io).await;
        let socket = it.last.borrow().clone().unwrap();
        socket.join("room");
        let seen: Rc<RefCell<Vec<usize>>> = Rc::default();
        let (before, after) = (seen.clone(), seen.clone());
        socket.on_disconnecting(move |socket, _| before.borrow_mut().push(socket.rooms().len()));
        socket.on_disconnect(move |socket, _| after.borrow_mut().push(socket.rooms().len()));
        client.post("41").await;
        assert_eq!(*seen.borrow(), [2, 0]);
        socket.join("room");
        assert!(it.io.room_names().is_empty(), "{:?}", it.io.room_names());
    });
}

/// Whether a client is taken back that leaves once it has got an event, and returns after `meanwhile`.
async fn is_taken_back(it: &Fixture, meanwhile: impl AsyncFnOnce(&Io)) -> bool {
    let client = Client::open(&it.io).await;
    client.post("40").await;
    let facts: serde_json::Value = serde_json::from_str(&client.poll().await.1[2..]).unwrap();
    let id = facts["sid"].as_str().unwrap();
    it.io.emit("news", 1);
    let news: serde_json::Value = serde_json::from_str(&client.poll().await.1[2..]).unwrap();
    client.post("1").await;
    meanwhile(&it.io).await;
    let client = Client::open(&it.io).await;
    client.post(&format!("40{{\"pid\":{},\"offset\":{}}}", facts["pid"], news[2])).await;
    let answer = client.poll().await.1;
    let is_recovered = it.last.borrow().as_ref().unwrap().is_recovered();
    assert_eq!(answer.contains(id), is_recovered, "{answer}");
    is_recovered
}

fn recovering(recovery: Recovery) -> Fixture {
    let mut options = Options::default();
    options.recovery = Some(recovery);
    fixture(options)
}

#[test]
fn who_was_away_too_long_is_not_taken_back() {
    run(async |_| {
        let mut recovery = Recovery::default();
        recovery.disconnected_max = ms(1000);
        let it = recovering(recovery);
        assert!(is_taken_back(&it, async |_| sleep(ms(900)).await).await);
        assert!(!is_taken_back(&it, async |_| sleep(ms(1100)).await).await);
    });
}

#[test]
fn who_missed_more_than_is_kept_is_not_taken_back() {
    run(async |_| {
        let mut few = Recovery::default();
        few.packets_max = 10;
        let mut small = Recovery::default();
        small.packets_len_max = 2000;
        for recovery in [few, small] {
            let it = recovering(recovery);
            let missed = |count: usize| {
                async move |io: &Io| {
                    (0..count).for_each(|_| io.emit("news", "a text of some length ".repeat(5)))
                }
            };
            assert!(is_taken_back(&it, missed(9)).await);
            assert!(!is_taken_back(&it, missed(20)).await);
            assert!(is_taken_back(&it, missed(9)).await, "what made room counts no longer");
        }
    });
}

#[test]
fn an_answer_that_is_given_up_unasked_is_owed_no_longer() {
    run(async |_| {
        let mut options = Options::default();
        options.acks_max = 1;
        let it = fixture(options);
        let _client = Client::connect(&it.io).await;
        let socket = it.last.borrow().clone().unwrap();
        drop(socket.emit_with_ack("q", 1, ms(100)));
        drop(it.io.all().emit_with_ack("q", 2, ms(100)));
        assert_eq!(socket.emit_with_ack("q", 3, ms(100)).await, Err(AckError::TimedOut));
    });
}

#[test]
fn half_a_surrogate_pair_costs_one_character() {
    run(async |_| {
        let it = fixture(Options::default());
        let client = Client::connect(&it.io).await;
        client.post(r#"42["message","cut \ud83d","\ude00","\ud83d\ude00","\\ud83d"]"#).await;
        assert_eq!(
            client.poll().await.1,
            "42[\"back\",\"cut \u{fffd}\",\"\u{fffd}\",\"\u{1f600}\",\"\\\\ud83d\"]"
        );
    });
}

#[test]
fn a_volatile_event_to_a_room_is_for_all_but_the_sender() {
    run(async |lp: LoopHandle| {
        let it = fixture(Options::default());
        let (mut clients, mut sockets) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            clients.push(Client::connect(&it.io).await);
            sockets.extend(it.last.take());
        }
        sockets.iter().for_each(|socket| socket.join("room"));
        let polls: Vec<_> =
            clients.into_iter().map(|client| lp.spawn(async move { client.poll().await.1 })).collect();
        sleep(ms(1)).await;
        sockets[0].volatile().to("room").emit("moved", ());
        sockets[0].compress(false).to("room").emit("lost", ());
        it.io.emit("done", ());
        let heard: Vec<_> = futures::future::join_all(polls).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(heard, ["42[\"done\"]", "42[\"moved\"]\u{1e}42[\"lost\"]\u{1e}42[\"done\"]"]);
    });
}

#[test]
fn who_has_left_one_place_takes_nobody_out_of_others() {
    run(async |_| {
        let it = fixture(Options::default());
        let left: Rc<RefCell<Option<Socket>>> = Rc::default();
        let kept = Rc::clone(&left);
        it.io.of("/other").on_connection(move |socket| drop(kept.replace(Some(socket.clone()))));
        let client = Client::connect(&it.io).await;
        client.post("40/other,\u{1e}41/other,").await;
        left.take().unwrap().disconnect(true);
        assert_eq!((it.io.socket_count(), it.ends.borrow().len()), (1, 0));
    });
}

#[test]
fn sockets_that_are_refused_or_have_left_keep_no_handlers() {
    run(async |_| {
        let it = fixture(Options::default());
        let held = Rc::new(());
        let hold = |socket: &Socket, held: &Rc<()>| {
            let both = || {
                let (socket, held) = (socket.clone(), Rc::clone(held));
                move || (socket.clone(), Rc::clone(&held))
            };
            let (event, any, leaving, left) = (both(), both(), both(), both());
            socket.on("event", move |_| drop(event()));
            socket.on_any(move |_| drop(any()));
            socket.on_disconnecting(move |_, _| drop(leaving()));
            socket.on_disconnect(move |_, _| drop(left()));
        };
        let mine = Rc::clone(&held);
        it.io.of("/refused").use_(async move |socket: Socket| {
            hold(&socket, &mine);
            Err(ConnectError::new("no"))
        });
        let mine = Rc::clone(&held);
        it.io.of("/brief").on_connection(move |socket| {
            socket.disconnect(false);
            hold(socket, &mine);
        });
        let mine = Rc::clone(&held);
        it.io.of("/gone").use_(async move |socket: Socket| {
            hold(&socket, &mine);
            sleep(ms(10)).await;
            Ok(())
        });
        let client = Client::connect(&it.io).await;
        client.post("40/refused,\u{1e}40/brief,\u{1e}40/gone,").await;
        client.poll().await;
        client.post("1").await;
        sleep(ms(20)).await;
        drop(client);
        assert_eq!(Rc::strong_count(&held), 4, "one here, three in the places");
    });
}

#[test]
fn namespaces_made_by_clients_make_room_when_they_are_empty() {
    run(async |_| {
        let mut options = Options::default();
        options.made_namespaces_max = 2;
        let it = fixture(options);
        let made: Rc<RefCell<Vec<String>>> = Rc::default();
        let noted = Rc::clone(&made);
        it.io.of_any(
            |name| name.starts_with("/made"),
            move |namespace| {
                noted.borrow_mut().push(namespace.name().to_owned());
                let own = namespace.clone(); // a ring, as they happen
                namespace.on_connection(move |socket| own.emit("came", socket.id()));
            },
        );
        let client = Client::connect(&it.io).await;
        client.post("40/made-1,\u{1e}40/made-2,\u{1e}40/made-3,").await;
        assert!(client.poll().await.1.contains("44/made-3,{\"message\":\"Invalid namespace\"}"));
        client.post("41/made-1,\u{1e}40/made-3,").await;
        assert!(client.poll().await.1.contains("40/made-3,{"));
        assert_eq!(*made.borrow(), ["/made-1", "/made-2", "/made-3"]);
        // What the program asks for by name is set up as well, and is beside the limit.
        assert_eq!((it.io.of("made-2").socket_count(), it.io.of("made-4").socket_count()), (1, 0));
        assert_eq!(made.borrow().last().unwrap(), "/made-4");
        client.post("40/made-4,\u{1e}40/made-5,").await;
        let answer = client.poll().await.1;
        assert!(answer.contains("40/made-4,{") && answer.contains("44/made-5,{"), "{answer}");
        client.post("41/made-2,\u{1e}40/made-5,").await;
        assert!(client.poll().await.1.contains("40/made-5,{"), "asking for it does not keep it");
        // One whose middleware thinks is not empty.
        it.io.of_any(
            |name| name == "/slow",
            |namespace| {
                namespace.use_(async |_| {
                    sleep(ms(10)).await;
                    Ok(())
                })
            },
        );
        client.post("41/made-5,\u{1e}40/slow,\u{1e}40/made-6,").await;
        assert!(client.poll().await.1.contains("44/made-6,{"));
        sleep(ms(20)).await;
        assert!(client.poll().await.1.contains("40/slow,{"));
    });
}

#[test]
fn a_client_that_asks_for_nothing_but_unknown_namespaces_is_ended() {
    run(async |_| {
        let mut options = Options::default();
        options.namespaces_max = 3;
        let it = fixture(options);
        let client = Client::connect(&it.io).await;
        client.post("40/no-1,\u{1e}40/no-2,\u{1e}40/no-3,\u{1e}40/no-4,").await;
        assert_eq!(*it.ends.borrow(), [DisconnectReason::ForcedServerClose]);
    });
}

#[test]
fn middleware_that_panics_ends_its_client() {
    run(async |lp: LoopHandle| {
        lp.on_task_failure(|_, _| ());
        let it = fixture(Options::default());
        it.io.of("/bad").use_(async |_| panic!("on purpose"));
        let client = Client::connect(&it.io).await;
        client.post("40/bad,").await;
        assert_eq!(client.poll().await.1, "1");
        assert_eq!(*it.ends.borrow(), [DisconnectReason::ForcedServerClose]);
    });
}

#[test]
fn a_namespace_whose_set_up_panicked_takes_nobody_until_it_is_made_anew() {
    run(async |lp: LoopHandle| {
        lp.on_task_failure(|_, _| ());
        let mut options = Options::default();
        options.made_namespaces_max = 1;
        let it = fixture(options);
        let panics = Rc::new(Cell::new(true));
        let made = Rc::clone(&panics);
        it.io.of_any(
            |name| name.starts_with("/guarded"),
            move |namespace| {
                assert!(!made.get(), "on purpose");
                namespace.use_(async |_| Err(ConnectError::new("guarded")));
            },
        );
        let first = Client::connect(&it.io).await;
        let asking = lp.spawn(async move { first.post("40/guarded,").await });
        assert!(asking.await.is_err());
        let client = Client::connect(&it.io).await;
        client.post("40/guarded,").await;
        assert_eq!(client.poll().await.1, "44/guarded,{\"message\":\"Invalid namespace\"}");
        panics.set(false);
        client.post("40/guarded,").await;
        assert_eq!(client.poll().await.1, "44/guarded,{\"message\":\"Invalid namespace\"}");
        // Room for another is made by giving it up.
        for name in ["/guarded-2", "/guarded"] {
            client.post(&format!("40{name},")).await;
            assert_eq!(client.poll().await.1, format!("44{name},{{\"message\":\"guarded\"}}"));
        }
    });
}

#[test]
#[should_panic(expected = "\"disconnect\" stands for something else in Socket.IO")]
fn an_event_may_not_have_a_name_that_clients_would_leave_at() {
    Io::new().to("room").emit("disconnect", ());
}
