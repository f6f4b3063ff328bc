//! The cache.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::future::join_all;
use phaseloop::channel::oneshot;
use phaseloop_server::redis::{Cache, Cmd, Error};
use serde::{Deserialize, Serialize};

use crate::server::{ask, on_loop, secs, server};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Profile {
    name: String,
    age: u8,
}

fn ann() -> Profile {
    Profile { name: "Ann".into(), age: 7 }
}

#[test]
fn values_are_json_that_expires_with_a_spread() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let cache = Cache::new(&redis, "profile:", secs(100)).spread(secs(100));
        assert_eq!(cache.get::<Profile>("1").await.unwrap(), None);
        cache.set("1", &ann()).await.unwrap();
        assert_eq!(cache.get("1").await.unwrap(), Some(ann()));
        let stored: String = redis.query(&Cmd::get("profile:1")).await.unwrap();
        assert_eq!(stored, r#"{"name":"Ann","age":7}"#);
        let mut times = Vec::new();
        for number in 0..50 {
            cache.set(&number.to_string(), &number).await.unwrap();
            let left: i64 = redis.query(&Cmd::pttl(format!("profile:{number}"))).await.unwrap();
            assert!((50_000..=200_000).contains(&left), "{left}");
            times.push(left);
        }
        times.sort_unstable();
        assert!(times[49] - times[0] > 20_000, "{times:?}");
        assert!(
            matches!(cache.get::<Profile>("2").await, Err(Error::Unexpected(why)) if why.contains("profile:2"))
        );
        assert!(cache.remove("2").await.unwrap() && !cache.remove("2").await.unwrap());
    });
}

#[test]
fn a_value_is_loaded_once_however_many_ask() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let cache = Cache::new(&redis, "p:", secs(100));
        let loads = Rc::new(Cell::new(0));
        let ask = || {
            let (cache, loads, lp) = (cache.clone(), Rc::clone(&loads), lp.clone());
            async move {
                let load = async || {
                    loads.set(loads.get() + 1);
                    lp.sleep(crate::server::ms(5)).await; // others come meanwhile
                    Ok::<_, String>(ann())
                };
                cache.get_or_load("1", load).await
            }
        };
        let all = join_all((0..100).map(|_| ask())).await;
        assert!(all.into_iter().all(|one| one == Ok(ann())));
        assert_eq!(loads.get(), 1);
        assert_eq!(ask().await, Ok(ann()));
        assert_eq!(loads.get(), 1);
    });
}

#[test]
fn a_load_that_fails_or_is_given_up_is_not_waited_for_for_ever() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let cache = Cache::new(&redis, "p:", secs(100));
        let (sender, receiver) = oneshot::<()>();
        let first = {
            let cache = cache.clone();
            lp.spawn(async move {
                let load = async || {
                    sender.send(()).unwrap();
                    std::future::pending::<Result<Profile, String>>().await
                };
                cache.get_or_load("1", load).await
            })
        };
        receiver.await.unwrap();
        let second = {
            let cache = cache.clone();
            lp.spawn(async move { cache.get_or_load("1", async || Err::<Profile, _>("no".to_owned())).await })
        };
        // An answer that came after the second has asked as well.
        redis.query::<Option<i64>>(&Cmd::get("nothing")).await.unwrap();
        first.abort();
        assert_eq!(second.await.unwrap(), Err("no".to_owned()));
        assert_eq!(cache.get_or_load("1", async || Ok::<_, String>(ann())).await, Ok(ann()));
    });
}

#[test]
fn without_redis_and_with_nonsense_in_it_the_database_answers() {
    let Some(mut server) = server() else { return };
    on_loop(async |lp| {
        let redis = ask(&lp, &server).await;
        let errors = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&errors);
        let cache = Cache::new(&redis, "p:", secs(100))
            .on_error(move |error| log.borrow_mut().push(error.to_string()));
        redis.query::<()>(&Cmd::set("p:1", "nonsense")).await.unwrap();
        assert_eq!(cache.get_or_load("1", async || Ok::<_, String>(ann())).await, Ok(ann()));
        assert_eq!(cache.get("1").await.unwrap(), Some(ann()));
        server.kill().unwrap();
        assert_eq!(cache.get_or_load("2", async || Ok::<_, String>(ann())).await, Ok(ann()));
        let errors = errors.borrow();
        assert!(errors[0].contains("p:1") && errors.len() >= 2, "{errors:?}");
    });
}
