//! What does a message to another process cost? `ipc [--messages 50000] [--rounds 5]`.
//!
//! A parent sends messages of 1 KiB to a child that sends each back, 64 under way: two processes of phaseloop in its own
//! framing, two in Node's, and two of Node. A round runs each once with one message and once with all; the difference, as
//! CPU time of both processes, is what the messages cost, so that starting up is left out.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use phaseloop::EventLoop;
use phaseloop::ipc::{self, Channel, ChannelLimits, Framing, Message};

const USAGE: &str = "usage: ipc [--messages 50000] [--rounds 5]";
const WINDOW: usize = 64;
const BYTES: usize = 1024;
/// The contestants; the first two are this program.
const NAMES: [&str; 3] = ["own", "node-lines", "node"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["child", name] => echo(framing(name)),
        ["parent", name, messages] => exchange(name, messages.parse().unwrap_or(0)),
        _ => match options(&args) {
            Some((messages, rounds)) => compare(messages, rounds),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ipc: {error}"); // nowhere is left to say it
            ExitCode::FAILURE
        }
    }
}

fn options(args: &[&str]) -> Option<(usize, usize)> {
    let (mut messages, mut rounds) = (50_000, 5);
    for pair in args.chunks(2) {
        match pair {
            ["--messages", value] => messages = value.parse().ok().filter(|count| *count > 1)?,
            ["--rounds", value] => rounds = value.parse().ok().filter(|count| *count > 0)?,
            _ => return None,
        }
    }
    Some((messages, rounds))
}

fn compare(messages: usize, rounds: usize) -> io::Result<()> {
    let mut found = [const { Vec::new() }; NAMES.len()];
    for _ in 0..rounds {
        for (name, costs) in NAMES.iter().zip(&mut found) {
            let start_up = cpu_of(name, 1)?;
            let all = cpu_of(name, messages)?;
            costs.push((all - start_up) / (2.0 * messages as f64));
        }
    }
    let medians: Vec<f64> = found.iter_mut().map(|costs| median(costs)).collect();
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "CPU of both processes for a message of {BYTES} B one way; {messages} there and back, {rounds} rounds"
    )?;
    for ((name, costs), median) in NAMES.iter().zip(&found).zip(&medians) {
        let (low, high) = (costs[0], costs[costs.len() - 1]);
        let ratio = median / medians[NAMES.len() - 1];
        writeln!(out, "{name:<10} {median:6.2} us   {low:.2} to {high:.2}   {ratio:.2} of node")?;
    }
    Ok(())
}

/// Sorts the costs, and gives the middle one.
fn median(costs: &mut [f64]) -> f64 {
    costs.sort_by(f64::total_cmp);
    costs[costs.len() / 2]
}

/// Microseconds of CPU that both processes of an exchange took.
fn cpu_of(name: &str, messages: usize) -> io::Result<f64> {
    let mut command = match name {
        "node" => {
            let mut command = Command::new("node");
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("node/ipc.js"));
            command.args([messages, WINDOW, BYTES].map(|number| number.to_string()));
            command
        }
        _ => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["parent", name, &messages.to_string()]);
            command
        }
    };
    let before = cpu_of_children()?;
    let status = command.stdin(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{name} failed: {status}")));
    }
    Ok(cpu_of_children()? - before)
}

/// Microseconds of CPU of all descendants that ended and were waited for, by the system's own books.
fn cpu_of_children() -> io::Result<f64> {
    // Fields 16 and 17 are in clock ticks, which is too coarse for little and enough for seconds.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let ticks_a_second = rustix::param::clock_ticks_per_second() as f64;
    Ok((ticks(13) + ticks(14)) * 1e6 / ticks_a_second)
}

fn framing(name: &str) -> Framing {
    if name == "own" { Framing::OWN } else { Framing::NODE }
}

fn echo(framing: Framing) -> io::Result<()> {
    let lp = EventLoop::new()?;
    let channel = ipc::from_env(&lp, framing, ChannelLimits::default())?.expect("the parent gave one");
    channel.on_message(|channel, message| {
        let message = message.expect("the parent sends messages");
        channel.send(message).expect("the parent reads");
    });
    drop(channel);
    lp.run(phaseloop::RunMode::Default)?;
    Ok(())
}

fn exchange(name: &str, messages: usize) -> io::Result<()> {
    let lp = EventLoop::new()?;
    let command = phaseloop::process::Command::new(std::env::current_exe()?).args(["child", name]);
    let (_child, channel) = command.spawn_with_channel(&lp, framing(name), ChannelLimits::default())?;
    let body = format!("\"{}\"", "x".repeat(BYTES - 2)).into_bytes();
    let (mut sent, mut received) = (WINDOW.min(messages), 0);
    for _ in 0..sent {
        channel.send(Message::new(body.clone()))?;
    }
    channel.on_message(move |channel: &Channel, message| {
        let message = message.expect("the child sends messages");
        assert_eq!(message.bytes().len(), BYTES, "it is an echo");
        received += 1;
        if received == messages {
            channel.disconnect();
        } else if sent < messages {
            sent += 1;
            channel.send(Message::new(body.clone())).expect("the child reads");
        }
    });
    drop(channel);
    lp.run(phaseloop::RunMode::Default)?;
    Ok(())
}
