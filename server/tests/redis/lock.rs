//! Locks.

use futures::FutureExt;
use phaseloop_server::redis::{Client, Cmd, Error, cmd};

use crate::server::{ask, ms, on_loop, options, secs, server};

#[test]
fn a_lock_is_one_users_until_it_is_released() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let (redis, other) = (ask(&lp, &server).await, ask(&lp, &server).await);
        let lock = redis.try_lock("lock", secs(60)).await.unwrap().unwrap();
        assert!(lock.remaining() > secs(30) && lock.key() == "lock");
        assert!(other.try_lock("lock", secs(60)).await.unwrap().is_none());
        assert!(lock.extend(secs(120)).await.unwrap());
        let left: i64 = redis.query(&Cmd::pttl("lock")).await.unwrap();
        assert!(left > 60_000, "{left}");
        let mut shortening = Box::pin(lock.extend(secs(1)));
        assert!(futures::poll!(shortening.as_mut()).is_pending());
        drop(shortening); // nobody knows whether it has run
        assert!(lock.remaining() <= secs(1));
        assert!(lock.release().await.unwrap());
        let lock = other.try_lock("lock", secs(60)).await.unwrap().unwrap();
        drop(lock);
        // The drop went ahead of this on the same connection.
        assert!(other.try_lock("lock", secs(60)).await.unwrap().is_some());
    });
}

#[test]
fn a_lock_that_expired_is_lost_and_the_next_holders_stays() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let lost = redis.try_lock("lock", ms(1)).await.unwrap().unwrap();
        // Whoever waits gets it when it has expired.
        let held = redis.lock("lock", secs(60), secs(30)).await.unwrap().unwrap();
        assert_eq!(lost.remaining(), ms(0));
        assert!(!lost.extend(secs(60)).await.unwrap());
        assert!(!lost.release().await.unwrap());
        assert!(redis.try_lock("lock", secs(60)).await.unwrap().is_none());
        assert!(held.release().await.unwrap());
    });
}

#[test]
fn a_lock_that_a_frozen_server_gives_to_nobody_is_released_by_the_next_connection() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let other = ask(&lp, &server).await;
        let mut options = options(&server.url());
        options.command_timeout = ms(500);
        let redis = Client::connect(&lp, options).await.unwrap();
        let held = redis.try_lock("held", secs(3600)).await.unwrap().unwrap();
        server.freeze().unwrap();
        let error = redis.lock("lock", secs(3600), secs(0)).await.unwrap_err();
        assert!(error.may_have_run(), "{error}");
        drop(held); // there is no connection
        server.thaw().unwrap();
        redis.ready(secs(30)).await.unwrap();
        // Behind what the new connection was owed.
        while let Err(error) = redis.query::<()>(cmd("ECHO").arg("a")).await {
            assert!(error.is_temporary(), "{error}");
            redis.ready(secs(30)).await.unwrap();
        }
        assert!(other.try_lock("lock", secs(60)).await.unwrap().is_some());
        assert!(other.try_lock("held", secs(60)).await.unwrap().is_some());
    });
}

#[test]
fn a_lock_is_released_however_much_is_under_way() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let mut options = options(&server.url());
        options.in_flight_max = 4;
        let redis = Client::new(&lp, options);
        redis.ready(secs(30)).await.unwrap();
        let lock = redis.try_lock("lock", secs(3600)).await.unwrap().unwrap();
        let echo = |text| redis.query::<String>(cmd("ECHO").arg(text));
        let mut asked: Vec<_> = ["a", "b", "c", "d"].map(|text| Box::pin(echo(text))).into();
        asked.iter_mut().for_each(|asked| assert!(asked.as_mut().now_or_never().is_none()));
        let full = redis.try_lock("other", secs(3600)).await.unwrap_err();
        assert_eq!(full, Error::Full { limit: "in_flight_max", max: 4 });
        drop(lock);
        assert_eq!(futures::future::try_join_all(asked).await.unwrap().concat(), "abcd");
        assert!(redis.try_lock("lock", secs(60)).await.unwrap().is_some());
    });
}

#[test]
fn patience_ends_and_what_is_given_up_is_released() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let held = redis.try_lock("lock", secs(60)).await.unwrap().unwrap();
        assert!(redis.lock("lock", secs(60), ms(30)).await.unwrap().is_none());
        assert!(held.release().await.unwrap());
        // Sent, and dropped before the answer.
        let client = redis.clone();
        let mut taking = Box::pin(async move { client.try_lock("lock", secs(60)).await });
        assert!(futures::poll!(taking.as_mut()).is_pending());
        drop(taking);
        assert!(redis.try_lock("lock", secs(60)).await.unwrap().is_some());
        let error = redis.try_lock("lock", ms(0)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
    });
}
