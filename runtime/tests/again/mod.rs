//! The test binary as its own child: for what only a process of its own can show.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::env;
use std::process::{Command, Output};

const ROLE: &str = "PHASELOOP_TEST_ROLE";

/// A command that runs this test binary again, in a role. The binary has a test called `in_a_child`, which asks `role`.
pub(crate) fn command(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test knows its binary"));
    command.args(["--exact", "in_a_child", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

/// The role this process was started in, if it is such a child.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Runs a role to its end.
pub(crate) fn output(role: &str) -> Output {
    command(role).output().expect("the test binary can be run")
}

/// Runs a role, which must succeed.
pub(crate) fn succeed(role: &str) {
    let output = output(role);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{role}: {}\n{text}", output.status);
}
