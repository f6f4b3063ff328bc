//! The example `cluster_http` as a program: workers that are killed, replaced and told to end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// The program, and what it says.
struct Cluster {
    primary: Child,
    said: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Cluster {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster_http"));
        command.args(["--addr", "127.0.0.1:0", "--workers", "2"]).args(arguments);
        let mut primary = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let said = BufReader::new(primary.stdout.take().unwrap()).lines();
        let mut cluster = Self { primary, said, address: String::new() };
        let line = cluster.until(|line| line.starts_with("listening on "));
        cluster.address = line["listening on http://".len()..].trim_end_matches('/').to_owned();
        cluster.ready(2);
        cluster
    }

    /// Reads lines until one is as it should be. They end when no process of the cluster is left.
    fn until(&mut self, mut is_it: impl FnMut(&str) -> bool) -> String {
        let mut before = Vec::new();
        for line in &mut self.said {
            let line = line.unwrap();
            if is_it(&line) {
                return line;
            }
            before.push(line);
        }
        panic!("it did not say so, but {before:#?}");
    }

    fn ready(&mut self, count: usize) {
        for _ in 0..count {
            self.until(|line| line.ends_with(" is ready"));
        }
    }

    fn get(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Reads what it still says, until no process of it is left.
    fn end(mut self) -> (ExitStatus, Vec<String>) {
        let rest = self.said.by_ref().map(Result::unwrap).collect();
        (self.primary.wait().unwrap(), rest)
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

fn process_of(answer: &str) -> u32 {
    answer.split("process ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
}

#[test]
fn processes_are_killed_replaced_renewed_and_told_to_end() {
    let mut cluster = Cluster::start(&["--policy", "round-robin"]);
    let answers: BTreeSet<String> = (0..4).map(|_| cluster.get()).collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    let victim = process_of(answers.first().unwrap());
    signal(victim, "KILL");
    cluster.until(|line| line.contains("signal: 9"));
    cluster.ready(1);
    let answers: BTreeSet<u32> = (0..4).map(|_| process_of(&cluster.get())).collect();
    assert!(answers.len() == 2 && !answers.contains(&victim), "{answers:?}");
    signal(cluster.primary.id(), "HUP");
    cluster.until(|line| line == "2 workers were replaced");
    let renewed: BTreeSet<u32> = (0..4).map(|_| process_of(&cluster.get())).collect();
    assert!(answers.is_disjoint(&renewed), "{answers:?}, {renewed:?}");
    signal(cluster.primary.id(), "TERM");
    let (status, rest) = cluster.end();
    assert!(status.success(), "{status}, {rest:#?}");
    let ended = rest.iter().filter(|line| line.contains(" ended: exit status: 0")).count();
    assert_eq!(ended, 2, "{rest:#?}");
}

#[test]
fn threads_are_renewed_and_told_to_end() {
    let mut cluster = Cluster::start(&["--threads", "--policy", "reuse-port"]);
    let answer = cluster.get();
    assert!(answer.contains(", thread worker-"), "{answer}");
    assert_eq!(process_of(&answer), cluster.primary.id());
    signal(cluster.primary.id(), "HUP");
    cluster.until(|line| line == "2 workers were replaced");
    assert!(cluster.get().contains(", thread worker-"));
    signal(cluster.primary.id(), "INT");
    let (status, rest) = cluster.end();
    assert!(status.success(), "{status}, {rest:#?}");
}

#[test]
fn workers_whose_primary_dies_end_by_themselves() {
    let mut cluster = Cluster::start(&[]);
    cluster.primary.kill().unwrap();
    // The pipe ends when the last process that has it does.
    let (status, _) = cluster.end();
    assert!(!status.success());
}

#[test]
fn a_policy_that_is_not_known_is_refused() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_cluster_http")).args(["--policy", "fair"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"fair\""), "{output:?}");
}
