//! Unix listeners and streams: names, files, credentials, and both fronts on the core that TCP has too.

use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::rc::Rc;
use std::{fs, process};

use phaseloop::net::{ReadEvent, UnixAddr, UnixListenOptions, UnixListener, UnixStream};
use phaseloop::{ContextKey, EventLoop};

mod loopback;
use loopback::{
    Folder, Log, block_on, finish, is_cancelled, ms, new_loop, pattern, run, run_while, turns_in,
};

fn pair(lp: &EventLoop) -> (UnixStream, UnixStream) {
    UnixStream::pair(lp).expect("loopback works")
}

fn abstract_name(what: &str) -> UnixAddr {
    UnixAddr::abstract_name(format!("phaseloop-test-{}-{what}", process::id()))
}

/// Says `ping`, answers with what comes back.
fn converse(lp: &EventLoop, listener: &UnixListener, addr: &UnixAddr) {
    block_on(lp, async {
        let client = UnixStream::connect(lp, addr).await.expect("loopback works");
        let (server, peer) = listener.accept().await.expect("loopback works");
        assert_eq!(peer, UnixAddr::Unnamed);
        client.write_all(b"ping").await.expect("loopback works");
        let mut buf = [0; 4];
        server.read_exact(&mut buf).await.expect("loopback works");
        assert_eq!(&buf, b"ping");
        assert_eq!(client.peer_addr().expect("loopback works"), *addr);
        assert_eq!(server.local_addr().expect("loopback works"), *addr);
    });
}

#[test]
fn a_path_is_listened_on_and_removed_on_close() {
    let (lp, folder) = (new_loop(), Folder::new());
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&lp, &path).unwrap();
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    converse(&lp, &listener, &UnixAddr::from(&path));
    listener.close();
    assert!(!path.exists());
    drop(listener);
    finish(lp);
}

#[test]
fn a_dropped_listener_removes_its_file_and_a_kept_one_does_not() {
    let (lp, folder) = (new_loop(), Folder::new());
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&lp, &path).unwrap());
    assert!(!path.exists());
    let mut options = UnixListenOptions::default();
    options.unlink_on_close = false;
    drop(UnixListener::bind_with(&lp, &path, &options).unwrap());
    assert!(path.exists());
    finish(lp);
}

#[test]
fn a_file_that_another_put_in_the_place_is_left_alone() {
    let (lp, folder) = (new_loop(), Folder::new());
    let path = folder.path().join("socket");
    let first = UnixListener::bind(&lp, &path).unwrap();
    fs::rename(&path, folder.path().join("moved")).unwrap();
    let second = UnixListener::bind(&lp, &path).unwrap();
    first.close();
    assert!(path.exists(), "the second listener's file");
    second.close();
    drop((first, second));
    finish(lp);
}

#[test]
fn a_name_in_use_says_whether_somebody_listens() {
    let (lp, folder) = (new_loop(), Folder::new());
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&lp, &path).unwrap();
    let error = UnixListener::bind(&lp, &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("another socket is bound"), "{error}");
    assert!(error.to_string().contains("socket"), "the path is named: {error}");
    // One that listens is never replaced.
    let mut replacing = UnixListenOptions::default();
    replacing.replace_stale = true;
    assert_eq!(UnixListener::bind_with(&lp, &path, &replacing).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // leaves its file, as a killed process does
    let error = UnixListener::bind(&lp, &path).unwrap_err();
    assert!(error.kind() == ErrorKind::AddrInUse && error.to_string().contains("left over"), "{error}");
    let listener = UnixListener::bind_with(&lp, &path, &replacing).unwrap();
    converse(&lp, &listener, &UnixAddr::from(&path));
    drop(listener);

    fs::write(&path, "precious").unwrap();
    assert!(UnixListener::bind_with(&lp, &path, &replacing).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"precious", "what is no socket is never replaced");
    finish(lp);
}

#[test]
fn overlong_names_are_refused_with_the_limit() {
    let lp = new_loop();
    let long = |len: usize| PathBuf::from(format!("/{}", "x".repeat(len - 1)));
    for addr in [UnixAddr::from(long(108)), UnixAddr::abstract_name(vec![b'x'; 108])] {
        for error in [
            UnixListener::bind(&lp, &addr).unwrap_err(),
            block_on(&lp, UnixStream::connect(&lp, &addr)).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(text.contains("108 bytes") && text.contains("107"), "{text}");
        }
    }
    // The longest there is, is not cut off.
    let name = UnixAddr::abstract_name(format!("{:0>107}", process::id()));
    let listener = UnixListener::bind(&lp, &name).unwrap();
    assert_eq!(listener.local_addr().unwrap(), name);
    converse(&lp, &listener, &name);
    let error = UnixListener::bind(&lp, "with\0zero").unwrap_err();
    assert!(error.to_string().contains("zero byte"), "{error}");
    assert!(UnixListener::bind(&lp, "").unwrap_err().to_string().contains("empty"));
    drop(listener);
    finish(lp);
}

#[test]
fn abstract_names_hold_any_bytes_and_go_with_the_socket() {
    let lp = new_loop();
    let UnixAddr::Abstract(mut bytes) = abstract_name("bytes") else { unreachable!() };
    bytes.extend([0, 255, 0]);
    let name = UnixAddr::Abstract(bytes);
    let listener = UnixListener::bind(&lp, &name).unwrap();
    converse(&lp, &listener, &name);
    assert_eq!(UnixListener::bind(&lp, &name).unwrap_err().kind(), ErrorKind::AddrInUse);
    listener.close();
    let again = UnixListener::bind(&lp, &name).unwrap();
    drop((listener, again));
    let chosen = UnixListener::bind(&lp, UnixAddr::Unnamed).unwrap();
    assert!(matches!(chosen.local_addr().unwrap(), UnixAddr::Abstract(name) if name.len() == 5));
    drop(chosen);
    finish(lp);
}

#[test]
fn the_mode_of_the_file_is_set_before_anybody_can_connect() {
    let (lp, folder) = (new_loop(), Folder::new());
    let path = folder.path().join("socket");
    let mut options = UnixListenOptions::default();
    options.mode = Some(0o600);
    let listener = UnixListener::bind_with(&lp, &path, &options).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(listener);
    finish(lp);
}

#[test]
fn the_peer_is_known() {
    let lp = new_loop();
    let (a, _b) = pair(&lp);
    let peer = a.peer_credentials().unwrap();
    assert_eq!(peer.pid, Some(process::id()));
    assert_eq!(peer.uid, rustix::process::getuid().as_raw());
    assert_eq!(peer.gid, rustix::process::getgid().as_raw());
}

#[test]
fn connect_errors_come_by_callback_also_from_prepare() {
    let (lp, folder) = (new_loop(), Folder::new());
    let missing = folder.path().join("missing");
    let log = Log::default();
    let noted = log.clone();
    let prepare = phaseloop::Prepare::new(&lp);
    prepare
        .start(move |prepare| {
            let (noted, seen) = (noted.clone(), noted.clone());
            UnixStream::connect_with(prepare.lp(), &missing, move |_, stream| {
                noted.add(format!("{:?}", stream.unwrap_err().kind()));
            });
            assert_eq!(seen.len(), 0, "not inside the call");
            prepare.close();
        })
        .unwrap();
    finish(lp);
    assert_eq!(log.lines(), ["NotFound"]);
}

#[test]
fn closing_with_many_pending_connects_cancels_each_once() {
    let lp = new_loop();
    let name = abstract_name("pending");
    let listener = UnixListener::bind(&lp, &name).unwrap();
    let log = Log::default();
    for _ in 0..50 {
        let log = log.clone();
        let connecting = UnixStream::connect_with(&lp, &name, move |_, stream| {
            log.add(if is_cancelled(&stream.unwrap_err()) { "cancelled" } else { "other" });
        });
        connecting.close();
        connecting.close();
    }
    run(&lp);
    assert_eq!(log.lines(), vec!["cancelled"; 50]);
    drop(listener);
    finish(lp);
}

#[test]
fn a_full_backlog_is_an_error_that_says_so() {
    let lp = new_loop();
    let name = abstract_name("backlog");
    let mut options = UnixListenOptions::default();
    options.backlog = 1;
    let listener = UnixListener::bind_with(&lp, &name, &options).unwrap();
    let mut streams = Vec::new();
    let error = loop {
        match block_on(&lp, UnixStream::connect(&lp, &name)) {
            Ok(stream) => streams.push(stream),
            Err(error) => break error,
        }
        assert!(streams.len() < 100, "the backlog has an end");
    };
    assert!(error.kind() == ErrorKind::WouldBlock && error.to_string().contains("backlog"), "{error}");
    drop((listener, streams));
    finish(lp);
}

#[test]
fn each_side_may_end_its_half() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    block_on(&lp, async {
        a.write_all(b"question").await.unwrap();
        a.shutdown().await.unwrap();
        let mut buf = [0; 16];
        let mut len = 0;
        loop {
            match b.read(&mut buf[len..]).await.unwrap() {
                0 => break,
                more => len += more,
            }
        }
        assert_eq!(&buf[..len], b"question");
        b.write_all(b"answer").await.unwrap();
        let len = a.read(&mut buf).await.unwrap();
        assert_eq!(&buf[..len], b"answer");
        assert_eq!(a.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn callbacks_echo_a_lot_both_ways() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    b.read_start(|stream, event| match event {
        ReadEvent::Data(bytes) => stream.queue_write(bytes).unwrap(),
        ReadEvent::End => stream.shutdown_with(|stream, _| stream.close()).unwrap(),
        ReadEvent::Failed(error) => panic!("{error}"),
    })
    .unwrap();
    let arrived = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&arrived);
    a.read_start(move |stream, event| match event {
        ReadEvent::Data(bytes) => kept.borrow_mut().extend_from_slice(bytes),
        ReadEvent::End => stream.close(),
        ReadEvent::Failed(error) => panic!("{error}"),
    })
    .unwrap();
    let bytes = pattern(3_000_000);
    a.queue_write(&bytes).unwrap();
    a.shutdown_with(|_, result| result.unwrap()).unwrap();
    drop((a, b));
    finish(lp);
    assert!(*arrived.borrow() == bytes);
}

#[test]
fn callbacks_accept_and_an_unreferenced_listener_lets_the_loop_end() {
    let lp = new_loop();
    let name = abstract_name("unref");
    let listener = UnixListener::bind(&lp, &name).unwrap();
    let log = Log::default();
    let noted = log.clone();
    listener
        .on_connection(move |_, stream| {
            let stream = stream.unwrap();
            let noted = noted.clone();
            stream
                .read_start(move |_, event| {
                    if let ReadEvent::Data(bytes) = event {
                        noted.add(String::from_utf8_lossy(bytes));
                    }
                })
                .unwrap();
        })
        .unwrap();
    assert!(listener.has_ref());
    listener.unref();
    run(&lp); // ends at once
    let client = lp.spawn(async move {
        let stream = UnixStream::connect(&phaseloop::current(), &name).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
    });
    listener.ref_();
    run_while(&lp, || log.len() == 0 || !client.is_finished());
    listener.close_with(|_| ());
    drop(listener);
    finish(lp);
    assert_eq!(log.lines(), ["hello"]);
}

#[test]
fn a_silent_pair_does_not_spin() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    a.read_start(|_, _| panic!("nothing comes")).unwrap();
    let turns = turns_in(&lp, ms(20));
    assert!(turns < 20, "{turns} turns");
    a.close();
    b.close();
    drop((a, b));
    finish(lp);
}

#[test]
fn sockets_of_std_come_and_go_and_others_are_refused() {
    let lp = new_loop();
    let (ours, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let stream = UnixStream::from_std(&lp, ours).unwrap();
    peer.write_all(b"x").unwrap();
    block_on(&lp, stream.read(&mut [0; 8])).unwrap();
    drop(stream.into_std().unwrap());
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = UnixStream::from_fd(&lp, tcp.into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("no UnixStream"), "{error}");
    let file = fs::File::open("/dev/null").unwrap();
    let error = UnixListener::from_fd(&lp, file.into()).unwrap_err();
    assert!(error.to_string().contains("no UnixListener"), "{error}");
    finish(lp);
}

static WHO: ContextKey<&'static str> = ContextKey::new();

#[test]
fn callbacks_run_in_the_context_of_their_registration() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let log = Log::default();
    let (read, wrote, shut) = (log.clone(), log.clone(), log.clone());
    WHO.scope(&lp, "reader", || {
        b.read_start(move |stream, event| {
            read.add(format!("read as {:?}", WHO.get(stream.lp()).as_deref()));
            if matches!(event, ReadEvent::End) {
                stream.close();
            }
        })
        .unwrap();
    });
    WHO.scope(&lp, "writer", || {
        a.queue_write_with(b"x", move |stream, _| {
            wrote.add(format!("wrote as {:?}", WHO.get(stream.lp()).as_deref()));
        })
        .unwrap();
    });
    a.shutdown_with(move |stream, _| {
        shut.add(format!("shut as {:?}", WHO.get(stream.lp()).as_deref()));
        stream.close();
    })
    .unwrap();
    drop((a, b));
    finish(lp);
    let lines = log.lines();
    assert_eq!(lines[..2], ["wrote as Some(\"writer\")", "shut as None"]);
    assert!(lines[2..].iter().all(|line| line == "read as Some(\"reader\")") && lines.len() > 2, "{lines:?}");
}

#[test]
fn heavy_traffic_both_ways_at_once_does_not_deadlock() {
    const LEN: usize = 5_000_000;
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let counts: Vec<_> = [&a, &b]
        .map(|stream| {
            let count = Rc::new(RefCell::new(0));
            let counted = Rc::clone(&count);
            stream
                .read_start(move |stream, event| match event {
                    ReadEvent::Data(bytes) => *counted.borrow_mut() += bytes.len(),
                    ReadEvent::End => stream.read_stop(),
                    ReadEvent::Failed(error) => panic!("{error}"),
                })
                .unwrap();
            count
        })
        .into();
    for stream in [&a, &b] {
        for chunk in pattern(LEN).chunks(100_000) {
            stream.queue_write(chunk).unwrap();
        }
        stream.shutdown_with(|_, result| result.unwrap()).unwrap();
    }
    drop((a, b));
    finish(lp);
    assert_eq!(counts.iter().map(|count| *count.borrow()).collect::<Vec<_>>(), [LEN, LEN]);
}

#[test]
fn an_empty_write_completes_and_sends_nothing() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    let log = Log::default();
    for name in ["empty", "not"] {
        let noted = log.clone();
        let bytes = if name == "empty" { &b""[..] } else { b"x" };
        a.queue_write_with(bytes, move |_, result| {
            result.unwrap();
            noted.add(name);
        })
        .unwrap();
    }
    run(&lp);
    assert_eq!(log.lines(), ["empty", "not"]);
    assert_eq!(block_on(&lp, b.read(&mut [0; 8])).unwrap(), 1, "an empty write is no end of the stream");
}

#[test]
fn a_peer_that_is_gone_is_an_error_and_no_signal() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    b.close();
    let broken = a.try_write(b"x").unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::BrokenPipe);
    let vectored =
        block_on(&lp, std::future::poll_fn(|cx| a.poll_write_vectored(cx, &[std::io::IoSlice::new(b"x")])));
    assert_eq!(vectored.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(block_on(&lp, a.read(&mut [0; 8])).unwrap(), 0);
}
