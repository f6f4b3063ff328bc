//! Which descriptors a child inherits: those it was given, and none by accident.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod again;
mod loopback;
#[path = "process/sys.rs"]
mod sys;

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopback::{block_on, new_loop};
use phaseloop::EventLoop;
use phaseloop::net::{TcpStream, pipe};
use phaseloop::process::{Command, ExecOptions, Stdio};
use phaseloop::signal::Signal;

/// What a command writes to its standard output.
fn text(lp: &EventLoop, command: Command) -> String {
    let output = block_on(lp, command.output(lp, ExecOptions::default())).unwrap();
    assert!(output.success(), "{:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const LIST: &str = "for fd in /proc/self/fd/*; do [ ${fd##*/} -gt 2 ] && readlink $fd; done; true";

/// What the descriptors above 2 of a child lead to, but for those that this process itself was started with.
fn inherited(lp: &EventLoop, command: Command) -> Vec<String> {
    let listed = text(lp, command.args(["-c", LIST]));
    listed.lines().map(str::to_owned).filter(|target| !started_with().contains(target)).collect()
}

/// What a descriptor without a close-at-exec flag led to when the first test asked.
fn started_with() -> &'static [String] {
    static LISTED: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    LISTED.get_or_init(|| {
        let inherited = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{name}")).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
            let inherits = i64::from_str_radix(flags.trim(), 8).ok()? & i64::from(libc::O_CLOEXEC) == 0;
            let target = std::fs::read_link(format!("/proc/self/fd/{name}")).ok()?;
            inherits.then(|| target.to_string_lossy().into_owned())
        });
        inherited.filter(|target| target != "/dev/zero").collect()
    })
}

#[test]
fn nothing_is_inherited_by_accident_while_other_threads_open_files() {
    let lp = new_loop();
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let opened = (File::open("/dev/null"), TcpListener::bind("127.0.0.1:0"), std::io::pipe());
                    drop(opened);
                }
            })
        })
        .collect();
    let _signals = lp.signals(&[Signal::URG]).unwrap();
    let _kept = pipe::pair(&lp).unwrap();
    for round in 0..30 {
        let bash = if round % 2 == 0 { Command::new("bash") } else { Command::new("bash").detached() };
        assert_eq!(inherited(&lp, bash), [] as [&str; 0]);
    }
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn what_others_leave_open_is_inherited_unless_only_what_is_listed_is() {
    again::succeed("leaky");
}

fn leak() {
    let lp = EventLoop::new().unwrap();
    let leaked = rustix::io::dup(File::open("/dev/zero").unwrap()).unwrap(); // not closed at exec
    let zero = |list: &[String]| list.iter().filter(|target| *target == "/dev/zero").count();
    let bash = || Command::new("bash");
    assert_eq!(zero(&inherited(&lp, bash())), 1);
    assert_eq!(zero(&inherited(&lp, bash().only_listed_descriptors())), 0);
    let listed = bash().only_listed_descriptors().descriptor(9, Stdio::fd(&leaked).unwrap());
    assert_eq!(zero(&inherited(&lp, listed)), 1);
    drop(leaked);
}

#[test]
fn a_listening_socket_can_be_handed_down() {
    let lp = new_loop();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let command = Command::new("bash").descriptor(3, Stdio::fd(listener.as_fd()).unwrap());
    let targets = inherited(&lp, command);
    assert!(targets.len() == 1 && targets[0].starts_with("socket:"), "{targets:?}");
}

#[test]
fn a_listening_socket_that_was_handed_down_is_accepted_on() {
    let lp = new_loop();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let role = again::command("accepts");
    let mut command = Command::new(role.get_program()).args(role.get_args());
    for (key, value) in role.get_envs() {
        command = command.env(key, value.unwrap());
    }
    let child = command.descriptor(3, Stdio::fd(listener.as_fd()).unwrap()).spawn(&lp).unwrap();
    drop(listener); // the child's is the only one
    let echoed = block_on(&lp, async {
        let stream = TcpStream::connect(&lp, address).await.unwrap();
        stream.write_all(b"to the child").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut echoed = [0; 12];
        stream.read_exact(&mut echoed).await.unwrap();
        echoed
    });
    assert_eq!(&echoed, b"to the child");
    assert!(block_on(&lp, child.wait()).unwrap().success());
}

/// Echoes one connection of the listener that the parent gave.
fn accept_for_the_parent() {
    let lp = new_loop();
    let listener = phaseloop::net::TcpListener::from_fd(&lp, sys::take_number(3)).unwrap();
    block_on(&lp, async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut buf = [0; 100];
        while let len @ 1.. = stream.read(&mut buf).await.unwrap() {
            stream.write_all(&buf[..len]).await.unwrap();
        }
    });
}

/// Not a test of its own: the children of the tests above start here.
#[test]
fn in_a_child() {
    match again::role().as_deref() {
        Some("leaky") => leak(),
        Some("accepts") => accept_for_the_parent(),
        Some(role) => panic!("no role {role}"),
        None => {}
    }
}
