//! Messages that are published.

use futures::StreamExt;
use phaseloop_server::redis::{Client, Cmd, Error, Event, Gap, Options, Subscription, cmd, pipe};

use crate::server::{Played, ask, kill_connection, ms, on_loop, secs, server, server_with};

/// The next event, as text.
async fn next(subscription: &mut Subscription) -> String {
    match subscription.next().await.unwrap().unwrap() {
        Event::Message(message) => format!("{}: {}", message.channel, message.text().unwrap()),
        Event::Gap(gap) => format!("{gap:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_published_arrives_by_channel_and_by_pattern() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (redis, other) = (ask(&lp, &server).await, ask(&lp, &server).await);
        let mut channel = redis.subscribe("news").await.unwrap();
        let mut again = redis.subscribe("news").await.unwrap();
        let mut pattern = redis.psubscribe("n*").await.unwrap();
        assert_eq!(other.publish("news", "one").await.unwrap(), 2);
        assert_eq!(other.publish("nothing", "two").await.unwrap(), 1);
        assert_eq!(next(&mut channel).await, "news: one");
        assert_eq!(next(&mut again).await, "news: one");
        assert_eq!(next(&mut pattern).await, "news: one");
        assert_eq!(next(&mut pattern).await, "nothing: two");
        // Commands and messages share the connection.
        assert_eq!(redis.publish("news", "three").await.unwrap(), 2);
        assert_eq!(next(&mut channel).await, "news: three");
        drop(channel);
        assert_eq!(other.publish("news", "four").await.unwrap(), 2); // `again` hears it
        assert_eq!([next(&mut again).await, next(&mut again).await], ["news: three", "news: four"]);
        drop((again, pattern));
        // The connection is asked, so that it is known to have heard of that.
        let _: String = redis.query(cmd("ECHO").arg("a")).await.unwrap();
        assert_eq!(other.publish("news", "five").await.unwrap(), 0);
    });
}

#[test]
fn after_a_reconnect_it_is_subscribed_again_and_a_gap_is_told() {
    let Some(mut server) = server() else { return };
    on_loop(async |lp| {
        let (redis, other) = (ask(&lp, &server).await, ask(&lp, &server).await);
        let mut news = redis.subscribe("news").await.unwrap();
        let mut all = redis.psubscribe("*").await.unwrap();
        other.publish("news", "before").await.unwrap();
        assert_eq!(next(&mut news).await, "news: before");
        assert_eq!(next(&mut all).await, "news: before");
        kill_connection(&redis, &other).await;
        assert_eq!(next(&mut news).await, "Connection");
        assert_eq!(next(&mut all).await, "Connection");
        assert_eq!(other.publish("news", "after").await.unwrap(), 2);
        assert_eq!(next(&mut news).await, "news: after");
        assert_eq!(next(&mut all).await, "news: after");
        server.kill().unwrap();
        server.restart().unwrap();
        assert_eq!(next(&mut news).await, "Connection");
        other.ready(secs(30)).await.unwrap();
        other.publish("news", "restarted").await.unwrap();
        assert_eq!(next(&mut news).await, "news: restarted");
    });
}

#[test]
fn a_subscription_may_be_made_before_there_is_a_server() {
    let Some(mut server) = server() else { return };
    server.kill().unwrap();
    on_loop(async |lp| {
        let mut options = Options::addr(server.addr());
        options.backoff_min = ms(2);
        options.backoff_max = ms(20);
        let redis = Client::new(&lp, options);
        let mut news = redis.subscribe_soon("news").unwrap();
        assert!(matches!(redis.subscribe("news").await, Err(Error::Unavailable(_))));
        server.restart().unwrap();
        assert_eq!(next(&mut news).await, "Connection");
        redis.publish("news", "hello").await.unwrap();
        assert_eq!(next(&mut news).await, "news: hello");
        redis.close();
        assert!(matches!(news.next().await, Some(Err(Error::Unavailable(_)))));
        assert!(news.next().await.is_none());
    });
}

#[test]
fn a_reader_that_is_too_slow_loses_the_oldest_and_is_told_how_many() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let mut options = Options::addr(server.addr());
        options.subscription_queue_max = 3;
        options.subscription_len_max = 100;
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        let mut news = redis.subscribe("news").await.unwrap();
        for number in 0..10 {
            redis.publish("news", number).await.unwrap();
        }
        assert_eq!(news.next().await.unwrap().unwrap(), Event::Gap(Gap::Overflow(7)));
        for number in 7..10 {
            assert_eq!(next(&mut news).await, format!("news: {number}"));
        }
        redis.publish("news", "a".repeat(90)).await.unwrap();
        redis.publish("news", "b".repeat(90)).await.unwrap();
        assert_eq!(news.next().await.unwrap().unwrap(), Event::Gap(Gap::Overflow(1)));
        assert_eq!(next(&mut news).await, format!("news: {}", "b".repeat(90)));
    });
}

#[test]
fn a_channel_that_is_forbidden_is_refused_at_once_and_after_a_reconnect() {
    let Some(server) = server_with(&["--user", "ann", "on", ">a", "~*", "+@all", "&open*"]) else { return };
    on_loop(async |lp| {
        let admin = ask(&lp, &server).await;
        let ann = crate::server::options(&format!("redis://ann:a@{}/", server.addr()));
        let redis = Client::connect(&lp, ann).await.unwrap();
        let error = redis.subscribe("closed").await.unwrap_err();
        assert!(matches!(&error, Error::Refused { code, .. } if code == "NOPERM"), "{error}");
        let mut soon = redis.subscribe_all_soon(&["open"], &["closed*"]).unwrap();
        let error = soon.next().await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Refused { code, .. } if code == "NOPERM"), "{error}");
        assert!(soon.next().await.is_none());
        let mut open = redis.subscribe("open").await.unwrap();
        let rules = ["SETUSER", "ann", "resetchannels", "&other"];
        admin.query::<()>(cmd("ACL").arg(&rules)).await.unwrap();
        // The server ends the connection of who may hear it no more.
        let error = open.next().await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Refused { code, .. } if code == "NOPERM"), "{error}");
        assert!(open.next().await.is_none());
        redis.query::<()>(&Cmd::set("a", 1)).await.unwrap();
    });
}

#[test]
fn names_for_which_there_is_no_room_are_asked_for_in_turns() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let other = ask(&lp, &server).await;
        let mut options = Options::addr(server.addr());
        options.in_flight_max = 4;
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        let names: Vec<_> = (0..30).map(|number| format!("n{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut many = redis.subscribe_all_soon(&names, &["p*"]).unwrap();
        // Of these, some are owed as well, and one was asked for when it was forgotten.
        let mut few = redis.subscribe_all_soon(&["n1", "n29", "n0", "q", "r"], &[]).unwrap();
        drop(redis.subscribe_all_soon(&["n28", "x", "y", "z", "w"], &[]).unwrap());
        assert_eq!(next(&mut many).await, "Connection");
        assert_eq!(next(&mut few).await, "Connection");
        let counts: Vec<u64> = futures::future::join_all(
            ["n0", "n1", "n28", "n29", "p1", "q", "r"].map(|name| other.publish(name, name)),
        )
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
        assert_eq!(counts, [1; 7]);
        for name in ["n0", "n1", "n28", "n29", "p1"] {
            assert_eq!(next(&mut many).await, format!("{name}: {name}"));
        }
        for name in ["n0", "n1", "n29", "q", "r"] {
            assert_eq!(next(&mut few).await, format!("{name}: {name}"));
        }
        let unwanted = async || -> u64 { other.publish("x", "a").await.unwrap() };
        while unwanted().await > 0 {}
    });
}

#[test]
fn a_subscription_that_can_not_be_asked_for_is_an_error_and_is_forgotten() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let mut options = Options::addr(server.addr());
        options.in_flight_max = 8;
        options.subscriptions_max = 10;
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        for _ in 0..7 {
            redis.tell(cmd("ECHO").arg("a")).unwrap();
        }
        let mut last = Box::pin(redis.query::<String>(cmd("ECHO").arg("b")));
        assert!(futures::poll!(last.as_mut()).is_pending());
        let error = redis.subscribe("news").await.unwrap_err();
        assert_eq!(error, Error::Full { limit: "in_flight_max", max: 8 });
        assert_eq!(last.await.unwrap(), "b");
        // Ten names are all there may be, which is more than may be under way.
        let mut all = redis.subscribe_all_soon(&["a", "b", "c", "d", "e", "f", "g", "h"], &[]).unwrap();
        assert_eq!(next(&mut all).await, "Connection");
        let error = redis.subscribe_all_soon(&["a", "i", "j"], &["k*"]).unwrap_err();
        assert_eq!(error.to_string(), "\"k*\" would be one subscription too many: subscriptions_max is 10");
        let _more = redis.subscribe_all_soon(&["a", "i"], &["j*"]).unwrap();
        let error = redis.subscribe("news").await.unwrap_err();
        assert_eq!(error, Error::TooManySubscriptions { name: "news".into(), max: 10 });
        assert!(redis.subscribe("a").await.is_ok(), "one that is there counts once");
        redis.close();
        drop(all);
        assert!(matches!(redis.subscribe_soon("news"), Err(Error::Unavailable(_))));
    });
}

#[test]
fn a_gap_ends_when_the_last_name_is_subscribed_whoever_else_asks_for_the_others() {
    on_loop(async |lp| {
        let (redis, server) = Played::connected(&lp).await;
        let mut one = redis.subscribe_soon("x").unwrap();
        let mut both = redis.subscribe_all_soon(&["x", "y", "x"], &[]).unwrap();
        server.until("y\r\n").await;
        let subscribed = |name: &str| format!(">3\r\n$9\r\nsubscribe\r\n$1\r\n{name}\r\n:1\r\n");
        let message = ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$5\r\nhello\r\n";
        // `x` was asked for twice, once by each.
        server.say(&(subscribed("x") + &subscribed("x") + message)).await;
        assert_eq!([next(&mut one).await, next(&mut one).await], ["Connection", "x: hello"]);
        assert_eq!(next(&mut both).await, "x: hello");
        server.say(&(subscribed("y") + message)).await;
        assert_eq!([next(&mut both).await, next(&mut both).await], ["Connection", "x: hello"]);
        assert_eq!(next(&mut one).await, "x: hello");
        let nothing = redis.subscribe_all_soon(&[], &[]).unwrap_err();
        assert!(matches!(nothing, Error::Invalid(_)), "{nothing}");
    });
}

#[test]
fn more_names_than_fit_at_once_are_all_subscribed_again_and_unsubscribed() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let other = ask(&lp, &server).await;
        let mut options = Options::addr(server.addr());
        options.backoff_min = ms(2);
        options.in_flight_max = 50;
        options.queue_len_max = 2000;
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        let long = "n".repeat(200);
        let mut names = Vec::new();
        for number in 0..50 {
            names.push(redis.subscribe(&format!("{long}{number}")).await.unwrap());
        }
        kill_connection(&redis, &other).await;
        for subscription in &mut names {
            assert_eq!(next(subscription).await, "Connection");
        }
        for number in 0..50 {
            assert_eq!(other.publish(format!("{long}{number}"), number).await, Ok(1));
        }
        for (number, subscription) in names.iter_mut().enumerate() {
            assert_eq!(next(subscription).await, format!("{long}{number}: {number}"));
        }
        drop(names); // more than may be sent now
        let left =
            async || -> Vec<String> { other.query(cmd("PUBSUB").arg("CHANNELS").arg("n*")).await.unwrap() };
        while !left().await.is_empty() {}
    });
}

#[test]
fn a_reader_that_keeps_up_loses_nothing_of_many_messages_at_once() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (redis, other) = (ask(&lp, &server).await, ask(&lp, &server).await);
        let mut news = redis.subscribe("news").await.unwrap();
        let mut many = pipe();
        for number in 0..9000 {
            many.publish("news", number);
        }
        let publishing = other.pipeline::<()>(&many);
        let reading = async {
            for number in 0..9000 {
                assert_eq!(next(&mut news).await, format!("news: {number}"));
            }
        };
        let (published, ()) = futures::join!(publishing, reading);
        published.unwrap();
    });
}
