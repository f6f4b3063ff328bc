//! The official client of Socket.IO, talking.

use phaseloop::process::{Command, ExecOptions};
use phaseloop_tests::peers::{node_package, peer};

use super::World;

/// Runs `chat.cjs` with these arguments, and gives what it says; none where there is no Node or no client.
pub(crate) async fn talk(world: &World, arguments: &[&str]) -> Option<String> {
    let node = peer("node")?;
    let modules = node_package("socket.io-client")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chat.cjs");
    let command = Command::new(&node).arg(script).args(arguments).env("NODE_PATH", &modules);
    let output = command.output(&world.lp, ExecOptions::default()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(said)
}

/// How many things are as they should be when two people talk for the first time.
pub(crate) const FIRST_CHECKS: usize = 9;

/// How many of them a script found.
pub(crate) fn checks(said: &str) -> usize {
    said.lines().filter(|line| line.starts_with("ok ")).count()
}
