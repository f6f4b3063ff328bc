//! Three workers on one port, as processes of the real program.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use std::collections::{BTreeMap, BTreeSet};

use phaseloop::process::{Child, Command, ExecOptions, Stdio};
use phaseloop::signal::Signal;
use phaseloop_tests::peers::peer;
use shop::program::open;
use shop::talk::{checks, talk};
use shop::{Asker, SECRET, World, test};

/// The program, and what asks it. Each question comes by a connection of its own, and so to another worker.
async fn start(world: &World) -> (Child, Asker) {
    let database = world.database();
    let variables = [
        ("WORKERS", "3"),
        ("PORT", "0"),
        ("DATABASE_URL", &database),
        ("TOKEN_SECRET", SECRET),
        ("RATE_LIMIT_PER_S", "0"),
        ("LOG_LEVEL", "error"),
        ("SHUTDOWN_GRACE_MS", "60000"),
    ];
    let command = Command::new(env!("CARGO_BIN_EXE_realtime")).env_clear().envs(variables);
    open(world, command).await
}

/// The names of a process's threads, as the system cuts them off.
fn threads(pid: u64) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // One may have ended since.
    tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok()).collect()
}

/// The loop's, the pool's, and one for each connection to SQLite, which is how its driver works. None of tokio's.
fn is_meant(name: &str) -> bool {
    ["realtime", "phaseloop", "sqlx-sqlite"].iter().any(|meant| name.starts_with(meant))
}

#[test]
fn workers_share_a_made_up_secret_in_a_new_folder_and_need_nobody_to_read_their_log() {
    test(async |world| {
        let folder = world.folder.file("not/there/yet");
        let database = format!("sqlite:{}", folder.join("shop.db").display());
        let variables =
            [("WORKERS", "3"), ("PORT", "0"), ("DATABASE_URL", &database), ("RATE_LIMIT_PER_S", "0")];
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let command = Command::new(env!("CARGO_BIN_EXE_realtime")).env_clear().envs(variables);
        let (child, shop) = open(world, command.stderr(Stdio::fd(&writer).unwrap())).await;
        let token = shop.register("ada").await;
        let mut workers = BTreeSet::new();
        while workers.len() < 3 {
            let (status, me) = shop.with_token(&token, "GET", "/api/me", None).await;
            assert_eq!(status, 200, "{me}");
            workers.insert(shop.get("/api/health").await.1["worker"].as_u64().unwrap());
        }
        assert!(folder.join("shop.secret").is_file());
        child.kill(Signal::TERM).unwrap();
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(0), "{status}");
    });
}

#[test]
fn three_workers_are_one_shop_and_outlive_one_of_them() {
    test(async |world| {
        let (child, shop) = start(world).await;
        let token = shop.register("ada").await;
        let mut workers = BTreeSet::new();
        while workers.len() < 3 {
            workers.insert(shop.get("/api/health").await.1["worker"].as_u64().unwrap());
        }
        // Who follows at one worker hears of orders that were placed at any.
        let mut events = shop.follow("/api/orders/events?after=0", &[]).await;
        for number in 0..9 {
            assert_eq!(shop.order(&token, &format!("order-number-{number}"), &[(1, 1)]).await.0, 201);
        }
        for id in 1..=9 {
            assert_eq!(events.next().await.unwrap()["id"], id);
        }
        drop(events);

        let victim = shop.get("/api/loop").await.1["pid"].as_u64().unwrap();
        let killed =
            Command::new("kill").args(["-KILL", &victim.to_string()]).spawn(&world.lp).unwrap().wait().await;
        assert!(killed.unwrap().success());
        let mut placed = 0;
        while placed < 9 {
            // A connection that the dead one had is lost: the client asks again, with the same key.
            let key = format!("after-the-death-{placed}");
            if let Some((status, answer)) = shop.try_order(&token, &key, &[(1, 1)]).await {
                assert!([200, 201].contains(&status), "{answer}");
                placed += 1;
            }
        }
        let (_, page) = shop.with_token(&token, "GET", "/api/orders?limit=100", None).await;
        assert_eq!(page["orders"].as_array().unwrap().len(), 18);
        let mut events = shop.follow("/api/orders/events?after=0", &[]).await;
        for id in 1..=18 {
            assert_eq!(events.next().await.unwrap()["id"], id);
        }
        let mut pids = BTreeSet::<u64>::new();
        while pids.len() < 3 {
            pids.insert(shop.get("/api/loop").await.1["pid"].as_u64().unwrap());
        }
        assert!(!pids.contains(&victim), "a new one has taken the place");
        for pid in pids {
            let others: Vec<_> = threads(pid).into_iter().filter(|name| !is_meant(name)).collect();
            assert!(others.is_empty(), "threads that nobody asked for: {others:?}");
        }

        child.kill(Signal::TERM).unwrap();
        while events.next().await.is_some() {}
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(0), "{status}");
    });
}

#[test]
fn people_at_three_workers_are_in_one_room_without_redis() {
    test(async |world| {
        let (child, shop) = start(world).await;
        let mut found = 0;
        // Connections go round: who comes next is with another worker.
        for _ in 0..3 {
            let Some(said) = talk(world, &[&shop.base, "rooms"]).await else { return };
            found += checks(&said);
        }
        assert_eq!(found, 9);
        child.kill(Signal::TERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    });
}

#[test]
fn people_of_a_worker_that_stood_still_are_counted_again() {
    test(async |world| {
        let (child, shop) = start(world).await;
        let pid = shop.get("/api/loop").await.1["pid"].as_u64().unwrap();
        let Some(said) = talk(world, &[&shop.base, "frozen", &pid.to_string()]).await else { return };
        assert_eq!(checks(&said), 1);
        child.kill(Signal::TERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    });
}

#[test]
fn people_of_a_worker_that_missed_something_are_told_so() {
    test(async |world| {
        let (child, shop) = start(world).await;
        let pid = shop.get("/api/loop").await.1["pid"].as_u64().unwrap();
        let Some(said) = talk(world, &[&shop.base, "flood", &pid.to_string()]).await else { return };
        assert_eq!(checks(&said), 1);
        child.kill(Signal::TERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    });
}

#[test]
fn people_of_a_full_room_are_counted_and_some_are_named() {
    test(async |world| {
        let (child, shop) = start(world).await;
        let Some(said) = talk(world, &[&shop.base, "crowd"]).await else { return };
        assert_eq!(checks(&said), 1);
        child.kill(Signal::TERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    });
}

#[test]
fn workers_show_one_certificate_that_was_made_up() {
    test(async |world| {
        let Some(curl) = peer("curl") else { return };
        let database = world.database();
        let variables = [("WORKERS", "3"), ("PORT", "0"), ("DATABASE_URL", &database), ("TLS", "dev")];
        let command = Command::new(env!("CARGO_BIN_EXE_realtime")).env_clear().envs(variables);
        let (child, shop) = open(world, command.stderr(Stdio::ignore())).await;
        let health = format!("{}/api/health", shop.base);
        let mut certificates = BTreeMap::new();
        while certificates.len() < 3 {
            let arguments = ["--silent", "--insecure", "--write-out", "%{certs}", &health];
            let output = Command::new(&curl).args(arguments).output(&world.lp, ExecOptions::default()).await;
            let said = String::from_utf8(output.unwrap().stdout).unwrap();
            let behind = |mark| said.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {said}")).1;
            let worker = behind("\"worker\":").split([',', '}']).next().unwrap().to_owned();
            certificates.insert(worker, behind("-----BEGIN CERTIFICATE-----").to_owned());
        }
        let different: BTreeSet<_> = certificates.values().collect();
        assert_eq!(different.len(), 1, "{certificates:?}");
        child.kill(Signal::TERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    });
}
