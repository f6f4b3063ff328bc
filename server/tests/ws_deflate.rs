//! Compressed messages over a WebSocket, by a peer that packs what it wants.

#![cfg(feature = "ws-deflate")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use std::net::SocketAddr;

use peer::{Raw, on_loop, start};
use phaseloop::LoopHandle;
use phaseloop_server::client::Client;
use phaseloop_server::http::{Body, Handler, Request, Server};
use phaseloop_server::ws::{self, Acceptor, Connector, DeflateContext, DeflateOptions, WsOptions};

/// A message that this packs to, by deflate's best, as one final block: `len` zeros are `len / 1030` bytes.
fn zeros(len: usize) -> Vec<u8> {
    // Fixed codes: the literal 0, then copies of 258 bytes from one byte before. RFC 1951, section 3.2.6.
    let mut bits = Bits::default();
    bits.push(0b011, 3); // final, fixed
    bits.push_code(0x30, 8); // literal 0
    for _ in 0..len / 258 {
        bits.push_code(0b1100_0101, 8); // length 258
        bits.push_code(0, 5); // distance 1
    }
    bits.push_code(0, 7); // end of the block
    bits.bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    filled: u32,
}

impl Bits {
    fn push(&mut self, bits: u32, count: u32) {
        for at in 0..count {
            if self.filled.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().unwrap();
            *last |= ((bits >> at & 1) as u8) << (self.filled % 8);
            self.filled += 1;
        }
    }

    /// Codes stand with their first bit first.
    fn push_code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}

fn echo(deflate: DeflateOptions) -> Server<impl Handler> {
    let mut options = WsOptions::default();
    options.message_len_max = 100_000;
    let acceptor = Acceptor::new(options).deflate(deflate);
    Server::new(move |request: Request<Body>| {
        let response = acceptor.answer(request, async |mut socket| {
            while let Some(message) = socket.next().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        });
        async { response }
    })
}

/// A client that speaks bytes, behind a handshake that agrees to compress.
async fn raw(lp: &LoopHandle, address: SocketAddr) -> Raw {
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let mut raw = Raw::ask(lp, address, request).await;
    let reply = raw.reply().await;
    assert!(reply.contains("sec-websocket-extensions: permessage-deflate"), "{reply}");
    raw
}

/// A masked frame, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = match payload.len() {
        len @ ..126 => vec![0x80 | len as u8],
        len @ ..65536 => [&[0x80 | 126][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[0x80 | 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    [&[first][..], &len, &[0; 4], payload].concat()
}

/// What a client gets that sends `bytes`, up to the end.
fn after(bytes: Vec<u8>) -> Vec<u8> {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, echo(DeflateOptions::default()));
        let mut raw = raw(&lp, address).await;
        raw.send(bytes).await;
        raw.bytes_until_closed().await
    })
}

fn is_close(bytes: &[u8], code: u16) -> bool {
    bytes.len() >= 4 && bytes[0] == 0x88 && bytes[2..4] == code.to_be_bytes()
}

#[test]
fn bombs_end_with_1009_whole_and_in_pieces() {
    let bomb = zeros(50_000_000);
    assert!(bomb.len() < 400_000, "{}", bomb.len());
    let whole = after(frame(0xc2, &bomb));
    assert!(is_close(&whole, 1009), "{:x?}", &whole[..whole.len().min(8)]);
    let mut pieces = frame(0x42, &bomb[..10]);
    for piece in bomb[10..].chunks(100) {
        pieces.extend(frame(0x00, piece));
    }
    assert!(is_close(&after(pieces), 1009));
}

#[test]
fn a_message_at_the_limit_passes() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, echo(DeflateOptions::default()));
        let mut raw = raw(&lp, address).await;
        raw.send(frame(0xc2, &zeros(258 * 380))).await; // 98,041 bytes
        raw.send(frame(0x89, b"end")).await;
        raw.bytes_until(b"\x8a\x03end").await;
    });
}

#[test]
fn what_is_packed_wrongly_ends_with_1002() {
    for payload in [&[0xff; 20][..], b"\x07"] {
        let got = after(frame(0xc1, payload));
        assert!(is_close(&got, 1002), "{payload:x?}: {got:x?}");
    }
    // Only the first frame of a message says that it is packed, and no control frame does.
    let got = after([frame(0x41, b"\xf2\x48"), frame(0xc0, b"\xcd\xc9\xc9\x07\x00")].concat());
    assert!(is_close(&got, 1002), "{got:x?}");
    assert!(is_close(&after(frame(0xc9, b"x")), 1002));
}

#[test]
fn text_is_checked_when_it_is_unpacked() {
    // A stored block with the byte ff.
    let got = after(frame(0xc1, b"\x00\x01\x00\xfe\xff\xff\x00"));
    assert!(is_close(&got, 1007), "{got:x?}");
}

#[test]
fn both_ends_of_ours_agree_whatever_the_context() {
    for (ours, theirs) in [
        (DeflateContext::Message, DeflateContext::Connection),
        (DeflateContext::Connection, DeflateContext::Message),
        (DeflateContext::Connection, DeflateContext::Connection),
    ] {
        on_loop(async |lp| {
            let options = |context, len_min| {
                let mut options = DeflateOptions::default();
                (options.context, options.len_min) = (context, len_min);
                options
            };
            let (_serving, address) = start(&lp, echo(options(ours, 0)));
            let connector = Connector::new(&Client::new(&lp), WsOptions::default());
            let connector = connector.deflate(options(theirs, 10));
            let mut socket = connector.connect(&format!("ws://{address}/")).await.unwrap();
            for len in [0, 1, 9, 10, 0, 1000, 90_000, 0, 0, 90_000] {
                let message = ws::Message::from("abcdefghij".repeat(len / 10 + 1)[..len].to_owned());
                socket.send(message.clone()).await.unwrap();
                assert_eq!(socket.next().await, Some(message), "{len} bytes, {ours:?}, {theirs:?}");
            }
        });
    }
}
