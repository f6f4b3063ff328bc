//! The service as a program of its own.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use futures::AsyncBufReadExt;
use futures::io::BufReader;
use phaseloop::process::{Child, Command, Stdio};

use super::{Asker, World};

/// Starts it, and waits until it says where it is. Each question comes by a connection of its own, and so to another worker.
pub(crate) async fn open(world: &World, command: Command) -> (Child, Asker) {
    let mut child = command.stdout(Stdio::pipe()).kill_on_drop().spawn(&world.lp).unwrap();
    let mut lines = BufReader::new(child.take_stdout().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).await.unwrap();
    let base =
        line.trim().strip_prefix("open ").expect("it says where it is").trim_end_matches('/').to_owned();
    (child, Asker::new(&world.lp, base, 0))
}
