//! User-space instructions a message of an echo server: `instructions [SERVER...] [--size 64] [--messages 20000] [--at-once 1] [--http2]`.
//!
//! Each server runs twice under `valgrind --tool=callgrind`, for one and for three times so many messages on 50
//! connections. The difference in instructions over the difference in messages leaves out the start, the accepts and
//! the end. A server of WebSockets, such as `phaseloop-ws`, gets their messages, and one of HTTP, such as `phaseloop-http`, requests on 64
//! connections, `--at-once` so many; or streams of HTTP/2 by h2load. Needs valgrind on the path. valgrind 3.19 does not know
//! io_uring, so compio and monoio are left out.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use phaseloop_benches::echo_client::{EchoClient, Talk, Until};
use phaseloop_benches::echo_process::{EchoProcess, check_name};
use phaseloop_benches::{child, http_plaintext, tcp_echo};

const CONNECTIONS: usize = 50;
const USAGE: &str = "usage: instructions [SERVER...] [--size 64] [--messages 20000] [--at-once 1] [--http2]";
/// Who is asked if nobody is named.
const SERVERS: &[&str] = &[
    "floor",
    "phaseloop",
    "phaseloop-task",
    "phaseloop-own-buf",
    "tokio",
    "tokio-one-worker",
    "tokio-shared-buf",
    #[cfg(feature = "libuv")]
    "libuv",
    "smol",
    "monoio-epoll",
];

struct Options {
    servers: Vec<String>,
    size: usize,
    messages: u64,
    /// Requests of HTTP/1.1 that are sent together.
    at_once: usize,
    http2: bool,
}

fn main() -> ExitCode {
    if child::run_if_child() {
        return ExitCode::SUCCESS;
    }
    let Some(options) = parse(std::env::args().skip(1)) else {
        let _ = writeln!(io::stderr(), "{USAGE}"); // nowhere is left to say it
        return ExitCode::FAILURE;
    };
    match count_all(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "instructions: {error}"); // nowhere is left to say it
            ExitCode::FAILURE
        }
    }
}

fn count_all(options: &Options) -> io::Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "valgrind is not on the path"));
    }
    let mut out = io::stdout();
    writeln!(out, "user instructions a message of {} B, or a request", options.size)?;
    for server in &options.servers {
        check_name(server)?;
        let few = count(server, options, options.messages)?;
        let many = count(server, options, 3 * options.messages)?;
        let each = many.saturating_sub(few) as f64 / (2 * options.messages) as f64;
        writeln!(out, "  {server:<20} {each:>8.0}")?;
        out.flush()?;
    }
    Ok(())
}

/// All instructions of a server that answers `messages` messages.
fn count(server: &str, options: &Options, messages: u64) -> io::Result<u64> {
    let file = out_file();
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind", &format!("--callgrind-out-file={}", file.display())])
        .arg(std::env::current_exe()?)
        .args(child::serve_args(server, tcp_echo::buf_len(options.size)));
    let has_word = |wanted: &[&str]| server.split('-').any(|word| wanted.contains(&word));
    let server = EchoProcess::spawn(command)?;
    let addr = server.addr();
    match () {
        () if has_word(&["http2"]) || options.http2 => http_plaintext::h2load(addr, messages)?,
        () if has_word(&["http", "http1"]) => {
            let talk = http_plaintext::talk(addr, options.at_once)?;
            exchange(addr, http_plaintext::CONNECTIONS, talk, messages / options.at_once as u64)?;
        }
        () if has_word(&["ws"]) => exchange(addr, CONNECTIONS, Talk::websocket(options.size), messages)?,
        () => exchange(addr, CONNECTIONS, Talk::bytes(options.size), messages)?,
    }
    drop(server); // ends the server, which writes the file
    let text = fs::read_to_string(&file)?;
    fs::remove_file(&file)?;
    total(&text).ok_or_else(|| io::Error::other("callgrind wrote no total"))
}

fn exchange(addr: SocketAddr, connections: usize, talk: Talk, messages: u64) -> io::Result<()> {
    let mut client = EchoClient::connect_to_talk(addr, connections, talk, None)?;
    client.ping_each()?;
    let answered = client.exchange(Until::Messages(messages))?;
    if answered == messages {
        return Ok(());
    }
    Err(io::Error::other(format!("{answered} of {messages} answered, {:?}", client.errors())))
}

fn out_file() -> PathBuf {
    std::env::temp_dir().join(format!("callgrind.out.phaseloop.{}", std::process::id()))
}

/// The number after `totals:` or `summary:`.
fn total(text: &str) -> Option<u64> {
    let mut lines = text.lines().rev();
    lines
        .find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))?
        .trim()
        .parse()
        .ok()
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { servers: Vec::new(), size: 64, messages: 20_000, at_once: 1, http2: false };
    while let Some(word) = args.next() {
        match word.as_str() {
            "--size" => options.size = args.next()?.parse().ok().filter(|size| *size > 0)?,
            "--messages" => options.messages = args.next()?.parse().ok().filter(|messages| *messages > 0)?,
            "--at-once" => options.at_once = args.next()?.parse().ok().filter(|count| *count > 0)?,
            "--http2" => options.http2 = true,
            flag if flag.starts_with('-') => return None,
            server => options.servers.push(server.to_string()),
        }
    }
    if options.servers.is_empty() {
        options.servers = SERVERS.iter().map(|name| name.to_string()).collect();
    }
    Some(options)
}
