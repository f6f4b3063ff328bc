//! The whole system has run out of files (ENFILE): accepting neither hangs nor spins, and everything else says so.
//!
//! The limit itself is everybody's, so a filter of system calls gives the answer, to the thread of one test.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod loopback;
#[path = "system_limit/sys.rs"]
mod sys;

use std::cell::Cell;
use std::io::{self, Write};
use std::net::TcpStream as Peer;
use std::rc::Rc;
use std::time::Instant;

use loopback::{block_on, finish, localhost, ms, new_loop, run_while, turns_in, wait_once};
use phaseloop::EventLoop;
use phaseloop::net::{TcpListener, TcpStream, UdpSocket, UnixStream, pipe};
use phaseloop::process::{Command, Stdio};

/// Every call that makes a descriptor where the runtime asks for one.
const MAKERS: [i64; 7] = [
    libc::SYS_accept4,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_pipe2,
    libc::SYS_openat,
    libc::SYS_epoll_create1,
    libc::SYS_eventfd2,
];

/// Runs `part` on a thread of its own, since a filter stays. `part` gets a function that has the system run out, and says
/// whether it has.
fn on_a_thread(part: fn(run_out: fn() -> bool)) {
    std::thread::spawn(move || part(run_out)).join().unwrap();
}

fn run_out() -> bool {
    let refused = sys::refuse(&MAKERS, libc::ENFILE);
    if !refused {
        // Past the capture of the test harness, so that it is seen.
        let _ = writeln!(io::stderr(), "SKIPPED: system_limit: the system has no filters of system calls");
    }
    refused
}

fn is_enfile(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENFILE)
}

#[test]
fn accepting_without_files_in_the_system_neither_hangs_nor_spins() {
    on_a_thread(|run_out| {
        let lp = new_loop();
        let listener = TcpListener::bind(&lp, localhost()).unwrap();
        let address = listener.local_addr().unwrap();
        wait_once(&lp);
        let errors = Rc::new(Cell::new(0_u128));
        let failed = Rc::clone(&errors);
        listener
            .on_connection(move |_, connection| {
                assert!(is_enfile(&connection.unwrap_err()));
                failed.set(failed.get() + 1);
            })
            .unwrap();
        let _peers: Vec<Peer> = (0..3).map(|_| Peer::connect(address).unwrap()).collect();
        if !run_out() {
            return;
        }
        let began = Instant::now();
        let turns = turns_in(&lp, ms(20));
        assert!(turns < 20, "{turns} turns passed with no file left");
        run_while(&lp, || errors.get() < 2);
        // One error at once, and one after each pause of 50 ms.
        let most = 1 + began.elapsed().as_millis() / 50;
        assert!(errors.get() <= most, "{} errors in {:?}", errors.get(), began.elapsed());
        listener.close();
        finish(lp);
    });
}

#[test]
fn without_files_in_the_system_everything_else_says_so() {
    on_a_thread(|run_out| {
        let lp = new_loop();
        turns_in(&lp, ms(1));
        let listener = TcpListener::bind(&lp, localhost()).unwrap();
        let address = listener.local_addr().unwrap();
        let (a, b) = UnixStream::pair(&lp).unwrap();
        if !run_out() {
            return;
        }
        assert!(is_enfile(&block_on(&lp, TcpStream::connect(&lp, address)).unwrap_err()));
        assert!(is_enfile(&TcpListener::bind(&lp, localhost()).unwrap_err()));
        assert!(is_enfile(&UdpSocket::bind(&lp, localhost()).unwrap_err()));
        assert!(is_enfile(&UnixStream::pair(&lp).unwrap_err()));
        assert!(is_enfile(&pipe::pair(&lp).unwrap_err()));
        assert!(is_enfile(&EventLoop::new().unwrap_err()));
        for command in
            [Command::new("true").stdin(Stdio::ignore()), Command::new("true").stdout(Stdio::pipe())]
        {
            let error = command.spawn(&lp).unwrap_err();
            assert!(is_enfile(error.io_error()), "{error}");
        }
        // What is open goes on.
        block_on(&lp, async {
            a.write_all(b"x").await.unwrap();
            assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 1);
        });
        drop((a, b, listener));
        finish(lp);
    });
}
