//! A driver that is made for tokio runs on a loop with the feature `tokio-host`; a loop without it knows no tokio runtime; and
//! tokio can be the host.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phaseloop::{EventLoop, RunMode};
use phaseloop_tests::peers::peer;
use phaseloop_tests::redis_server::Redis;
use redis::AsyncCommands;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[test]
fn a_redis_connection_manager_runs_on_the_loop() {
    let Some(program) = peer("redis-server") else { return };
    let server = Redis::start(&program).expect("redis-server starts");
    let client = redis::Client::open(server.url()).expect("the address is well formed");
    let lp =
        EventLoop::builder().with_tokio().and_then(|builder| builder.build()).expect("descriptors are left");
    let here = std::thread::current().id();
    let got = lp.block_on(async {
        let mut redis = connect(&client).await;
        let mut other = redis.clone();
        let set = tokio::spawn(async move {
            for number in 0..100 {
                let () = other.set(format!("key {number}"), number).await?;
            }
            Ok::<_, redis::RedisError>(std::thread::current().id())
        });
        assert_eq!(set.await.expect("it does not panic").expect("redis takes it"), here);
        let sum: i64 = redis::Script::new(
            "local s = 0 for n = 0, 99 do s = s + redis.call('GET', 'key ' .. n) end return s",
        )
        .invoke_async(&mut redis)
        .await
        .expect("redis runs it");
        phaseloop::sleep(Duration::from_millis(1)).await;
        (sum, redis.get::<_, Option<i64>>("key 100").await.expect("redis answers"))
    });
    assert_eq!(got.expect("the loop runs"), (4950, None));
}

/// Until the server listens: the connection manager itself tries again and waits in between.
async fn connect(client: &redis::Client) -> redis::aio::ConnectionManager {
    let config = redis::aio::ConnectionManagerConfig::new().set_number_of_retries(20);
    redis::aio::ConnectionManager::new_with_config(client.clone(), config).await.expect("redis listens soon")
}

#[test]
fn default_features_have_no_tokio() {
    for package in ["phaseloop", "phaseloop-fs-pool"] {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", package])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(tree.contains("mio v"), "{tree}");
        assert!(!tree.lines().any(|line| line.starts_with("tokio ")), "{tree}");
    }
}

#[test]
fn a_loop_is_a_guest_of_tokio() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("descriptors are left");
    let log = runtime.block_on(async {
        let lp = EventLoop::new().expect("descriptors are left");
        let log = Rc::new(RefCell::new(Vec::new()));
        let (task, first, second) = (Rc::clone(&log), Rc::clone(&log), Rc::clone(&log));
        let handle = lp.handle();
        lp.spawn(async move {
            tokio::task::yield_now().await; // a future of the host, awaited by the guest
            task.borrow_mut().push("task");
            handle.set_timeout(Duration::from_millis(1), move |lp| {
                first.borrow_mut().push("first");
                lp.set_timeout(Duration::from_millis(1), move |_| second.borrow_mut().push("second"));
            });
        })
        .detach();
        let (remote, waits, posted) = (lp.remote(), lp.begin_request(), Arc::new(AtomicBool::new(false)));
        let posts = Arc::clone(&posted);
        let thread =
            std::thread::spawn(move || remote.post(move |_| posts.store(true, Ordering::Relaxed)).is_ok());
        drive(&lp, || posted.load(Ordering::Relaxed)).await.expect("the loop runs");
        assert!(thread.join().expect("it does not panic"));
        drop(waits);
        drive(&lp, || false).await.expect("the loop runs");
        log.take()
    });
    assert_eq!(log, ["task", "first", "second"]);
}

/// Runs a loop until it is no longer alive, or until `enough`: tokio waits for its descriptor and its timeout.
async fn drive(lp: &EventLoop, enough: impl Fn() -> bool) -> io::Result<()> {
    let fd = watch(lp.backend_fd()?)?;
    while lp.is_alive() && !enough() {
        match lp.backend_timeout() {
            Some(Duration::ZERO) => tokio::task::yield_now().await,
            Some(timeout) => {
                if let Ok(ready) = tokio::time::timeout(timeout, fd.readable()).await {
                    ready?.clear_ready();
                }
            }
            None => fd.readable().await?.clear_ready(),
        }
        lp.run(RunMode::NoWait)?;
    }
    Ok(())
}

#[allow(deprecated, reason = "its successor is unsafe, for descriptors that are not owned; this one is")]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}
