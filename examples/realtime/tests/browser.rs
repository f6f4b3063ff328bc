//! The page of the service in real Chromium: two people talk and order, and the server that goes away and comes back costs them
//! nothing; by HTTP/1.1, and by HTTP/2 over TLS.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use phaseloop_tests::peers::{free_port, node_package, peer};

/// Fewer would show that the script did not run to its end.
const CHECKS_MIN: usize = 60;

#[test]
fn the_page_serves_two_people_over_restarts_of_the_server() {
    let (Some(node), Some(chromium)) = (peer("node"), peer("chromium")) else { return };
    let Some(modules) = node_package("playwright-core") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page.cjs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    let port = free_port().expect("loopback has a free port");
    let mut command = Command::new(node);
    command.arg(script).arg(env!("CARGO_BIN_EXE_realtime")).arg(port.to_string());
    let output =
        command.arg(&folder).arg(chromium).env("NODE_PATH", modules).output().expect("node can be started");
    // What is left in the target folder of a failed run tells what happened.
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let checks = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(checks >= CHECKS_MIN, "{checks} checks:\n{said}");
    std::fs::remove_dir_all(&folder).expect("nobody uses the folder any more");
}
