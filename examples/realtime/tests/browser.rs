//! The page of the service in real Chromium: two people talk and order, and the server that goes away and comes back costs them
//! nothing; by HTTP/1.1, and by HTTP/2 over TLS.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use phaseloop_tests::peers::{free_port, node_package, peer};

#[test]
fn the_page_serves_two_people_over_restarts_of_the_server() {
    drive(&[], 60);
}

/// People of one room are with any of the workers, and come back to another.
#[cfg(feature = "redis")]
#[test]
fn the_page_serves_two_people_by_three_workers() {
    let Some(program) = peer("redis-server") else { return };
    let redis = phaseloop_tests::redis_server::Redis::start(&program).expect("redis can be started");
    drive(&[("WORKERS", "3"), ("REDIS_URL", &redis.url())], 45);
}

/// Runs the script, which makes `checks_min` checks: fewer would show that it did not run to its end.
fn drive(environment: &[(&str, &str)], checks_min: usize) {
    let (Some(node), Some(chromium)) = (peer("node"), peer("chromium")) else { return };
    let Some(modules) = node_package("playwright-core") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page.cjs");
    let port = free_port().expect("loopback has a free port");
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    let mut command = Command::new(node);
    command.arg(script).arg(env!("CARGO_BIN_EXE_realtime")).arg(port.to_string()).arg(&folder).arg(chromium);
    command.env("NODE_PATH", modules).envs(environment.iter().copied());
    let output = command.output().expect("node can be started");
    // What is left in the target folder of a failed run tells what happened.
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let checks = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(checks >= checks_min, "{checks} checks:\n{said}");
    std::fs::remove_dir_all(&folder).expect("nobody uses the folder any more");
}
