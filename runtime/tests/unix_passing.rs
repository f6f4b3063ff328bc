//! Descriptors that are passed: in order with their bytes, bounded, and never left behind.
//!
//! In a test binary of its own, and one test at a time, since it counts the descriptors of the process.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use phaseloop::net::{ReadEvent, TcpListener, UnixStream};
use phaseloop::{EventLoop, Limits};
use rustix::io::{FdFlags, fcntl_getfd};

mod loopback;
use loopback::{Folder, block_on, finish, localhost, loop_with, new_loop, run, wait_once};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs is mounted").count()
}

/// A file that says `text`.
fn file(folder: &Folder, text: &str) -> File {
    let path = folder.path().join(text);
    fs::write(&path, text).expect("loopback works");
    File::open(path).expect("loopback works")
}

fn text_of(descriptor: OwnedFd) -> String {
    let (mut file, mut text) = (File::from(descriptor), String::new());
    file.rewind().expect("loopback works");
    file.read_to_string(&mut text).expect("loopback works");
    text
}

fn pair(lp: &EventLoop) -> (UnixStream, UnixStream) {
    UnixStream::pair(lp).expect("loopback works")
}

#[test]
fn descriptors_come_in_order_with_their_bytes() {
    let (_alone, lp, folder) = (alone(), new_loop(), Folder::new());
    let (a, b) = pair(&lp);
    let (one, two, three) = (file(&folder, "one"), file(&folder, "two"), file(&folder, "three"));
    block_on(&lp, async {
        a.write_with_descriptors(b"first", &[one.as_fd(), two.as_fd()]).await.unwrap();
        a.write_all(b"plain").await.unwrap();
        a.write_with_descriptors(b"third", &[three.as_fd()]).await.unwrap();
        a.shutdown().await.unwrap();
        let (mut bytes, mut found) = (Vec::new(), Vec::new());
        loop {
            let mut buf = [0; 64];
            let (len, passed) = b.read_with_descriptors(&mut buf).await.unwrap();
            if len == 0 {
                break;
            }
            assert!(!passed.truncated);
            bytes.extend_from_slice(&buf[..len]);
            for descriptor in passed.descriptors {
                assert!(fcntl_getfd(&descriptor).unwrap().contains(FdFlags::CLOEXEC));
                found.push((text_of(descriptor), bytes.len()));
            }
        }
        assert_eq!(bytes, b"firstplainthird");
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["one", "two", "three"]);
        // Not before the byte they were sent with.
        assert!(found[1].1 >= 5 && found[2].1 > 10, "{found:?}");
    });
}

#[test]
fn queued_descriptors_wait_for_their_turn_and_are_closed_when_sent() {
    let (_alone, lp, folder) = (alone(), new_loop(), Folder::new());
    let before = open_descriptors();
    let (a, b) = pair(&lp);
    let filler = vec![b'.'; 2_000_000]; // more than the socket takes, so that what follows is queued
    a.queue_write(&filler).unwrap();
    assert!(a.write_queue_len() > 0);
    for name in ["one", "two"] {
        let written = |_: &UnixStream, result: std::io::Result<()>| result.unwrap();
        let descriptors = vec![OwnedFd::from(file(&folder, name))];
        a.queue_write_with_descriptors(name.as_bytes(), descriptors, written).unwrap();
    }
    a.shutdown_with(|stream, _| stream.close()).unwrap();
    let found = Rc::new(RefCell::new((0, Vec::new())));
    let noted = Rc::clone(&found);
    b.read_start_with_descriptors(move |stream, event, passed| match event {
        ReadEvent::Data(bytes) => {
            let mut noted = noted.borrow_mut();
            noted.0 += bytes.len();
            for descriptor in passed.descriptors {
                let at = noted.0;
                noted.1.push((text_of(descriptor), at));
            }
        }
        ReadEvent::End => stream.close(),
        ReadEvent::Failed(error) => panic!("{error}"),
    })
    .unwrap();
    drop((a, b));
    run(&lp);
    let (len, passed) = found.take();
    assert_eq!(len, filler.len() + 6);
    assert_eq!(passed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert!(passed[0].1 > filler.len(), "with their bytes, not ahead of them");
    drop(passed);
    lp.close().unwrap();
    assert!(open_descriptors() <= before, "all were closed");
}

#[test]
fn a_receiver_that_ignores_descriptors_leaks_none() {
    let (_alone, lp, folder) = (alone(), new_loop(), Folder::new());
    let (a, b) = pair(&lp);
    wait_once(&lp);
    let passed = file(&folder, "passed");
    let before = open_descriptors();
    block_on(&lp, async {
        let mut buf = [0; 8];
        for _ in 0..10 {
            a.write_with_descriptors(b"x", &[passed.as_fd(); 5]).await.unwrap();
            assert_eq!(b.read(&mut buf).await.unwrap(), 1);
            a.write_with_descriptors(b"y", &[passed.as_fd(); 5]).await.unwrap();
            let (_, dropped) = b.read_with_descriptors(&mut buf).await.unwrap();
            assert_eq!(dropped.descriptors.len(), 5);
        }
    });
    assert_eq!(open_descriptors(), before);
    // And what nobody ever read goes with the socket.
    block_on(&lp, a.write_with_descriptors(b"z", &[passed.as_fd()])).unwrap();
    drop((a, b, passed));
    assert_eq!(open_descriptors(), before - 3);
    finish(lp);
}

#[test]
fn descriptors_are_bounded_on_both_sides() {
    let _alone = alone();
    let folder = Folder::new();
    let lp = new_loop();
    let small = loop_with(Limits { descriptors_per_message: 3, ..Limits::default() });
    let (sender, receiver) = std::os::unix::net::UnixStream::pair().unwrap();
    let a = UnixStream::from_std(&lp, sender).unwrap();
    let b = UnixStream::from_std(&small, receiver).unwrap();
    let passed = file(&folder, "passed");
    let error = block_on(&lp, a.write_with_descriptors(b"x", &[passed.as_fd(); 65])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("65") && error.to_string().contains("64"), "{error}");
    let error = block_on(&lp, a.write_with_descriptors(b"", &[passed.as_fd()])).unwrap_err();
    assert!(error.to_string().contains("a byte"), "{error}");

    wait_once(&small);
    block_on(&lp, a.write_with_descriptors(b"x", &[passed.as_fd(); 5])).unwrap();
    let before = open_descriptors();
    let (_, got) = block_on(&small, b.read_with_descriptors(&mut [0; 8])).unwrap();
    assert!(got.truncated);
    assert_eq!(got.descriptors.len(), 3);
    assert_eq!(open_descriptors(), before + 3, "the rest were closed");
}

#[test]
fn a_refused_or_cancelled_write_closes_what_it_carried() {
    let (_alone, folder) = (alone(), Folder::new());
    let lp = loop_with(Limits { write_queue_len_max: 1_000_000, ..Limits::default() });
    let (a, _b) = pair(&lp);
    let before = open_descriptors();
    let ignore = |_: &UnixStream, _: std::io::Result<()>| {};
    let carried = || vec![OwnedFd::from(file(&folder, "carried"))];
    while a.write_queue_len() == 0 {
        a.queue_write(&[0; 100_000]).unwrap();
    }
    a.queue_write_with_descriptors(b"x", carried(), ignore).unwrap();
    assert_eq!(open_descriptors(), before + 1);
    assert!(a.queue_write_with_descriptors(&[0; 2_000_000], carried(), ignore).is_err());
    assert_eq!(open_descriptors(), before + 1);
    a.close();
    assert_eq!(open_descriptors(), before - 1, "the stream's own too");
}

#[test]
fn a_listener_passed_to_another_loop_is_listened_on_there() {
    let (_alone, lp) = (alone(), new_loop());
    let (a, b) = pair(&lp);
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut peer = std::net::TcpStream::connect(address).unwrap(); // waits in the backlog
    peer.write_all(b"early").unwrap();
    let early = block_on(&lp, async {
        a.write_with_descriptors(b"L", &[listener.as_fd()]).await.unwrap();
        let (_, mut passed) = b.read_with_descriptors(&mut [0; 8]).await.unwrap();
        listener.close();
        let taken = TcpListener::from_fd(&lp, passed.descriptors.remove(0)).unwrap();
        let (stream, _) = taken.accept().await.unwrap();
        let mut buf = [0; 5];
        stream.read_exact(&mut buf).await.unwrap();
        buf
    });
    assert_eq!(&early, b"early");
    drop((a, b, listener));
    finish(lp);
}

#[test]
fn a_socket_that_was_bound_here_is_listened_on_after_it_was_passed() {
    let (_alone, lp) = (alone(), new_loop());
    let (a, b) = pair(&lp);
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&localhost().into()).unwrap();
    block_on(&lp, async {
        a.write_with_descriptors(b"B", &[bound.as_fd()]).await.unwrap();
        let (_, mut passed) = b.read_with_descriptors(&mut [0; 8]).await.unwrap();
        let taken = socket2::Socket::from(passed.descriptors.remove(0));
        taken.listen(8).unwrap();
        let listener = TcpListener::from_fd(&lp, taken.into()).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(Some(address), bound.local_addr().unwrap().as_socket());
        let peer = std::net::TcpStream::connect(address).unwrap();
        let (_, from) = listener.accept().await.unwrap();
        assert_eq!(from, peer.local_addr().unwrap());
    });
}

/// Set in the process that the test below starts, which runs only `the_other_process`.
const OTHER: &str = "PHASELOOP_TEST_RECEIVES";

#[test]
fn descriptors_come_in_order_between_processes() {
    let (_alone, lp, folder) = (alone(), new_loop(), Folder::new());
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_other_process"])
        .env(OTHER, "1")
        .stdin(OwnedFd::from(theirs))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let stream = UnixStream::from_std(&lp, ours).unwrap();
    let answer = block_on(&lp, async {
        for names in [&["a", "b"][..], &["c"], &["d", "e", "f"]] {
            let files: Vec<File> = names.iter().map(|name| file(&folder, name)).collect();
            let borrowed: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
            stream.write_with_descriptors(b"!", &borrowed).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        let mut answer = vec![0; 6];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    });
    assert_eq!(answer, b"abcdef");
    assert!(child.wait().unwrap().success());
}

/// What runs in the other process: it says what is in the files that it is passed.
#[test]
fn the_other_process() {
    if std::env::var_os(OTHER).is_none() {
        return;
    }
    let lp = new_loop();
    let stream = UnixStream::from_fd(&lp, std::io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap();
    block_on(&lp, async {
        let mut answer = String::new();
        loop {
            let (len, passed) = stream.read_with_descriptors(&mut [0; 8]).await.unwrap();
            passed.descriptors.into_iter().for_each(|descriptor| answer.push_str(&text_of(descriptor)));
            if len == 0 {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
}

#[test]
fn callbacks_get_all_messages_that_waited_also_behind_one_with_descriptors() {
    let (_alone, lp, folder) = (alone(), new_loop(), Folder::new());
    let (a, b) = pair(&lp);
    for text in ["one", "two", "three"] {
        a.queue_write_with_descriptors(text.as_bytes(), vec![file(&folder, text).into()], |_, sent| {
            sent.unwrap()
        })
        .unwrap();
    }
    a.queue_write(b"plain").unwrap();
    let found = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&found);
    b.read_start_with_descriptors(move |b, event, passed| {
        let ReadEvent::Data(bytes) = event else { return };
        let mut found = seen.borrow_mut();
        found.push(String::from_utf8_lossy(bytes).into_owned());
        found.extend(passed.descriptors.into_iter().map(text_of));
        if bytes.ends_with(b"plain") {
            b.close();
        }
    })
    .unwrap();
    run(&lp);
    assert_eq!(*found.borrow(), ["one", "one", "two", "two", "three", "three", "plain"]);
}

#[test]
fn a_plain_reader_gets_what_waits_behind_a_message_with_descriptors() {
    let (_alone, lp, folder) = (alone(), new_loop(), Folder::new());
    let (a, b) = pair(&lp);
    let passed = file(&folder, "passed");
    block_on(&lp, async {
        a.write_with_descriptors(b"a", &[passed.as_fd()]).await.unwrap();
        a.write_all(b"bcd").await.unwrap();
        let mut buf = [0; 100];
        let mut read = Vec::new();
        while read.len() < 4 {
            let len = b.read(&mut buf).await.unwrap();
            read.extend_from_slice(&buf[..len]);
        }
        assert_eq!(read, b"abcd");
    });
    drop((a, b, passed));
    finish(lp);
}
