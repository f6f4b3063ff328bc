//! Clients of Socket.IO that lose their connection and come back, in virtual time: no socket is involved.
#![cfg(feature = "socketio")]
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use phaseloop::{EventLoop, LoopHandle, sleep};
use phaseloop_server::http::{Body, Method, Request};
use phaseloop_server::socketio::{ConnectError, Io, Options, Recovery, Socket};
use serde_json::Value;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Clients may be away for a second.
fn options(set: impl FnOnce(&mut Options, &mut Recovery)) -> Options {
    let (mut options, mut recovery) = (Options::default(), Recovery::default());
    recovery.disconnected_max = ms(1000);
    set(&mut options, &mut recovery);
    options.recovery = Some(recovery);
    options
}

/// A client, and what it knows of itself.
struct Client {
    io: Io,
    sid: String,
    id: String,
    secret: String,
    seen: String,
}

impl Client {
    /// Connects to the main namespace, and hears one event.
    async fn connect(io: &Io) -> Self {
        let unknown = String::new;
        let mut client =
            Self { io: io.clone(), sid: unknown(), id: unknown(), secret: unknown(), seen: unknown() };
        client.open().await;
        client.post("40").await;
        let facts = read(&client.poll().await);
        client.id = facts["sid"].as_str().unwrap().to_owned();
        client.secret = facts["pid"].as_str().unwrap().to_owned();
        client.hear().await;
        client
    }

    /// Hears one more event.
    async fn hear(&mut self) {
        self.io.to(&self.id).emit("news", ());
        self.seen = read(&self.poll().await)[1].as_str().unwrap().to_owned();
    }

    async fn open(&mut self) {
        let (_, text) = ask(&self.io, Method::GET, "", "").await;
        let facts: Value = serde_json::from_str(&text[1..]).unwrap();
        self.sid = format!("&sid={}", facts["sid"].as_str().unwrap());
    }

    /// Loses its connection.
    async fn go(&self) {
        self.post("1").await;
    }

    /// Comes back by another session; gives the answer, and what follows it.
    async fn come_back(&mut self) -> String {
        self.open().await;
        self.post(&format!(r#"40{{"pid":"{}","offset":"{}"}}"#, self.secret, self.seen)).await;
        self.poll().await
    }

    /// True if it is taken back.
    async fn is_taken_back(&mut self) -> bool {
        self.come_back().await.contains(&self.id)
    }

    async fn poll(&self) -> String {
        ask(&self.io, Method::GET, &self.sid, "").await.1
    }

    async fn post(&self, payload: &str) {
        ask(&self.io, Method::POST, &self.sid, payload).await;
    }
}

fn read(packet: &str) -> Value {
    serde_json::from_str(&packet[2..]).unwrap()
}

async fn ask(io: &Io, method: Method, sid: &str, body: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(format!("/socket.io/?EIO=4&transport=polling{sid}"));
    let response = io.engine().respond(request.body(Body::from(body.to_owned())).unwrap()).await;
    (response.status().as_u16(), response.into_body().text().await.unwrap())
}

fn run<F: Future>(test: impl FnOnce(LoopHandle) -> F) {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    lp.block_on(test(lp.handle())).unwrap();
}

#[test]
fn each_absence_counts_from_its_own_beginning() {
    run(async |_| {
        let io = Io::with_options(options(|_, recovery| recovery.sessions_max = 2));
        let mut client = Client::connect(&io).await;
        client.go().await;
        sleep(ms(100)).await;
        assert!(client.is_taken_back().await);
        sleep(ms(800)).await;
        client.hear().await;
        client.go().await;
        sleep(ms(200)).await; // the first absence began more than a second ago
        assert!(client.is_taken_back().await);
        // And who has come back takes nobody's place.
        client.hear().await;
        client.go().await;
        assert!(client.is_taken_back().await);
        client.hear().await;
        client.go().await;
        Client::connect(&io).await.go().await;
        assert!(client.is_taken_back().await);
    });
}

#[test]
fn what_is_said_while_middleware_thinks_is_not_missed() {
    run(async |_| {
        let io = Io::with_options(options(|_, recovery| recovery.skip_middlewares = false));
        io.on_connection(|socket| socket.join("room"));
        io.use_(async |socket: Socket| {
            sleep(ms(10)).await;
            let namespace = socket.namespace();
            namespace.to("room").emit("meanwhile", socket.is_recovered());
            Ok(())
        });
        let mut client = Client::connect(&io).await;
        client.go().await;
        io.to("room").emit("before", ());
        let answer = client.come_back().await;
        let packets: Vec<&str> = answer.split('\u{1e}').collect();
        assert!(packets.len() == 3 && packets[0].contains(&client.id), "{answer}");
        assert!(
            packets[1].starts_with("42[\"before\"") && packets[2].starts_with("42[\"meanwhile\",true"),
            "{answer}"
        );
    });
}

#[test]
fn who_is_refused_or_lost_again_may_still_come_back() {
    run(async |_| {
        let io = Io::with_options(options(|_, recovery| recovery.skip_middlewares = false));
        let refuses = Rc::new(Cell::new(false));
        let asked = Rc::clone(&refuses);
        io.use_(async move |_| {
            sleep(ms(10)).await;
            if asked.get() { Err(ConnectError::new("not now")) } else { Ok(()) }
        });
        let mut client = Client::connect(&io).await;
        client.go().await;
        refuses.set(true);
        assert!(client.come_back().await.starts_with("44{"));
        client.go().await;
        refuses.set(false);
        client.open().await;
        client.post(&format!(r#"40{{"pid":"{}","offset":"{}"}}"#, client.secret, client.seen)).await;
        client.go().await; // before the middleware is done
        sleep(ms(20)).await;
        assert!(client.is_taken_back().await);
        // Two at a time are not both taken for the same one.
        client.hear().await;
        client.go().await;
        let again = format!(r#"40{{"pid":"{}","offset":"{}"}}"#, client.secret, client.seen);
        client.open().await;
        let first = client.sid.clone();
        client.post(&again).await;
        client.open().await;
        client.post(&again).await;
        let second = client.poll().await;
        client.sid = first;
        let first = client.poll().await;
        assert!(first.contains(&client.id) && second == "1", "{first} {second}");
        assert_eq!(io.socket_count(), 1);
    });
}

#[test]
fn who_missed_more_than_may_wait_starts_anew() {
    run(async |_| {
        let io = Io::with_options(options(|options, _| options.engine.send_queue_len_max = 5000));
        let came: Rc<RefCell<Vec<bool>>> = Rc::default();
        let noted = Rc::clone(&came);
        io.on_connection(move |socket| {
            assert!(socket.is_connected());
            noted.borrow_mut().push(socket.is_recovered());
        });
        let mut client = Client::connect(&io).await;
        client.go().await;
        for _ in 0..6 {
            io.emit("long", "x".repeat(1000));
        }
        let answer = client.come_back().await;
        assert!(answer.starts_with("40{") && !answer.contains(&client.id), "{answer}");
        assert_eq!(*came.borrow(), [false, false]);
        // Other places' events fill the same queue.
        let other = io.of("/other");
        other.on_connection(|socket| socket.emit("long", "x".repeat(4000)));
        let mut client = Client::connect(&io).await;
        client.go().await;
        for _ in 0..4 {
            io.emit("long", "x".repeat(1000));
        }
        client.open().await;
        let again = format!(r#"40{{"pid":"{}","offset":"{}"}}"#, client.secret, client.seen);
        client.post(&format!("40/other,\u{1e}{again}")).await;
        let answer = client.poll().await;
        assert!(answer.contains("40{") && !answer.contains(&client.id), "{answer}");
    });
}

#[test]
fn what_is_kept_is_bounded_in_number_and_bytes() {
    for (packets, bytes, kept) in [(5, 1_000_000, 4), (100, 5000, 4), (0, 5000, 0), (100, 20, 0)] {
        run(async |_| {
            let io = Io::with_options(options(|_, recovery| {
                (recovery.packets_max, recovery.packets_len_max) = (packets, bytes);
            }));
            for missed in [kept, kept + 1] {
                let mut client = Client::connect(&io).await;
                client.go().await;
                for _ in 0..missed {
                    io.emit("long", "x".repeat(1100));
                }
                assert_eq!(
                    client.is_taken_back().await,
                    missed == kept && kept > 0,
                    "{packets} {bytes} {missed}"
                );
            }
        });
    }
}

#[test]
fn events_are_sent_and_loops_dropped_while_no_loop_runs() {
    let io = Io::with_options(options(|_, _| ()));
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    io.emit("nobody is there", ());
    lp.block_on(async {
        let client = Client::connect(&io).await;
        phaseloop::spawn(async move { client.poll().await }).detach();
        sleep(ms(1)).await;
    })
    .unwrap();
    io.emit("news", ());
    assert_eq!(io.socket_count(), 1);
    drop(lp);
    assert_eq!(io.socket_count(), 0);
}
