//! The example `redis_kit` shows what it says it shows, and says what to start.
#![allow(clippy::unwrap_used)]

use std::thread;

use examples::page::Page;
use examples::redis_kit;
use phaseloop_tests::peers::{free_port, peer};
use phaseloop_tests::redis_server::Redis;

#[test]
fn each_use_of_redis_is_shown() {
    let Some(program) = peer("redis-server") else { return };
    let server = Redis::start(&program).unwrap();
    // The server listens soon; a refusal says so until then.
    let page = loop {
        let page = Page::memory();
        match redis_kit::run(&page, &server.url()) {
            Ok(()) => break page,
            Err(error) => assert!(error.to_string().contains("Connection refused"), "{error}"),
        }
        thread::yield_now();
    };
    assert_eq!(page.text(), SHOWN);
}

#[test]
fn without_redis_it_says_what_to_start() {
    let url = format!("redis://127.0.0.1:{}/", free_port().unwrap());
    let error = redis_kit::run(&Page::memory(), &url).unwrap_err().to_string();
    assert!(error.contains("redis-server") && error.contains("REDIS_URL"), "{error}");
    let error = redis_kit::run(&Page::memory(), "http://:secret@x/").unwrap_err().to_string();
    assert!(error.contains("is no URL of redis") && !error.contains("secret"), "{error}");
}

const SHOWN: &str = "\
A cache: JSON with a time to live, and a random spread on it
  100 asked at once, the database was read 1 time
  profile 7 is \"Ada\", and the database was read 1 time
  it lives for 300 to 360 seconds: true

A lock: SET NX PX with a token, released by whoever has it
  worker a has order 42
  worker b gets it: false
  worker a releases what it still has: true
  worker b, who waited, has it: true

Messages: the status of an order
  paid: 2 subscriptions of it
  shipped: 2 subscriptions of it
  watcher: {\"status\":\"paid\"}
  watcher: {\"status\":\"shipped\"}
  auditor: {\"status\":\"paid\"}
  auditor: {\"status\":\"shipped\"}

A stream: work that outlives a worker
  worker a: order 1 done
  worker a: order 2 begun
  worker a: order 3 begun
  worker a crashes
  worker b: order 2, given out 2 times, done
  worker b: order 3, given out 2 times, done
  left over: 0

A counter: INCR
  visits: [1, 2, 3]

A leaderboard: a sorted set
  1. ann 350
  2. eve 310
  3. bob 120
  bob is number 3
";
