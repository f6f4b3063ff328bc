//! The page of the service in real Chromium: two people talk and order, and the server or a store that goes away and comes back
//! costs them nothing; by HTTP/1.1, by HTTP/2 over TLS, and by three workers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use phaseloop_tests::peers::{free_port, node_package, peer};
use shop::servers::Server;

#[test]
fn the_page_serves_two_people_over_restarts_of_the_server() {
    drive(&folder("embedded"), &[], &mut [], 79);
}

/// People of one room are with any of the workers, and come back to another.
#[cfg(feature = "redis")]
#[test]
fn the_page_serves_two_people_by_three_workers() {
    let Some((redis, url)) = shop::servers::redis() else { return };
    drive(&folder("redis"), &[("WORKERS", "3"), ("REDIS_URL", &url)], &mut [("redis", redis)], 50);
}

#[cfg(all(feature = "mongo", feature = "mysql", feature = "redis"))]
#[test]
fn the_page_serves_two_people_by_three_workers_on_real_stores() {
    use shop::servers::{mariadb, redis, secantus};
    let folder = folder("stores");
    let Some((redis, redis_url)) = redis() else { return };
    let Some((mariadb, mariadb_url)) = mariadb(&folder) else { return };
    let Some((secantus, secantus_url)) = secantus(&folder) else { return };
    let environment = [
        ("WORKERS", "3"),
        ("REDIS_URL", &*redis_url),
        ("DATABASE_URL", &*mariadb_url),
        ("MONGODB_URL", &*secantus_url),
        ("DATABASE_WAIT_MS", "1000"),
        ("STORE_ANSWER_MS", "5000"),
    ];
    let mut stores = [("redis", redis), ("mariadb", mariadb), ("secantus", secantus)];
    while !stores.iter_mut().all(|(_, store)| store.listens()) {
        std::thread::yield_now();
    }
    drive(&folder, &environment, &mut stores, 55);
}

/// Runs the script, which makes `checks_min` checks: fewer would show that it did not run to its end. It may ask for a store to be
/// killed, and to be started again.
fn drive(folder: &Path, environment: &[(&str, &str)], stores: &mut [(&str, Server)], checks_min: usize) {
    let (Some(node), Some(chromium)) = (peer("node"), peer("chromium")) else { return };
    let Some(modules) = node_package("playwright-core") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page.cjs");
    let port = free_port().expect("loopback has a free port").to_string();
    let complaints = folder.join("complaints");
    let mut command = Command::new(node);
    command.arg(script).arg(env!("CARGO_BIN_EXE_realtime")).arg(port).arg(folder).arg(chromium);
    command.args(stores.iter().map(|(name, _)| name));
    command.env("NODE_PATH", modules).envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&complaints).unwrap());
    let child = command.spawn().expect("node can be started");
    let mut child = Ended(child);
    let mut answers = child.0.stdin.take().unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((what, name)) = line.strip_prefix("please ").and_then(|wish| wish.split_once(' ')) {
            let (_, store) =
                stores.iter_mut().find(|(known, _)| *known == name).expect("it knows its stores");
            match what {
                "kill" => store.kill(),
                "start" => store.start(),
                other => panic!("{other} is no wish"),
            }
            writeln!(answers, "done").unwrap();
        }
        said.push(line);
    }
    let status = child.0.wait().unwrap();
    // What is left in the target folder of a failed run tells what happened.
    let said = said.join("\n");
    assert!(status.success(), "{said}\n{}", std::fs::read_to_string(complaints).unwrap());
    let checks = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(checks >= checks_min, "{checks} checks:\n{said}");
    std::fs::remove_dir_all(folder).expect("nobody uses the folder any more");
}

/// A script that ends with the test, and with it the service and the browser: it does when nobody answers it any more.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.stdin.take();
        // That it has ended already is no trouble.
        let _ = self.0.wait();
    }
}

/// A new folder in the target folder.
fn folder(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}
