//! Commands, and what becomes of them.

use std::cell::RefCell;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use phaseloop::net::TcpListener;
use phaseloop_server::redis::{
    Client, Cmd, Consumer, ConsumerOptions, Error, Event, Gap, Options, Status, cmd, pipe,
};

use crate::server::{self, Played, ask, kill_connection, ms, on_loop, options, secs, server, server_with};

#[test]
fn commands_pipelines_and_transactions_are_answered() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let nothing: Option<String> = redis.query(&Cmd::get("key")).await.unwrap();
        assert_eq!(nothing, None);
        redis.query::<()>(&Cmd::set("key", "\u{e9}\r\n\0")).await.unwrap();
        let (got, count, ranks): (String, i64, Vec<(String, f64)>) = redis
            .pipeline(
                pipe()
                    .zadd("scores", "ann", 2.5)
                    .ignore()
                    .zadd("scores", "bob", 1)
                    .ignore()
                    .get("key")
                    .incr("count", 3)
                    .zrange_withscores("scores", 0, -1),
            )
            .await
            .unwrap();
        assert_eq!((got.as_str(), count), ("\u{e9}\r\n\0", 3));
        assert_eq!(ranks, [("bob".to_owned(), 1.0), ("ann".to_owned(), 2.5)]);
        let (left, right): (i64, i64) =
            redis.pipeline(pipe().atomic().incr("count", 1).decr("other", 1)).await.unwrap();
        assert_eq!((left, right), (4, -1));
        let map: std::collections::BTreeMap<String, i64> = {
            redis.query::<()>(&Cmd::hset_multiple("map", &[("a", 1), ("b", 2)])).await.unwrap();
            redis.query(&Cmd::hgetall("map")).await.unwrap()
        };
        assert_eq!(map, [("a".to_owned(), 1), ("b".to_owned(), 2)].into());
    });
}

#[test]
fn a_pipeline_without_commands_is_answered_at_once_and_takes_nobodys_reply() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let own = redis.dedicated().await.unwrap();
        let (empty, echo) = (pipe(), cmd("ECHO").arg("a").to_owned());
        let (nothing, one) = futures::join!(redis.pipeline::<()>(&empty), redis.query::<String>(&echo));
        assert_eq!((nothing, one), (Ok(()), Ok("a".to_owned())));
        let (nothing, one) = futures::join!(own.pipeline::<()>(&empty), own.query::<String>(&echo));
        assert_eq!((nothing, one), (Ok(()), Ok("a".to_owned())));
        assert_eq!((redis.in_flight(), redis.connection_count()), (0, 1));
    });
}

#[test]
fn many_commands_at_once_are_answered_in_their_order() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let all = join_all((0..5000).map(|number| {
            let redis = redis.clone();
            async move { redis.query::<i64>(cmd("ECHO").arg(number)).await }
        }));
        let answers: Vec<i64> = all.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..5000).collect::<Vec<_>>());
        assert_eq!(redis.in_flight(), 0);
    });
}

#[test]
fn localhost_is_the_loopback_address_of_either_family() {
    on_loop(async |lp| {
        let listener = match TcpListener::bind(&lp, "[::1]:0".parse().unwrap()) {
            Ok(listener) => listener,
            Err(error) => {
                // Standard error itself, which the harness does not keep to itself.
                let _ = writeln!(std::io::stderr(), "SKIPPED: localhost by IPv6: {error}");
                return;
            }
        };
        let port = listener.local_addr().unwrap().port();
        let redis = Client::new(&lp, options(&format!("redis://localhost:{port}")));
        let ready = async { redis.ready(secs(30)).await.unwrap() };
        futures::join!(Played::let_in(&listener), ready);
    });
}

#[test]
fn what_the_server_refuses_is_told_in_its_words() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        redis.query::<()>(&Cmd::set("text", "a")).await.unwrap();
        let error = redis.query::<i64>(&Cmd::incr("text", 1)).await.unwrap_err();
        assert!(
            matches!(&error, Error::Refused { code, message } if code == "ERR" && message.contains("integer")),
            "{error}"
        );
        let error = redis.query::<()>(&Cmd::lpush("text", 1)).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { code, .. } if code == "WRONGTYPE"), "{error}");
        assert!(!error.is_temporary() && !error.may_have_run());
        let error = redis.query::<i64>(&Cmd::get("text")).await.unwrap_err();
        assert!(matches!(error, Error::Unexpected(_)), "{error}");
        let error = redis.pipeline::<((), ())>(pipe().set("a", 1).lpush("text", 1)).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { code, .. } if code == "WRONGTYPE"), "{error:?}");
        let error =
            redis.pipeline::<((), ())>(pipe().atomic().set("b", 1).cmd("NOSUCH").arg("x")).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { message, .. } if message.contains("NOSUCH")), "{error:?}");
        let kept: (Option<i64>, Option<i64>) = redis.pipeline(pipe().get("a").get("b")).await.unwrap();
        assert_eq!(kept, (Some(1), None));
    });
}

#[test]
fn passwords_users_and_databases_are_told() {
    let Some(server) = server_with(&["--requirepass", "sesame"]) else { return };
    on_loop(async |lp| {
        let addr = server.addr();
        let redis = Client::new(&lp, options(&format!("redis://:sesame@{addr}/3")));
        redis.ready(secs(30)).await.unwrap();
        redis.query::<()>(&Cmd::set("where", "three")).await.unwrap();
        redis.query::<()>(cmd("ACL").arg(&["SETUSER", "ann", "on", ">p@ss", "~*", "+@all"])).await.unwrap();
        let ann = Client::connect(&lp, options(&format!("redis://ann:p%40ss@{addr}/3"))).await.unwrap();
        let found: (String, String) =
            ann.pipeline(pipe().cmd("ACL").arg("WHOAMI").get("where")).await.unwrap();
        assert_eq!(found, ("ann".to_owned(), "three".to_owned()));
        let error = Client::connect(&lp, options(&format!("redis://:wrong@{addr}/"))).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { code, .. } if code == "WRONGPASS"), "{error}");
        assert!(!error.to_string().contains(":wrong"));
        let error = Client::connect(&lp, options(&format!("redis://{addr}/"))).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { code, .. } if code == "NOAUTH"), "{error}");
        let error = Client::connect(&lp, options(&format!("redis://:sesame@{addr}/99"))).await.unwrap_err();
        assert!(
            matches!(&error, Error::Refused { message, .. } if message.contains("out of range")),
            "{error}"
        );
    });
}

#[test]
fn a_unix_socket_is_as_good() {
    let folder = server::Folder::new();
    let path = folder.path().join("redis.sock");
    let Some(_server) = server_with(&["--unixsocket", path.to_str().unwrap()]) else { return };
    on_loop(async |lp| {
        let redis = Client::new(&lp, options(&format!("unix://{}?db=2", path.display())));
        redis.ready(secs(30)).await.unwrap();
        let answer: String = redis.query(cmd("ECHO").arg("here")).await.unwrap();
        assert_eq!(answer, "here");
    });
}

#[test]
fn a_server_that_is_killed_costs_what_is_under_way_and_comes_back() {
    let Some(mut server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let told = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&told);
        redis.on_change(move |status| {
            let text = match status {
                Status::Connected => "connected",
                Status::Disconnected(_) => "disconnected",
                _ => "?",
            };
            log.borrow_mut().push(text);
        });
        redis.query::<()>(cmd("CLIENT").arg(&["PAUSE", "60000", "ALL"])).await.unwrap();
        let waiting = lp.spawn({
            let redis = redis.clone();
            async move { redis.query::<i64>(&Cmd::incr("count", 1)).await }
        });
        phaseloop::spawn(async {}).await.unwrap(); // the command is on its way
        server.kill().unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Lost(_)), "{error}");
        assert!(error.may_have_run() && error.is_temporary());
        // One attempt is waited for, and fails.
        let error = redis.query::<()>(&Cmd::set("a", 1)).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(why) if why.contains("refused")), "{error}");
        assert!(!redis.is_connected() && !error.may_have_run());
        server.restart().unwrap();
        redis.ready(secs(30)).await.unwrap();
        redis.query::<()>(&Cmd::set("a", 1)).await.unwrap();
        assert_eq!(redis.connection_count(), 2);
        let told = told.borrow();
        assert_eq!((told[0], told[told.len() - 1]), ("disconnected", "connected"));
    });
}

#[test]
fn a_connection_that_is_killed_is_made_anew_and_commands_wait_for_it() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (redis, other) = (ask(&lp, &server).await, ask(&lp, &server).await);
        kill_connection(&redis, &other).await;
        // Either it has not noticed, and the command is lost, or the command waits for the next connection.
        let first = redis.query::<i64>(&Cmd::incr("count", 1)).await;
        assert!(matches!(first, Ok(1) | Err(Error::Lost(_))), "{first:?}");
        redis.query::<i64>(&Cmd::incr("count", 1)).await.unwrap();
        assert_eq!(redis.connection_count(), 2);
    });
}

#[test]
fn a_command_is_sent_again_only_where_it_may_run_twice() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (redis, other) = (ask(&lp, &server).await, ask(&lp, &server).await);
        let id: i64 = redis.query(cmd("CLIENT").arg("ID")).await.unwrap();
        // Paused for writes, so that the killer is heard.
        other.query::<()>(cmd("CLIENT").arg(&["PAUSE", "60000", "WRITE"])).await.unwrap();
        let start = |client: Client, key: &'static str| {
            lp.spawn(async move { client.query::<i64>(&Cmd::incr(key, 1)).await })
        };
        let (twice, once) = (start(redis.idempotent(), "twice"), start(redis.clone(), "once"));
        let blocked = async {
            // Both have arrived once the server says so.
            loop {
                let info: String = other.query(cmd("INFO").arg("clients")).await.unwrap();
                if info.contains("blocked_clients:1") {
                    break;
                }
            }
        };
        blocked.await;
        let killed: i64 = other.query(cmd("CLIENT").arg("KILL").arg("ID").arg(id)).await.unwrap();
        assert_eq!(killed, 1);
        assert!(matches!(once.await.unwrap(), Err(Error::Lost(_))));
        other.query::<()>(cmd("CLIENT").arg("UNPAUSE")).await.unwrap();
        assert_eq!(twice.await.unwrap(), Ok(1));
        let once: Option<i64> = redis.query(&Cmd::get("once")).await.unwrap();
        assert_eq!(once, None);
    });
}

#[test]
fn a_server_that_does_not_answer_costs_the_connection() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let mut options = Options::addr(server.addr());
        options.command_timeout = ms(150);
        options.backoff_min = ms(1);
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        redis.query::<()>(cmd("CLIENT").arg(&["PAUSE", "400", "ALL"])).await.unwrap();
        let (first, second) =
            futures::join!(redis.query::<()>(&Cmd::set("a", 1)), redis.query::<()>(&Cmd::set("b", 1)),);
        assert_eq!(first, Err(Error::Timeout(ms(150))));
        assert!(matches!(second, Err(Error::Timeout(_) | Error::Lost(_))), "{second:?}");
        redis.ready(secs(30)).await.unwrap();
        redis.query::<()>(&Cmd::set("c", 1)).await.unwrap();
    });
}

#[test]
fn a_server_that_hangs_is_told_by_timeouts_and_gaps_and_heals() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let mut options = Options::addr(server.addr());
        (options.command_timeout, options.connect_timeout) = (ms(300), ms(200));
        (options.backoff_min, options.backoff_max) = (ms(2), ms(20));
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        let mut news = redis.subscribe("news").await.unwrap();
        let lost = server::disconnected(&redis);
        server.freeze().unwrap();
        let error = redis.query::<i64>(&Cmd::incr("count", 1)).await.unwrap_err();
        assert_eq!(error, Error::Timeout(ms(300)));
        assert!(error.is_temporary() && error.may_have_run());
        assert_eq!(error.to_string(), "redis did not answer within 300ms");
        lost.await.unwrap();
        // The system accepts for it, and nobody greets.
        let error = redis.query::<()>(&Cmd::set("a", 1)).await.unwrap_err();
        let why = format!("{} let nobody in within 200ms", server.url().trim_end_matches('/'));
        assert_eq!(error, Error::Unavailable(why));
        assert!(!error.may_have_run());
        let mut late = redis.subscribe_soon("late").unwrap();
        server.thaw().unwrap();
        redis.ready(secs(30)).await.unwrap();
        assert_eq!(news.next().await, Some(Ok(Event::Gap(Gap::Connection))));
        assert_eq!(late.next().await, Some(Ok(Event::Gap(Gap::Connection))));
        assert_eq!(redis.publish("news", "hello").await, Ok(1));
        let event = news.next().await.unwrap().unwrap();
        assert!(matches!(event, Event::Message(message) if message.text() == Ok("hello")));
        let count = redis.query::<i64>(&Cmd::incr("count", 1)).await;
        assert!(matches!(count, Ok(1 | 2)), "it may have run what it had been sent: {count:?}");
    });
}

#[test]
fn who_has_all_the_time_there_is_waits_and_gets_an_answer() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let mut options = Options::addr(server.addr());
        options.command_timeout = Duration::MAX;
        let redis = Client::new(&lp, options);
        redis.ready(Duration::MAX).await.unwrap();
        assert_eq!(redis.query::<i64>(&Cmd::incr("count", 1)).await, Ok(1));
        let lock = redis.lock("lock", secs(60), Duration::MAX).await.unwrap().unwrap();
        assert!(lock.release().await.unwrap());
        redis.append("orders", 10, &[("order", 1)]).await.unwrap();
        let mut consumer = ConsumerOptions::new("orders", "billing", "one");
        (consumer.from_first, consumer.claim_every) = (true, Duration::MAX);
        let entry = Consumer::new(&redis, consumer).next().await.unwrap();
        assert_eq!(entry.text("order"), Some("1"));
    });
}

#[test]
fn a_command_has_all_its_time_however_long_the_turn_was_before_it() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let mut options = Options::addr(server.addr());
        options.command_timeout = secs(1);
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        let began = std::time::Instant::now();
        while began.elapsed() < ms(1100) {
            std::hint::spin_loop(); // a callback that computes
        }
        assert_eq!(redis.query::<String>(cmd("ECHO").arg("a")).await, Ok("a".to_owned()));
        let own = redis.dedicated().await.unwrap();
        let late = own.query_within::<()>(cmd("BLPOP").arg("list").arg(0), ms(20)).await;
        assert_eq!(late, Err(Error::Timeout(ms(20))));
    });
}

#[test]
fn what_waits_is_bounded_by_number_and_by_length() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let mut options = Options::addr(server.addr());
        options.in_flight_max = 4;
        options.queue_len_max = 1000;
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        redis.query::<()>(cmd("CLIENT").arg(&["PAUSE", "60000", "WRITE"])).await.unwrap();
        let long = redis.query::<()>(&Cmd::set("long", vec![b'a'; 2000])).await;
        assert_eq!(long, Err(Error::Full { limit: "queue_len_max", max: 1000 }));
        let mut waiting = Vec::new();
        for number in 0..4 {
            let redis = redis.clone();
            waiting.push(lp.spawn(async move { redis.query::<()>(&Cmd::set(number, 1)).await }));
        }
        phaseloop::spawn(async {}).await.unwrap();
        // Those that are given up count until they are answered.
        waiting.drain(..2).for_each(|task| task.abort());
        phaseloop::spawn(async {}).await.unwrap();
        let full = redis.query::<()>(&Cmd::set("more", 1)).await;
        assert_eq!(full, Err(Error::Full { limit: "in_flight_max", max: 4 }));
        assert_eq!(redis.in_flight(), 4);
        let other = ask(&lp, &server).await;
        other.query::<()>(cmd("CLIENT").arg("UNPAUSE")).await.unwrap();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        assert_eq!(redis.in_flight(), 0);
    });
}

#[test]
fn large_values_pass_and_too_large_ones_cost_the_connection() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let value: Vec<u8> = (0..20_000_000_u32).map(|number| (number * 7) as u8).collect();
        let redis = ask(&lp, &server).await;
        redis.query::<()>(&Cmd::set("large", &value)).await.unwrap();
        assert!(redis.query::<Vec<u8>>(&Cmd::get("large")).await.unwrap() == value);
        let mut options = Options::addr(server.addr());
        options.reply_len_max = 1_000_000;
        options.reply_values_max = 1000;
        let small = Client::connect(&lp, options).await.unwrap();
        let error = small.query::<Vec<u8>>(&Cmd::get("large")).await.unwrap_err();
        assert!(matches!(&error, Error::Protocol(why) if why.contains("reply_len_max, 1000000")), "{error}");
        let numbers: Vec<u32> = (0..2000).collect();
        small.query::<()>(&Cmd::rpush("list", &numbers)).await.unwrap();
        let error = small.query::<Vec<u32>>(&Cmd::lrange("list", 0, -1)).await.unwrap_err();
        assert!(matches!(&error, Error::Protocol(why) if why.contains("reply_values_max")), "{error}");
        assert_eq!(small.query::<Vec<u32>>(&Cmd::lrange("list", 0, 9)).await.unwrap(), numbers[..10]);
    });
}

#[test]
fn what_is_no_redis_is_called_that() {
    on_loop(async |lp| {
        let cases: [(&'static [u8], &str); 4] = [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 400"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
            (b"$99999999999\r\n", "reply_len_max"),
            (b"", "the server closed it"),
        ];
        for (said, why) in cases {
            let addr = server::listener_that_says(&lp, said);
            let error = Client::connect(&lp, Options::addr(addr)).await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let silent = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let mut options = Options::addr(silent.local_addr().unwrap());
        options.connect_timeout = ms(50);
        let error = Client::connect(&lp, options).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(_)), "{error}");
        let error = Client::connect(&lp, options_of_nowhere()).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(why) if why.contains("redis.example")), "{error}");
    });
}

fn options_of_nowhere() -> Options {
    Options::url("redis://redis.example/").unwrap()
}

#[test]
fn commands_that_would_take_the_connection_are_refused() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        for name in ["SUBSCRIBE", "BLPOP", "MULTI", "SELECT", "MONITOR"] {
            let error = redis.query::<()>(cmd(name).arg(1)).await.unwrap_err();
            assert!(matches!(&error, Error::Invalid(why) if why.starts_with(name)), "{error}");
        }
        let own = redis.dedicated().await.unwrap();
        let nothing: Option<(String, String)> = own.query(cmd("BLPOP").arg("list").arg(0.01)).await.unwrap();
        assert_eq!(nothing, None);
        let late = own.query_within::<()>(cmd("BLPOP").arg("list").arg(0), ms(20)).await;
        assert_eq!(late, Err(Error::Timeout(ms(20))));
        assert!(matches!(own.query::<()>(&Cmd::get("a")).await, Err(Error::Unavailable(_))));
    });
}

#[test]
fn a_watched_key_that_changes_breaks_the_transaction() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let own = redis.dedicated().await.unwrap();
        for changed in [true, false] {
            own.query::<()>(cmd("WATCH").arg("balance")).await.unwrap();
            if changed {
                redis.query::<()>(&Cmd::set("balance", 1)).await.unwrap();
            }
            let done: Option<((),)> = own.pipeline(pipe().atomic().set("balance", 2)).await.unwrap();
            assert_eq!(done.is_none(), changed);
        }
    });
}

#[test]
fn a_client_that_is_closed_or_dropped_leaves_nothing() {
    let Some(server) = server() else { return };
    let lp = phaseloop::EventLoop::new().unwrap();
    let redis = lp.block_on(ask(&lp, &server)).unwrap();
    // Idle, it keeps the loop no longer.
    lp.run(phaseloop::RunMode::Default).unwrap();
    redis.close();
    let error = lp.block_on({
        let redis = redis.clone();
        async move { redis.query::<()>(&Cmd::set("a", 1)).await }
    });
    assert!(matches!(error.unwrap(), Err(Error::Unavailable(why)) if why.contains("closed")));
    drop(redis);
    lp.block_on(async {
        let other = ask(&lp, &server).await;
        loop {
            let clients: String = other.query(cmd("CLIENT").arg("LIST")).await.unwrap();
            if clients.lines().count() == 1 {
                break;
            }
        }
    })
    .unwrap();
    assert_eq!(lp.task_count(), 0);
}
