//! Terminals, on pseudoterminals: modes that come back, sizes, and reading keys.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod again;
mod loopback;

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use loopback::{block_on, finish, new_loop, run};
use phaseloop::net::pipe::{self, PipeStream};
use phaseloop::process::{Command, Stdio};
use phaseloop::tty::{RawMode, WindowSize, on_resize, window_size};
use phaseloop::{EventLoop, RunMode};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A terminal: the side that a person would sit at, and the side of the program.
fn terminal() -> (File, OwnedFd) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let path = ptsname(&person, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let program = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
    (person.into(), program)
}

fn is_raw(terminal: impl AsFd) -> bool {
    let modes = tcgetattr(terminal).unwrap().local_modes;
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    assert!(modes.contains(cooked) || !modes.intersects(cooked), "all of it or nothing");
    !modes.contains(cooked)
}

fn resize(person: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(person, size).unwrap();
}

#[test]
fn raw_mode_comes_back_when_it_is_left_dropped_or_a_panic_comes_by() {
    let (_person, program) = terminal();
    RawMode::enter(&program).unwrap().leave().unwrap();
    assert!(!is_raw(&program));
    let outer = RawMode::enter(&program).unwrap();
    let inner = RawMode::enter(&program).unwrap();
    drop(inner);
    assert!(is_raw(&program), "the outer one still holds");
    drop(outer);
    assert!(!is_raw(&program));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _raw = RawMode::enter(&program).unwrap();
        assert!(is_raw(&program));
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert!(!is_raw(&program));
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(RawMode::enter(&reader).is_err() && window_size(&reader).is_err());
}

#[test]
fn raw_mode_comes_back_with_the_last_holder_in_whatever_order_they_let_go() {
    let (_person, program) = terminal();
    let again = program.try_clone().unwrap();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut holders: Vec<_> = (0..3).map(|_| Some(RawMode::enter(&again).unwrap())).collect();
        for (left, at) in order.into_iter().enumerate() {
            assert!(is_raw(&program), "{left} of {order:?} have let go");
            drop(holders[at].take());
        }
        assert!(!is_raw(&program), "all of {order:?} have let go");
    }
}

#[test]
fn the_side_where_a_person_would_sit_is_itself_and_no_new_terminal() {
    let lp = new_loop();
    let (person, program) = terminal();
    let stream = PipeStream::from_shared(&lp, &person).unwrap();
    let mut program = File::from(program);
    block_on(&lp, stream.write_all(b"typed\n")).unwrap();
    let mut line = [0; 6];
    program.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"typed\n");
    program.write_all(b"shown").unwrap();
    block_on(&lp, async {
        let mut shown = [0; 12];
        stream.read_exact(&mut shown).await.unwrap();
        assert_eq!(&shown, b"typed\r\nshown", "with the echo");
    });
    drop(stream);
    finish(lp);
}

#[test]
fn raw_mode_comes_back_when_the_process_exits() {
    let (mut person, program) = terminal();
    let mut child = again::command("exits-raw")
        .stdin(program.try_clone().unwrap())
        .stdout(program.try_clone().unwrap())
        .spawn()
        .unwrap();
    // It says when it is raw, and then waits for a key.
    let mut said = String::new();
    let mut buf = [0; 256];
    while !said.contains("raw now") {
        let len = person.read(&mut buf).unwrap();
        said.push_str(&String::from_utf8_lossy(&buf[..len]));
    }
    assert!(is_raw(&program));
    person.write_all(b"k").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert!(!is_raw(&program));
}

fn exit_in_raw_mode() {
    let raw = RawMode::enter(std::io::stdin()).unwrap();
    let lp = EventLoop::new().unwrap();
    let key = lp.block_on(async {
        let lp = phaseloop::current();
        let (stdin, stdout) = (pipe::stdin(&lp)?, pipe::stdout(&lp)?);
        stdout.write_all(b"raw now").await?;
        let mut key = [0];
        stdin.read_exact(&mut key).await.map(|()| key)
    });
    assert_eq!(key.unwrap().unwrap(), *b"k", "a key comes without a newline");
    std::mem::forget(raw);
    std::process::exit(9);
}

#[test]
fn lines_are_read_one_by_one_and_the_flags_of_the_terminal_are_left_alone() {
    let lp = new_loop();
    let (mut person, program) = terminal();
    let stream = PipeStream::from_shared(&lp, &program).unwrap();
    person.write_all(b"first\nsecond\n").unwrap();
    block_on(&lp, async {
        let mut line = [0; 100];
        assert_eq!(stream.read(&mut line).await.unwrap(), 6);
        assert_eq!(&line[..6], b"first\n");
        assert_eq!(stream.read(&mut line).await.unwrap(), 7);
        assert_eq!(&line[..7], b"second\n");
    });
    assert!(!rustix::fs::fcntl_getfl(&program).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    drop(person);
    assert_eq!(block_on(&lp, stream.read(&mut [0; 10])).unwrap(), 0, "a terminal that is gone has ended");
    drop(stream);
    finish(lp);
}

#[test]
fn a_change_of_size_is_told_with_the_new_size() {
    let lp = new_loop();
    let (person, program) = terminal();
    resize(&person, 80, 24);
    assert_eq!(window_size(&program).unwrap(), WindowSize { columns: 80, rows: 24 });
    let told = Rc::new(RefCell::new(Vec::new()));
    let sizes = Rc::clone(&told);
    let watcher =
        on_resize(&lp, &program, move |_, size| sizes.borrow_mut().push((size.columns, size.rows))).unwrap();
    let changed = || {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::WINCH).unwrap();
        lp.run(RunMode::Once).unwrap();
    };
    changed();
    resize(&person, 120, 50);
    changed();
    assert_eq!(*told.borrow(), [(120, 50)], "a signal without a change is not told");
    watcher.close();
    run(&lp);
}

#[test]
fn the_system_tells_the_session_that_owns_the_terminal() {
    let lp = new_loop();
    let (person, program) = terminal();
    let path = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
    resize(&person, 80, 24);
    let exe = std::env::current_exe().unwrap();
    let args = ["--exact", "in_a_child", "--nocapture", "--test-threads=1"];
    let child = Command::new(exe).args(args).env("PHASELOOP_TEST_ROLE", "resized").env("TERMINAL", path);
    let mut child = child.detached().stdout(Stdio::pipe()).kill_on_drop().spawn(&lp).unwrap();
    let stdout = child.take_stdout().unwrap();
    block_on(&lp, async {
        let mut said = Vec::new();
        while !said.ends_with(b"watching") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).await.unwrap();
            said.push(byte[0]);
        }
        resize(&person, 132, 43);
        let rest = String::from_utf8(stdout.read_to_end(4096).await.unwrap()).unwrap();
        assert!(rest.starts_with("132x43"), "{rest}");
        assert!(child.wait().await.unwrap().success());
    });
    drop(program);
}

/// Leads a session, so the terminal that it opens becomes its own.
fn tell_size() {
    let path = std::env::var("TERMINAL").unwrap();
    let terminal = File::options().read(true).write(true).open(path).unwrap();
    let lp = EventLoop::new().unwrap();
    let stdout = pipe::stdout(&lp).unwrap();
    let out = stdout.clone();
    let watcher = on_resize(&lp, &terminal, move |lp, size| {
        out.queue_write(format!("{}x{}", size.columns, size.rows).as_bytes()).unwrap();
        lp.stop();
    });
    stdout.queue_write(b"watching").unwrap();
    lp.run(RunMode::Default).unwrap();
    watcher.unwrap().close();
    // Else the end of the session's leader would hang it up before the harness has said goodbye.
    std::process::exit(0);
}

/// Not a test of its own: the children of the tests above start here.
#[test]
fn in_a_child() {
    match again::role().as_deref() {
        Some("exits-raw") => exit_in_raw_mode(),
        Some("resized") => tell_size(),
        Some(role) => panic!("no role {role}"),
        None => {}
    }
}
