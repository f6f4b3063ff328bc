//! A driver that is made for tokio's stream traits runs on a plain loop with the feature `tokio-io`: redis, over a connection of
//! ours, with its driver as a task of the loop.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use phaseloop::net::TcpStream;
use phaseloop::{EventLoop, LoopBound, LoopHandle};
use phaseloop_tests::peers::peer;
use phaseloop_tests::redis_server::Redis;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo};

/// How often the server may refuse before it listens; the turns in between last a timer of 10 ms.
const CONNECTS_MAX: u32 = 1000;

#[test]
fn a_redis_connection_runs_natively_on_a_loop() {
    let Some(program) = peer("redis-server") else { return };
    let server = Redis::start(&program).expect("redis-server starts");
    let lp = EventLoop::new().expect("descriptors are left");
    let threads = threads();
    let got = lp.block_on(async {
        let mut redis = connect(&lp, &server, None).await;
        let mut other = redis.clone();
        let set = lp.spawn(async move {
            for number in 0..100 {
                let () = other.set(format!("key {number}"), number).await?;
            }
            Ok::<_, redis::RedisError>(())
        });
        set.await.expect("it does not panic").expect("redis takes it");
        let sum: i64 = redis::Script::new(
            "local s = 0 for n = 0, 99 do s = s + redis.call('GET', 'key ' .. n) end return s",
        )
        .invoke_async(&mut redis)
        .await
        .expect("redis runs it");
        let all: (String, i64) = redis::pipe()
            .atomic()
            .get("key 7")
            .incr("key 8", 34)
            .query_async(&mut redis)
            .await
            .expect("and this");
        let late =
            lp.timeout(Duration::from_millis(1), redis.blpop::<_, Option<()>>("no such list", 0.0)).await;
        (sum, all, late.is_err())
    });
    assert_eq!(got.expect("the loop runs"), (4950, ("7".to_owned(), 42), true));
    assert_eq!(self::threads(), threads, "no thread was started");
    assert!(tokio::runtime::Handle::try_current().is_err());
}

#[test]
fn published_messages_of_redis_arrive_on_a_loop() {
    let Some(program) = peer("redis-server") else { return };
    let server = Redis::start(&program).expect("redis-server starts");
    let lp = EventLoop::new().expect("descriptors are left");
    let got = lp.block_on(async {
        let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel::<PushInfo>();
        let mut subscriber = connect(&lp, &server, Some(sender)).await;
        let mut publisher = connect(&lp, &server, None).await;
        subscriber.subscribe("news").await.expect("redis takes it");
        let heard: i64 = publisher.publish("news", "a headline").await.expect("and this");
        assert_eq!(heard, 1);
        loop {
            let push = pushed.recv().await.expect("the connection is there");
            if push.kind == PushKind::Message {
                return push.data;
            }
        }
    });
    let news = |text: &str| redis::Value::BulkString(text.into());
    assert_eq!(got.expect("the loop runs"), [news("news"), news("a headline")]);
}

/// A connection whose driver is a task of the loop. Redis asks for `Send` and never leaves the thread; its own timeouts would
/// ask for a runtime, so [`LoopHandle::timeout`] takes their place.
async fn connect(
    lp: &LoopHandle,
    server: &Redis,
    push_sender: Option<tokio::sync::mpsc::UnboundedSender<PushInfo>>,
) -> MultiplexedConnection {
    let stream = LoopBound::new(lp, connect_stream(lp, server).await.expect("redis listens soon"));
    let mut config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    if let Some(sender) = push_sender {
        config = config.set_push_sender(sender);
    }
    let settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
    let (connection, driver) = MultiplexedConnection::new_with_config(&settings, stream, config)
        .await
        .expect("redis and its client greet each other");
    lp.spawn(driver).detach();
    connection
}

/// Until the server listens.
async fn connect_stream(lp: &LoopHandle, server: &Redis) -> io::Result<TcpStream> {
    for _ in 1..CONNECTS_MAX {
        match TcpStream::connect(lp, server.addr()).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                phaseloop::sleep(Duration::from_millis(10)).await;
            }
            connected => return connected,
        }
    }
    TcpStream::connect(lp, server.addr()).await
}

/// The names of the threads that this test may have started: those of the harness have names of tests.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux has it");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let mut names: Vec<_> = names.filter(|name| name.contains("tokio")).collect();
    names.sort();
    names
}

#[test]
fn the_traits_bring_no_runtime() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,features", "--prefix", "none"])
        .args(["--package", "phaseloop", "--features", "tokio-io"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.lines().any(|line| line.starts_with("tokio v")), "{tree}");
    assert!(!tree.contains("tokio feature"), "{tree}");
}
