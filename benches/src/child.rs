//! Runs in a fresh process: this program starts itself with `--child` and says what to do.
//!
//! A fresh process a run keeps one contestant's heap, threads and globals away from the next one's figures.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::question::{Contestant, Question, Sample};

const FLAG: &str = "--child";

/// Does what a parent asked for and returns true, or returns false if this is no child.
///
/// Every program that measures calls this first in `main`.
pub fn run_if_child() -> bool {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [FLAG, "run", question, contestant, ops, core] => {
            pin(core);
            let (_, contestant) = find(question, contestant).expect("the parent names what exists");
            let sample = (contestant.run)(ops.parse().expect("the parent passes a number"));
            print_json(&sample);
            true
        }
        [FLAG, "serve", server, buf_len, core] => {
            pin(core);
            crate::echo_process::serve(server, buf_len.parse().expect("the parent passes a number"))
        }
        _ => false,
    }
}

/// Runs one contestant in a child pinned to `core` and waits for its sample. `None` leaves it unpinned.
pub fn run(
    question: &Question,
    contestant: &Contestant,
    ops: u64,
    core: Option<usize>,
) -> io::Result<Sample> {
    let output = command()?
        .args([FLAG, "run", question.name, contestant.name, &ops.to_string(), &core_word(core)])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!(
            "{} {} ended with {}",
            question.name, contestant.name, output.status
        )));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The command that starts an echo server as a child of this program.
pub fn serve_command(server: &str, buf_len: usize, core: Option<usize>) -> io::Result<Command> {
    let mut command = command()?;
    command.args([FLAG, "serve", server, &buf_len.to_string(), &core_word(core)]);
    Ok(command)
}

/// The arguments that make this program an echo server, for a tool that must start it itself.
pub fn serve_args(server: &str, buf_len: usize) -> [String; 5] {
    [FLAG.into(), "serve".into(), server.into(), buf_len.to_string(), core_word(None)]
}

/// Pins this thread, and all it starts, to one core.
pub fn pin_to(core: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

fn command() -> io::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

fn core_word(core: Option<usize>) -> String {
    core.map_or_else(|| "any".to_string(), |core| core.to_string())
}

fn pin(core: &str) {
    if let Ok(core) = core.parse() {
        pin_to(core).expect("the machine has the core that the parent named");
    }
}

fn find(question: &str, contestant: &str) -> Option<(&'static Question, &'static Contestant)> {
    let question = crate::questions().into_iter().find(|q| q.name == question)?;
    let contestant = question.contestants.iter().find(|c| c.name == contestant)?;
    Some((question, contestant))
}

fn print_json(sample: &Sample) {
    let text = serde_json::to_string(sample).expect("a sample is plain numbers");
    writeln!(io::stdout(), "{text}").expect("the parent reads what it asked for");
}
