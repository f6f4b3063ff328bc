//! Copying between two streams both ways: ends, counts, bounds, errors.

use std::io::ErrorKind;

use phaseloop::net::{ByteStream, StreamFamily, TcpStream, UnixStream, copy_bidirectional};
use phaseloop::{EventLoop, Limits};

mod loopback;
use loopback::{block_on, loop_with, ms, new_loop, pair, pattern, turns_in, with_peer};

async fn read_to_end<K: StreamFamily>(stream: &ByteStream<K>) -> std::io::Result<Vec<u8>> {
    let (mut bytes, mut buf) = (Vec::new(), [0; 10_000]);
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(bytes),
            len => bytes.extend_from_slice(&buf[..len]),
        }
    }
}

/// A client, a proxy between it and a server, and the server: over TCP on one side and a Unix socket on the other.
fn chain(lp: &EventLoop) -> (TcpStream, (TcpStream, UnixStream), UnixStream) {
    let (client, inside) = pair(lp);
    let (outside, server) = UnixStream::pair(lp).expect("a pair can be made");
    (client, (inside, outside), server)
}

#[test]
fn both_ways_are_copied_and_counted_and_each_end_is_passed_on() {
    let lp = new_loop();
    let (client, (inside, outside), server) = chain(&lp);
    let proxy = lp.spawn(async move { copy_bidirectional(&inside, &outside).await });
    let (question, answer) = (pattern(700_000), pattern(300_001));
    block_on(&lp, async {
        let ask = async {
            client.write_all(&question).await.unwrap();
            client.shutdown().await.unwrap(); // the other way goes on
            read_to_end(&client).await.unwrap()
        };
        let serve = async {
            let heard = read_to_end(&server).await.unwrap();
            server.write_all(&answer).await.unwrap();
            server.shutdown().await.unwrap();
            heard
        };
        let (got, heard) = futures::join!(ask, serve);
        assert!(got == answer && heard == question);
    });
    let copied = block_on(&lp, proxy).unwrap().unwrap();
    assert_eq!((copied.forth, copied.back), (700_000, 300_001));
}

#[test]
fn a_receiver_that_never_reads_slows_its_sender_down() {
    let read_buffer_len = 4096.try_into().unwrap();
    let lp = loop_with(Limits { read_buffer_len, write_queue_len_max: 0, ..Limits::default() });
    let (client, (inside, outside), _server) = chain(&lp);
    let proxy = lp.spawn(async move { copy_bidirectional(&inside, &outside).await.map_err(|f| f.copied) });
    // It takes what fits into the system's buffers, and then no more, however often it is asked.
    let mut taken = 0;
    let mut quiet = 0;
    while quiet < 5 {
        match client.try_write(&[0; 4096]) {
            Ok(len) => (taken, quiet) = (taken + len, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                quiet += 1;
            }
        }
        turns_in(&lp, ms(1));
        assert!(taken < 64_000_000, "nobody reads");
    }
    assert!(!proxy.is_finished());
    proxy.abort();
}

#[test]
fn an_error_ends_it_with_what_was_copied() {
    let lp = new_loop();
    let (inside, peer) = with_peer(&lp);
    let (outside, server) = UnixStream::pair(&lp).unwrap();
    let proxy = lp.spawn(async move { copy_bidirectional(&inside, &outside).await });
    std::io::Write::write_all(&mut &peer, b"seven b").unwrap();
    block_on(&lp, server.read_exact(&mut [0; 7])).unwrap();
    loopback::reset(peer);
    let failed = block_on(&lp, proxy).unwrap().unwrap_err();
    assert_eq!((failed.copied.forth, failed.copied.back), (7, 0));
    assert_eq!(failed.error.kind(), ErrorKind::ConnectionReset);
    assert!(failed.to_string().contains("7 bytes forth"), "{failed}");
    assert_eq!(std::io::Error::from(failed).kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_way_that_always_finds_data_does_not_hold_up_the_other() {
    let limits = Limits {
        read_buffer_len: 1.try_into().unwrap(),
        task_io_budget: 16.try_into().unwrap(),
        ..Limits::default()
    };
    let lp = loop_with(limits);
    let (client, (inside, outside), server) = chain(&lp);
    client.try_write(&[0; 2000]).unwrap();
    server.try_write(&[0; 2000]).unwrap();
    let proxy = lp.spawn(async move { copy_bidirectional(&inside, &outside).await.map_err(|f| f.copied) });
    let (mut forth, mut back, mut buf) = (0, 0, [0; 4000]);
    while forth < 1000 && back < 1000 {
        lp.run(phaseloop::RunMode::NoWait).unwrap();
        forth += server.try_read(&mut buf).unwrap_or(0);
        back += client.try_read(&mut buf).unwrap_or(0);
    }
    assert!(forth.abs_diff(back) < 200, "{forth} bytes went forth while {back} came back");
    proxy.abort();
}
