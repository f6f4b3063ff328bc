//! What waits for the receipt of an attachment, in Node's framing: the peer here is a bare socket that says what Node would.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::rc::Rc;

use phaseloop::ipc::{Attachment, AttachmentKind, Channel, ChannelLimits, Framing, Message, SendError};
use phaseloop::net::UnixStream;
use phaseloop::{Limits, LoopHandle};

mod loopback;
use loopback::{block_on, finish, loop_with, ms, new_loop, run, turns_in};

const ACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n";

fn channel_and_peer(lp: &LoopHandle, limits: ChannelLimits) -> (Channel, StdStream) {
    let (ours, theirs) = StdStream::pair().expect("there are descriptors");
    let stream = UnixStream::from_std(lp, ours).expect("it can be registered");
    (Channel::new(stream, Framing::NODE, limits), theirs)
}

fn with_socket(text: &str) -> Message {
    let (socket, _) = StdStream::pair().expect("there are descriptors");
    Message::from(text).attach(Attachment::new(AttachmentKind::Native, OwnedFd::from(socket)))
}

#[test]
fn a_receipt_behind_more_than_may_wait_is_read_all_the_same() {
    let lp = new_loop();
    let limits = ChannelLimits { receive_queue_len_max: 10_000, ..ChannelLimits::default() };
    let (channel, mut peer) = channel_and_peer(&lp, limits);
    let before = 1000; // messages, each of which counts 65
    peer.write_all(&b"1\n".repeat(before)).unwrap();
    turns_in(&lp, ms(1)); // nothing more is read now
    channel.send(with_socket("2")).unwrap();
    peer.write_all(ACK).unwrap();
    block_on(&lp, channel.flushed()); // who waits here takes no message meanwhile
    block_on(&lp, async {
        for _ in 0..before {
            assert_eq!(channel.recv().await.unwrap().unwrap().bytes(), b"1");
        }
    });
    // Without a receipt to wait for the bound holds again.
    let writer = std::thread::spawn(move || peer.write_all(&b"3\n".repeat(2_000_000)).is_err());
    turns_in(&lp, ms(50));
    drop(channel);
    run(&lp);
    assert!(writer.join().unwrap(), "the peer was not read to its end");
}

#[test]
fn a_message_that_waited_and_can_not_be_sent_is_told_to_its_callback() {
    let lp = new_loop();
    let (channel, mut peer) = channel_and_peer(&lp, ChannelLimits::default());
    let log = Rc::new(RefCell::new(Vec::new()));
    channel.send(with_socket("1")).unwrap();
    for (name, text) in [("good", "2"), ("bad", "{"), ("last", "3")] {
        let log = Rc::clone(&log);
        let on_sent =
            move |_: &Channel, sent: std::io::Result<()>| log.borrow_mut().push((name, sent.is_ok()));
        channel.send_with(text, on_sent).unwrap();
    }
    peer.write_all(ACK).unwrap();
    block_on(&lp, channel.flushed());
    turns_in(&lp, ms(1));
    // What failed is told when it failed, what was written when it is with the system: all of them in one turn.
    let mut log = log.take();
    log.sort_unstable();
    assert_eq!(log, [("bad", false), ("good", true), ("last", true)]);
    let lines = BufReader::new(&peer).lines().map(Result::unwrap);
    let expected = ["{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":1}", "2", "3"];
    assert!(lines.take(3).eq(expected));
    channel.close();
    finish(lp);
}

#[test]
fn empty_messages_that_wait_count_too() {
    let lp = new_loop();
    let limits = ChannelLimits { send_queue_len_max: 10_000, ..ChannelLimits::default() };
    let (channel, _peer) = channel_and_peer(&lp, limits);
    channel.send(with_socket("1")).unwrap();
    let refused = (0..1_000_000).find_map(|_| channel.send("").err());
    assert!(matches!(refused, Some(SendError::Full { limit: 10_000, .. })), "{refused:?}");
}

/// A channel that sent an attachment in more than the peer takes unread, and the peer.
fn blocked_channel(lp: &LoopHandle) -> (Channel, StdStream) {
    let (channel, peer) = channel_and_peer(lp, ChannelLimits::default());
    channel.send(with_socket(&format!("\"{}\"", "x".repeat(4 << 20)))).expect("the first is always taken");
    (channel, peer)
}

/// Sends numbers until one is refused: how many were taken, and why no more.
fn fill(channel: &Channel) -> (usize, SendError) {
    let refused = (0..1000).find_map(|n| channel.send(n.to_string().as_str()).err().map(|error| (n, error)));
    refused.expect("there is a limit")
}

#[test]
fn short_messages_that_waited_for_a_receipt_all_arrive() {
    let lp = loop_with(Limits { queued_writes_max: 8, ..Limits::default() });
    let (channel, mut peer) = blocked_channel(&lp);
    let (taken, refused) = fill(&channel);
    assert!(
        matches!(refused, SendError::Full { queued: 4, limit: 4, counts_messages: true, .. }),
        "{refused}"
    );
    peer.write_all(ACK).unwrap(); // before it has read, so that all that waited is queued
    turns_in(&lp, ms(1));
    let reader = std::thread::spawn(move || {
        BufReader::new(peer).lines().map(Result::unwrap).skip(1).collect::<Vec<_>>()
    });
    block_on(&lp, channel.flushed());
    channel.close();
    let expected: Vec<_> = (0..taken).map(|n| n.to_string()).collect();
    assert_eq!(reader.join().unwrap(), expected);
    finish(lp);
}

#[test]
fn short_messages_leave_room_for_answers() {
    let lp = loop_with(Limits { queued_writes_max: 8, ..Limits::default() });
    let (channel, mut peer) = blocked_channel(&lp);
    peer.write_all(ACK).unwrap();
    turns_in(&lp, ms(1));
    fill(&channel);
    peer.write_all(b"{\"cmd\":\"NODE_SOCKET_GET_COUNT\",\"key\":\"a\"}\n").unwrap();
    turns_in(&lp, ms(1));
    assert!(channel.is_connected(), "the peer asked once and was lost");
    let reader = std::thread::spawn(move || BufReader::new(peer).lines().map(Result::unwrap).last());
    block_on(&lp, channel.flushed());
    channel.close();
    assert!(reader.join().unwrap().is_some_and(|line| line.contains("NODE_SOCKET_COUNT")));
    finish(lp);
}
