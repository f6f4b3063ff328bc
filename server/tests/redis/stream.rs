//! Streams with groups of consumers.

use phaseloop_server::redis::{Client, Cmd, Consumer, ConsumerOptions, Error, cmd};

use crate::server::{ask, disconnected, kill_connection, ms, on_loop, secs, server};

async fn append(redis: &Client, number: u32) -> String {
    redis.append("orders", 1000, &[("order", number.to_string())]).await.unwrap()
}

fn consumer(redis: &Client, name: &str) -> Consumer {
    let mut options = ConsumerOptions::new("orders", "billing", name);
    options.from_first = true;
    options.claim_idle = ms(0);
    options.claim_every = secs(3600); // at the beginning
    Consumer::new(redis, options)
}

async fn next(consumer: &mut Consumer) -> (String, u64) {
    let entry = consumer.next().await.unwrap();
    (entry.text("order").unwrap().to_owned(), entry.deliveries)
}

fn order(number: u32, deliveries: u64) -> (String, u64) {
    (number.to_string(), deliveries)
}

#[test]
fn each_entry_is_given_to_one_consumer_of_a_group() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let (mut one, mut two) = (consumer(&redis, "one"), consumer(&redis, "two"));
        append(&redis, 1).await;
        assert_eq!(next(&mut one).await, order(1, 1));
        // Both wait, on connections of their own, while the shared one is free.
        let (both, ()) = futures::join!(
            async {
                futures::future::select(Box::pin(one.next()), Box::pin(two.next())).await.factor_first().0
            },
            async {
                append(&redis, 2).await;
            }
        );
        let entry = both.unwrap();
        assert_eq!((entry.text("order"), entry.field("none")), (Some("2"), None));
        assert!(two.ack(&entry.id).await.unwrap());
        assert!(!two.ack(&entry.id).await.unwrap());
    });
}

#[test]
fn a_consumer_that_comes_back_begins_with_what_it_left() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        for number in 1..=3 {
            append(&redis, number).await;
        }
        let mut first = consumer(&redis, "one");
        let done = first.next().await.unwrap();
        first.ack(&done.id).await.unwrap();
        assert_eq!(next(&mut first).await, order(2, 1));
        drop(first); // it has read three, and done one
        let mut again = consumer(&redis, "one");
        assert_eq!([next(&mut again).await, next(&mut again).await], [order(2, 2), order(3, 2)]);
        append(&redis, 4).await;
        // Idle for `claim_idle`, which is nothing here, its own come once more.
        let mut rest = vec![next(&mut again).await, next(&mut again).await, next(&mut again).await];
        rest.sort();
        assert_eq!(rest, [order(2, 3), order(3, 3), order(4, 1)]);
    });
}

#[test]
fn what_a_crashed_consumer_left_is_taken_over() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        for number in 1..=40 {
            append(&redis, number).await;
        }
        let mut crashed = consumer(&redis, "one");
        for number in 1..=40 {
            let entry = crashed.next().await.unwrap();
            assert_eq!(entry.text("order"), Some(number.to_string().as_str()));
        }
        drop(crashed);
        let deleted: String = redis
            .query::<Vec<(String, Vec<String>)>>(
                cmd("XRANGE").arg("orders").arg("-").arg("+").arg("COUNT").arg(1),
            )
            .await
            .unwrap()[0]
            .0
            .clone();
        redis.query::<()>(cmd("XDEL").arg("orders").arg(deleted)).await.unwrap();
        let mut heir = consumer(&redis, "two");
        for number in 2..=40 {
            assert_eq!(next(&mut heir).await, order(number, 2)); // in batches of 16
        }
        append(&redis, 41).await;
        assert_eq!(next(&mut heir).await, order(41, 1));
    });
}

#[test]
fn thousands_of_entries_that_were_deleted_are_passed_over() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let mut first = consumer(&redis, "one");
        append(&redis, 0).await;
        assert_eq!(next(&mut first).await, order(0, 1)); // which has made the group
        drop(first);
        // A script: each line alone is a way there and back.
        let script = "for number = 1, 5000 do redis.call('XADD', 'orders', '*', 'order', number) end
            redis.call('XREADGROUP', 'GROUP', 'billing', 'one', 'STREAMS', 'orders', '>')
            redis.call('XTRIM', 'orders', 'MAXLEN', 0)
            redis.call('XADD', 'orders', '*', 'order', 5001)";
        redis.query::<()>(cmd("EVAL").arg(script).arg(0)).await.unwrap();
        let mut options = ConsumerOptions::new("orders", "billing", "one");
        options.batch = 1;
        let mut again = Consumer::new(&redis, options);
        assert_eq!(next(&mut again).await, order(5001, 1));
        let entries = cmd("XPENDING").arg("orders").arg("billing").arg("-").arg("+").arg(10).to_owned();
        let left: Vec<(String, String, u64, u64)> = redis.query(&entries).await.unwrap();
        assert_eq!(left.len(), 1, "what was deleted is done");
    });
}

#[test]
fn a_read_that_is_given_up_or_cut_loses_nothing() {
    let Some(mut server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let mut one = consumer(&redis, "one");
        // Given up while it waits, again and again.
        for number in 1..=5 {
            let given_up = lp.timeout(ms(3), one.next()).await;
            assert!(given_up.is_err());
            append(&redis, number).await;
            assert_eq!(one.next().await.unwrap().text("order"), Some(number.to_string().as_str()));
        }
        // Cut while it waits.
        let killing = async {
            loop {
                let clients: String = redis.query(cmd("CLIENT").arg("LIST")).await.unwrap();
                // One that was given up may still be there; what waits is blocked.
                let is_it = |line: &&str| line.contains(" flags=b ") && line.contains("cmd=xreadgroup");
                let Some(waiting) = clients.lines().find(is_it) else { continue };
                let id = waiting.split([' ', '=']).nth(1).unwrap();
                return redis.query::<i64>(cmd("CLIENT").arg("KILL").arg("ID").arg(id)).await;
            }
        };
        let (lost, killed) = futures::join!(one.next(), killing);
        assert_eq!(killed, Ok(1));
        assert!(lost.unwrap_err().is_temporary());
        append(&redis, 6).await;
        assert_eq!(one.next().await.unwrap().text("order"), Some("6"));
        // A server that comes back without its memory.
        let gone = disconnected(&redis);
        server.kill().unwrap();
        gone.await.unwrap();
        assert!(one.next().await.unwrap_err().is_temporary());
        server.restart().unwrap();
        redis.ready(secs(30)).await.unwrap();
        append(&redis, 7).await;
        let entry = loop {
            match one.next().await {
                Ok(entry) => break entry,
                Err(error) => assert!(error.is_temporary(), "{error}"),
            }
        };
        assert_eq!(entry.text("order"), Some("7"));
    });
}

#[test]
fn what_is_no_stream_is_refused() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (redis, other) = (ask(&lp, &server).await, ask(&lp, &server).await);
        redis.query::<()>(&Cmd::set("orders", 1)).await.unwrap();
        let mut one = consumer(&redis, "one");
        for _ in 0..2 {
            let error = one.next().await.unwrap_err();
            assert!(matches!(&error, Error::Refused { code, .. } if code == "WRONGTYPE"), "{error}");
        }
        kill_connection(&redis, &other).await;
        other.query::<()>(&Cmd::del("orders")).await.unwrap();
        append(&other, 1).await;
        redis.ready(secs(30)).await.unwrap();
        assert_eq!(next(&mut one).await, order(1, 1));
    });
}
