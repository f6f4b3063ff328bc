//! tokio's stream traits on the streams of a loop: codecs and copies of tokio's run on a loop that has no tokio runtime.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::io::{self, IoSlice};
use std::pin::pin;

use futures::{SinkExt, StreamExt};
use phaseloop::net::{TcpListener, TcpStream, UnixStream, pipe};
use phaseloop::{EventLoop, LoopBound, LoopHandle};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, FramedRead, FramedWrite, LengthDelimitedCodec, LinesCodec};

async fn tcp_pair(lp: &LoopHandle) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let (client, accepted) =
        futures::join!(TcpStream::connect(lp, listener.local_addr().unwrap()), listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

#[test]
fn frames_of_a_tokio_codec_cross_a_tcp_stream_in_both_directions() {
    let lp = EventLoop::new().unwrap();
    let big = vec![7; 300_000]; // more than a socket takes at once
    let answers = lp.block_on(async {
        let (client, server) = tcp_pair(&lp).await;
        lp.spawn(async move {
            let mut server = Framed::new(server, LengthDelimitedCodec::new());
            while let Some(frame) = server.next().await {
                server.send(frame.unwrap().freeze()).await.unwrap();
            }
        })
        .detach();
        let mut client = Framed::new(client, LengthDelimitedCodec::new());
        let mut answers = Vec::new();
        for frame in [b"".to_vec(), b"a frame".to_vec(), big.clone()] {
            client.send(Bytes::from(frame)).await.unwrap();
            answers.push(client.next().await.unwrap().unwrap().to_vec());
        }
        answers
    });
    assert_eq!(answers.unwrap(), [Vec::new(), b"a frame".to_vec(), big]);
    assert!(tokio_is_absent());
}

/// No tokio runtime is entered on this thread: a future that needs one would panic.
fn tokio_is_absent() -> bool {
    tokio::runtime::Handle::try_current().is_err()
}

#[test]
fn lines_of_a_tokio_codec_cross_owned_halves_of_a_unix_stream() {
    let lp = EventLoop::new().unwrap();
    let lines: Vec<String> = lp
        .block_on(async {
            let (a, b) = UnixStream::pair(&lp).unwrap();
            let (_reads, writes) = a.into_split();
            let (reads, _writes) = b.into_split();
            let mut sink = FramedWrite::new(writes, LinesCodec::new());
            for line in ["first", "", "third"] {
                sink.send(line).await.unwrap();
            }
            SinkExt::<&str>::close(&mut sink).await.unwrap(); // the end of the stream
            FramedRead::new(reads, LinesCodec::new()).map(Result::unwrap).collect().await
        })
        .unwrap();
    assert_eq!(lines, ["first", "", "third"]);
}

#[test]
fn tokios_copy_joins_a_pipe_and_a_socket() {
    let lp = EventLoop::new().unwrap();
    let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    let sent = bytes.clone();
    let (copied, received) = lp
        .block_on(async {
            let (mut reader, mut writer) = pipe::pair(&lp).unwrap();
            let (mut near, mut far) = UnixStream::pair(&lp).unwrap();
            lp.spawn(async move {
                writer.write_all(&sent).await.unwrap();
                AsyncWriteExt::shutdown(&mut writer).await.unwrap();
            })
            .detach();
            let copy = async {
                let copied = tokio::io::copy(&mut reader, &mut near).await.unwrap();
                AsyncWriteExt::shutdown(&mut near).await.unwrap();
                copied
            };
            let mut received = Vec::new();
            let (copied, read) = futures::join!(copy, AsyncReadExt::read_to_end(&mut far, &mut received));
            read.unwrap();
            (copied, received)
        })
        .unwrap();
    assert_eq!(copied, 200_000);
    assert!(received == bytes, "the bytes arrive as they were sent");
}

#[test]
fn a_bidirectional_copy_of_tokios_ends_when_both_ends_have() {
    let lp = EventLoop::new().unwrap();
    let counts = lp
        .block_on(async {
            let (client, mut near) = UnixStream::pair(&lp).unwrap();
            let (mut far, server) = tcp_pair(&lp).await;
            let talk = async {
                client.write_all(b"question").await.unwrap();
                client.shutdown().await.unwrap();
                let mut buf = Vec::new();
                AsyncReadExt::read_to_end(&mut &server, &mut buf).await.unwrap();
                assert_eq!(buf, b"question");
                server.write_all(b"ans").await.unwrap();
                server.shutdown().await.unwrap();
            };
            let (counts, ()) = futures::join!(tokio::io::copy_bidirectional(&mut near, &mut far), talk);
            counts.unwrap()
        })
        .unwrap();
    assert_eq!(counts, (8, 3));
}

#[test]
fn several_buffers_go_in_one_write() {
    let lp = EventLoop::new().unwrap();
    lp.block_on(async {
        let (mut a, mut b) = UnixStream::pair(&lp).unwrap();
        assert!(AsyncWrite::is_write_vectored(&a));
        let bufs = [IoSlice::new(b"one "), IoSlice::new(b"write")];
        assert_eq!(AsyncWriteExt::write_vectored(&mut a, &bufs).await.unwrap(), 9);
        let mut buf = [0; 9];
        AsyncReadExt::read_exact(&mut b, &mut buf).await.unwrap();
        assert_eq!(&buf, b"one write");
    })
    .unwrap();
}

#[test]
fn a_stream_that_is_bound_to_its_loop_can_be_sent_and_is_a_tokio_stream() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let lp = EventLoop::new().unwrap();
    let (a, mut b) = UnixStream::pair(&lp).unwrap();
    let mut bound = sendable(LoopBound::new(&lp, a));
    assert!(AsyncWrite::is_write_vectored(&bound));
    let answer = lp.block_on(async {
        AsyncWriteExt::write_all(&mut bound, b"ping").await?;
        AsyncWriteExt::flush(&mut bound).await?;
        let asked = AsyncReadExt::read_u32(&mut b).await?;
        b.write_u32(asked).await?;
        let mut answer = [0; 4];
        AsyncReadExt::read_exact(&mut bound, &mut answer).await?;
        AsyncWriteExt::shutdown(&mut bound).await?;
        assert_eq!(AsyncReadExt::read(&mut b, &mut [0; 8]).await?, 0);
        Ok::<_, io::Error>(answer)
    });
    assert_eq!(&answer.unwrap().unwrap(), b"ping");
}

#[test]
fn a_shutdown_of_a_stream_that_was_shut_down_is_none() {
    let lp = EventLoop::new().unwrap();
    lp.block_on(async {
        let (mut a, _b) = UnixStream::pair(&lp).unwrap();
        AsyncWriteExt::shutdown(&mut a).await.unwrap();
        AsyncWriteExt::shutdown(&mut a).await.unwrap();
        let error = AsyncWriteExt::write_all(&mut a, b"late").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    })
    .unwrap();
}

#[test]
fn a_read_that_waits_leaves_the_buffer_as_it_was() {
    let lp = EventLoop::new().unwrap();
    lp.block_on(async {
        let (a, mut b) = UnixStream::pair(&lp).unwrap();
        let mut bytes = bytes_with(b"kept");
        {
            let mut waits = pin!(AsyncReadExt::read_buf(&mut b, &mut bytes));
            assert!(futures::poll!(waits.as_mut()).is_pending());
        }
        assert_eq!(bytes, b"kept");
        a.write_all(b" and more").await.unwrap();
        assert_eq!(AsyncReadExt::read_buf(&mut b, &mut bytes).await.unwrap(), 9);
        assert_eq!(bytes, b"kept and more");
    })
    .unwrap();
}

/// With room behind what it holds.
fn bytes_with(start: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(start);
    bytes
}
