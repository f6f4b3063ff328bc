//! The crate's own `AsyncCommands`.

use phaseloop_server::redis::{Error, pipe};
use redis::AsyncCommands;

use crate::server::{ask, on_loop, server};

#[test]
fn async_commands_work_and_give_our_errors_back() {
    let Some(server) = server() else { return };
    on_loop(async |lp| {
        let client = ask(&lp, &server).await;
        let mut redis = client.commands();
        let () = redis.set("text", "a").await.unwrap();
        let text: String = redis.clone().get("text").await.unwrap();
        assert_eq!(text, "a");
        let counts: (i64, i64) =
            pipe().atomic().incr("a", 1).incr("b", 2).query_async(&mut redis).await.unwrap();
        assert_eq!(counts, (1, 2));
        let refused = redis.incr::<_, _, i64>("text", 1).await.unwrap_err();
        assert!(matches!(Error::from(refused), Error::Refused { code, .. } if code == "ERR"));
        let refused = redis.blpop::<_, ()>("list", 0.0).await.unwrap_err();
        assert!(matches!(Error::from(refused), Error::Invalid(why) if why.starts_with("BLPOP")));
        let refused = pipe().atomic().cmd("NOSUCH").query_async::<()>(&mut redis).await.map_err(Error::from);
        assert!(matches!(refused, Err(Error::Refused { message, .. }) if message.contains("NOSUCH")));
        let thread = std::thread::spawn(move || drop(redis)); // it goes home to be dropped
        thread.join().unwrap();
        client.close();
        let closed = client.commands().get::<_, String>("text").await.map_err(Error::from);
        assert!(matches!(closed, Err(Error::Unavailable(_))));
    });
}
