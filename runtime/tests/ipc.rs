//! Channels in our own framing: between two ends of one loop, and to this program run as a child.
//!
//! In a test binary of its own, and one test at a time, since it counts the descriptors of the process.

use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use phaseloop::ipc::{
    self, Attachment, AttachmentKind, Channel, ChannelLimits, Framing, Message, ReceiveError, SendError,
};
use phaseloop::net::{TcpListener, TcpStream, UnixStream};
use phaseloop::process::{Child, Command, Stdio};
use phaseloop::{ContextKey, LoopHandle, Outcome, RunMode};

mod loopback;
use loopback::{block_on, finish, localhost, ms, new_loop, run, turns_in, wait_once};

/// By which this program, run again as a child, learns what it is to do.
const ROLE: &str = "PHASELOOP_TEST_ROLE";

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs is mounted").count()
}

/// A channel, and the bare socket of its peer.
fn channel_and_socket(lp: &LoopHandle, limits: ChannelLimits) -> (Channel, StdStream) {
    let (ours, theirs) = StdStream::pair().expect("loopback works");
    let stream = UnixStream::from_std(lp, ours).expect("loopback works");
    (Channel::new(stream, Framing::OWN, limits), theirs)
}

/// This program, as a child with a channel.
fn child(lp: &LoopHandle, role: &str) -> (Child, Channel) {
    let me = std::env::current_exe().expect("it runs");
    let command = Command::new(me).args(["acts_as_a_child", "--exact", "--nocapture"]).env(ROLE, role);
    let command = command.stdin(Stdio::ignore()).stdout(Stdio::ignore()).kill_on_drop();
    command.spawn_with_channel(lp, Framing::OWN, ChannelLimits::default()).expect("it runs once more")
}

async fn next(channel: &Channel) -> Message {
    channel.recv().await.expect("it is connected").expect("it is a message")
}

// --- within a process -------------------------------------------------------------------------------------------------

#[test]
fn each_message_is_delivered_in_a_tick_of_its_own() {
    let (_alone, lp, log) = (alone(), new_loop(), Rc::new(RefCell::new(Vec::new())));
    let (a, b) = Channel::pair(&lp).unwrap();
    let (seen, ended) = (Rc::clone(&log), Rc::clone(&log));
    b.on_message(move |b, message| {
        let text = String::from_utf8(message.unwrap().into_bytes()).unwrap();
        let log = Rc::clone(&seen);
        b.lp().next_tick(move |_| log.borrow_mut().push(format!("tick of {text}")));
        seen.borrow_mut().push("message".to_owned());
    });
    b.on_disconnect(move |_| ended.borrow_mut().push("disconnected".to_owned()));
    a.send("1").unwrap();
    a.send("2").unwrap();
    a.disconnect();
    drop((a, b));
    finish(lp);
    assert_eq!(*log.borrow(), ["message", "message", "tick of 1", "tick of 2", "disconnected"]);
}

#[test]
fn a_channel_holds_the_loop_only_while_somebody_listens() {
    let (_alone, lp) = (alone(), new_loop());
    let (a, b) = Channel::pair(&lp).unwrap();
    assert_eq!(lp.run(RunMode::Default).unwrap(), Outcome::Finished, "nobody listens");
    a.on_message(|_, _| {});
    assert!(lp.is_alive());
    a.unref();
    assert!(!lp.is_alive());
    a.ref_();
    assert!(lp.is_alive());
    a.close();
    drop(b);
    finish(lp);
}

#[test]
fn what_was_sent_before_the_drop_arrives() {
    let (_alone, lp) = (alone(), new_loop());
    let (a, b) = Channel::pair(&lp).unwrap();
    let long = vec![7; 3_000_000];
    a.send("short").unwrap();
    a.send(long.clone()).unwrap();
    drop(a);
    block_on(&lp, async {
        assert_eq!(next(&b).await.bytes(), b"short");
        assert!(next(&b).await.bytes() == long);
        assert!(b.recv().await.is_none());
    });
}

#[test]
fn a_callback_that_comes_late_gets_what_came_before_and_the_end() {
    let (_alone, lp, log) = (alone(), new_loop(), Rc::new(RefCell::new(Vec::new())));
    let (a, b) = Channel::pair(&lp).unwrap();
    a.send("early").unwrap();
    drop(a);
    block_on(&lp, async {
        while b.is_connected() {
            phaseloop::yield_now().await
        }
    });
    let (seen, ended) = (Rc::clone(&log), Rc::clone(&log));
    b.on_message(move |_, message| seen.borrow_mut().extend(message.unwrap().bytes().first().copied()));
    b.on_disconnect(move |_| ended.borrow_mut().push(b'.'));
    run(&lp);
    assert_eq!(*log.borrow(), [b'e', b'.']);
}

#[test]
fn a_receiver_that_takes_nothing_stops_the_sender() {
    let (_alone, lp) = (alone(), new_loop());
    let (a, b) = Channel::pair(&lp).unwrap();
    let message = vec![1; 100_000];
    let refused = loop {
        if let Err(refused) = a.send(message.clone()) {
            break refused;
        }
        lp.run(RunMode::NoWait).unwrap();
    };
    let SendError::Full { queued, limit, message: back, counts_messages: false } = &refused else {
        panic!("{refused}")
    };
    assert!(queued + 100_000 > *limit && queued <= limit && back.bytes().len() == 100_000);
    // Once it takes them, the one that waits for room goes on.
    block_on(&lp, async {
        let waits = a.clone();
        let sent = lp.spawn(async move { waits.send_when_room("the last").await });
        while next(&b).await.bytes() != b"the last" {}
        sent.await.unwrap().unwrap();
    });
    assert_eq!(a.send_queue_len(), 0);
}

#[test]
fn a_send_callback_comes_when_the_system_has_it_or_never_will() {
    let (_alone, lp, log) = (alone(), new_loop(), Rc::new(RefCell::new(Vec::new())));
    let (a, b) = Channel::pair(&lp).unwrap();
    for (name, len) in [("short", 10), ("long", 5_000_000)] {
        let log = Rc::clone(&log);
        let sent = move |_: &Channel, sent: std::io::Result<()>| log.borrow_mut().push((name, sent.is_ok()));
        a.send_with(vec![0; len], sent).unwrap();
    }
    assert!(log.borrow().is_empty(), "not inside the call");
    b.close();
    a.close();
    run(&lp);
    assert_eq!(*log.borrow(), [("short", true), ("long", false)]);
    assert!(matches!(a.send("late"), Err(SendError::Disconnected(message)) if message.bytes() == b"late"));
}

#[test]
fn bad_bytes_are_reported_each_in_its_way() {
    let (_alone, lp) = (alone(), new_loop());
    let limits = ChannelLimits { message_len_max: 5, ..ChannelLimits::default() };
    let (channel, mut peer) = channel_and_socket(&lp, limits);
    peer.write_all(&[6, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    peer.write_all(b"123456").unwrap();
    peer.write_all(&[2, 0, 0, 0, 0, 1, 0, 0, b'n', b'o']).unwrap();
    peer.write_all(&[2, 0, 0, 0, 0, 0, 0, 0, b'o', b'k']).unwrap();
    peer.write_all(&[0, 0, 0, 0, 99, 0, 0, 0]).unwrap();
    block_on(&lp, async {
        let too_long = channel.recv().await.unwrap();
        assert!(matches!(too_long, Err(ReceiveError::TooLong { len: 6, limit: 5 })), "{too_long:?}");
        assert!(matches!(channel.recv().await, Some(Err(ReceiveError::AttachmentLost))));
        assert_eq!(next(&channel).await.bytes(), b"ok");
        assert!(matches!(channel.recv().await, Some(Err(ReceiveError::Garbled { .. }))));
        assert!(channel.recv().await.is_none());
    });
    let mut rest = Vec::new();
    assert_eq!(peer.read_to_end(&mut rest).unwrap(), 0, "the channel is closed");
    let (channel, mut peer) = channel_and_socket(&lp, ChannelLimits::default());
    peer.write_all(&[9, 0, 0, 0, 0, 0, 0, 0, b'h', b'a', b'l', b'f']).unwrap();
    drop(peer);
    block_on(&lp, async {
        assert!(matches!(channel.recv().await, Some(Err(ReceiveError::Truncated { len: 12 }))));
        assert!(channel.recv().await.is_none());
    });
}

#[test]
fn descriptors_are_closed_when_nobody_takes_them() {
    let (_alone, lp) = (alone(), new_loop());
    let before = open_descriptors();
    let (a, b) = Channel::pair(&lp).unwrap();
    let with_pair = open_descriptors();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    block_on(&lp, async {
        for _ in 0..50 {
            a.send(Message::from("x").attach(Attachment::listener(&listener).unwrap())).unwrap();
            a.send(Message::from("internal").attach(Attachment::listener(&listener).unwrap()).internal())
                .unwrap();
        }
        for _ in 0..50 {
            drop(next(&b).await);
        }
        a.send("behind").unwrap();
        assert_eq!(next(&b).await.bytes(), b"behind");
    });
    assert_eq!(open_descriptors(), with_pair + 1, "the listener");
    // Not asked for by any head: closed as soon as the message around it is complete.
    let (channel, peer) = channel_and_socket(&lp, ChannelLimits::default());
    let peer = UnixStream::from_std(&lp, peer).unwrap();
    let with_peer = open_descriptors();
    block_on(&lp, async {
        peer.write_with_descriptors(&[0; 8], &[listener.as_fd()]).await.unwrap();
        assert_eq!(next(&channel).await.bytes(), b"");
        assert_eq!(open_descriptors(), with_peer);
        // And one whose message never comes.
        peer.write_with_descriptors(&[1, 0], &[listener.as_fd()]).await.unwrap();
        peer.close();
        assert!(matches!(channel.recv().await, Some(Err(ReceiveError::Truncated { len: 2 }))));
    });
    drop((a, b, channel, peer, listener));
    run(&lp);
    assert_eq!(open_descriptors(), before);
}

#[test]
fn descriptors_that_wait_are_bounded() {
    let (_alone, lp) = (alone(), new_loop());
    let (a, b) = Channel::pair(&lp).unwrap();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    wait_once(&lp);
    let before = open_descriptors();
    for _ in 0..200 {
        a.send(Message::from("x").attach(Attachment::listener(&listener).unwrap())).unwrap();
        lp.run(RunMode::NoWait).unwrap();
    }
    turns_in(&lp, ms(1));
    let held = open_descriptors() - before;
    assert!(held <= 66 + a.send_queue_len(), "{held} descriptors are held for a task that takes none");
    block_on(&lp, async {
        for _ in 0..200 {
            assert!(next(&b).await.take_attachment().is_some());
        }
    });
    assert_eq!(open_descriptors(), before);
    // Within one message, whose bytes come one by one with more than it has room for.
    let (channel, peer) = channel_and_socket(&lp, ChannelLimits::default());
    let peer = UnixStream::from_std(&lp, peer).unwrap();
    let before = open_descriptors();
    block_on(&lp, async {
        peer.write_all(&[200, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
        for _ in 0..100 {
            if peer.write_with_descriptors(b"x", &[listener.as_fd()]).await.is_err() {
                break;
            }
            phaseloop::yield_now().await;
        }
        let error = channel.recv().await.unwrap().unwrap_err();
        assert!(
            matches!(&error, ReceiveError::Garbled { found } if found.contains("descriptors")),
            "{error}"
        );
        assert!(channel.recv().await.is_none());
    });
    assert_eq!(open_descriptors(), before - 1, "those that came, and the channel's socket");
}

static WHO: ContextKey<u8> = ContextKey::new();

#[test]
fn callbacks_have_the_context_of_their_registration() {
    let (_alone, lp, log) = (alone(), new_loop(), Rc::new(RefCell::new(Vec::new())));
    let (a, b) = Channel::pair(&lp).unwrap();
    WHO.scope(&lp, 7, || {
        let (sent, ended) = (Rc::clone(&log), Rc::clone(&log));
        a.send_with("x", move |a, _| sent.borrow_mut().push(WHO.get(a.lp()).as_deref().copied())).unwrap();
        b.on_disconnect(move |lp| ended.borrow_mut().push(WHO.get(lp).as_deref().copied()));
    });
    a.disconnect();
    run(&lp);
    assert_eq!(*log.borrow(), [Some(7), Some(7)]);
}

#[test]
fn internal_messages_go_to_the_hook_with_what_is_attached() {
    let (_alone, lp, log) = (alone(), new_loop(), Rc::new(RefCell::new(Vec::new())));
    let (a, b) = Channel::pair(&lp).unwrap();
    let seen = Rc::clone(&log);
    b.on_internal(move |_, mut message| {
        let kind = message.take_attachment().map(|attachment| attachment.kind());
        seen.borrow_mut().push((message.into_bytes(), kind));
    });
    let (socket, _other) = StdStream::pair().unwrap();
    let attachment = Attachment::new(AttachmentKind::Native, OwnedFd::from(socket));
    a.send(Message::from("hidden").internal().attach(attachment)).unwrap();
    a.send("plain").unwrap();
    block_on(&lp, async { assert_eq!(next(&b).await.bytes(), b"plain") });
    assert_eq!(*log.borrow(), [(b"hidden".to_vec(), Some(AttachmentKind::Native))]);
}

// --- between processes ------------------------------------------------------------------------------------------------

#[test]
fn a_child_echoes_small_and_long_messages_and_ends_with_the_channel() {
    let (_alone, lp) = (alone(), new_loop());
    let (child, channel) = child(&lp, "echo");
    let sender = channel.clone();
    lp.spawn(async move {
        for number in 0..20_000_u32 {
            sender.send_when_room(number.to_le_bytes().to_vec()).await.unwrap();
        }
        sender.send_when_room(vec![5; 10 << 20]).await.unwrap();
    });
    block_on(&lp, async {
        for number in 0..20_000_u32 {
            assert_eq!(next(&channel).await.bytes(), number.to_le_bytes());
        }
        assert!(next(&channel).await.bytes() == vec![5; 10 << 20]);
        channel.disconnect();
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn a_listener_goes_to_a_child_and_a_connection_comes_back() {
    let (_alone, lp) = (alone(), new_loop());
    let (_child, channel) = child(&lp, "accept");
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    block_on(&lp, async {
        channel.send(Message::from("listen").attach(Attachment::listener(&listener).unwrap())).unwrap();
        drop(listener);
        let client = TcpStream::connect(&lp, address).await.unwrap();
        let mut message = next(&channel).await;
        assert_eq!(message.bytes(), b"accepted");
        let stream = message.take_attachment().unwrap().into_tcp_stream(&lp).unwrap();
        client.write_all(b"through two processes").await.unwrap();
        let mut buf = [0; 21];
        stream.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"through two processes");
    });
}

/// No test of its own: what the tests above run as a child.
#[test]
fn acts_as_a_child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let lp = new_loop();
    let channel = ipc::from_env(&lp, Framing::OWN, ChannelLimits::default()).unwrap().expect("it was given");
    assert!(ipc::from_env(&lp, Framing::OWN, ChannelLimits::default()).is_err(), "it is taken once");
    match role.as_str() {
        "echo" => block_on(&lp, async {
            while let Some(message) = channel.recv().await {
                channel.send_when_room(message.unwrap()).await.unwrap();
            }
        }),
        "accept" => block_on(&lp, async {
            let listener = next(&channel).await.take_attachment().unwrap().into_tcp_listener(&lp).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let attachment = Attachment::stream(&stream).unwrap();
            channel.send_when_room(Message::from("accepted").attach(attachment)).await.unwrap();
            channel.flushed().await;
        }),
        other => panic!("no role is called {other}"),
    }
}
