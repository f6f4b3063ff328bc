//! Node.js, in a process of its own: `node/<script>.js` prints what `ops` operations cost.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::question::Sample;

/// The line that every script prints.
#[derive(Deserialize)]
struct Line {
    ops: u64,
    cpu_ns: u64,
    wall_ns: u64,
}

/// Runs a script. `node` must be on the path; without it the question fails for this contestant alone.
pub(crate) fn run(name: &str, ops: u64) -> Sample {
    let output = Command::new("node")
        .arg(script(name))
        .arg(ops.to_string())
        .stderr(Stdio::inherit())
        .output()
        .expect("node is on the path");
    assert!(output.status.success(), "{name} ended with {}", output.status);
    let line: Line = serde_json::from_slice(&output.stdout).expect("the script prints one line of JSON");
    assert_eq!(line.ops, ops, "{name} did another number of operations");
    Sample {
        ops,
        cpu: Duration::from_nanos(line.cpu_ns),
        wall: Duration::from_nanos(line.wall_ns),
        grown_bytes: 0,
    }
}

/// Where a script lies.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node").join(name)
}

/// Where `.ci/run setup` puts packages of npm: beside the folder that this program was built into.
pub(crate) fn packages() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let found =
        program.ancestors().map(|folder| folder.join("node/node_modules")).find(|folder| folder.is_dir());
    found.expect("`.ci/run setup` installs the packages of npm")
}
