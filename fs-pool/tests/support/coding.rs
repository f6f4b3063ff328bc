//! What holds for every compressed format.
#![allow(dead_code)] // each test file uses a part

use std::future::IntoFuture;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use fs_pool::compress::{Compress, CompressError, CompressLimits, Decoder, Encoder, Flush, Format};
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use futures_io::{AsyncRead, AsyncWrite};
use phaseloop::EventLoop;

use super::support::{Dice, pool};

/// A loop with a front whose pieces are small, so that short inputs take many jobs.
pub(crate) fn joined(limits: CompressLimits) -> (EventLoop, Pool, Compress) {
    let (lp, pool) = (EventLoop::new().unwrap(), pool(2));
    let compress = Compress::with_limits(&LoopPool::new(&lp, &pool), limits);
    (lp, pool, compress)
}

pub(crate) fn small_pieces() -> CompressLimits {
    CompressLimits { piece_len: 256, inline_below: 0, ..CompressLimits::default() }
}

/// Inputs from nothing to several pieces: text, noise, and what shrinks to nothing.
pub(crate) fn inputs() -> Vec<Vec<u8>> {
    let mut dice = Dice(7);
    let text = |len: usize| (0..len).map(|at| b"the quick brown fox "[(at * 7 + at / 100) % 20]).collect();
    let mut noise = |len: usize| (0..len).map(|_| dice.roll(256) as u8).collect();
    vec![
        vec![],
        vec![0],
        text(100),
        text(255),
        text(256),
        noise(257),
        text(5000),
        noise(3000),
        vec![0; 100_000],
    ]
}

/// Encodes with buffers of the given sizes.
pub(crate) fn encode_by(encoder: &mut Encoder, bytes: &[u8], input_len: usize, output_len: usize) -> Vec<u8> {
    let (mut all, mut buf, mut taken) = (Vec::new(), vec![0; output_len], 0);
    loop {
        let end = bytes.len().min(taken + input_len);
        let flush = if end == bytes.len() { Flush::Finish } else { Flush::None };
        let step = encoder.step(&bytes[taken..end], &mut buf, flush).unwrap();
        all.extend_from_slice(&buf[..step.written]);
        taken += step.read;
        if step.is_done && flush == Flush::Finish {
            assert_eq!(encoder.totals(), (bytes.len() as u64, all.len() as u64));
            return all;
        }
        assert!(step.is_done || step.read + step.written > 0, "it is stuck");
    }
}

/// Decodes with buffers of the given sizes, to the end.
pub(crate) fn decode_by(
    decoder: &mut Decoder,
    bytes: &[u8],
    input_len: usize,
    output_len: usize,
) -> Result<Vec<u8>, CompressError> {
    let (mut all, mut buf, mut taken) = (Vec::new(), vec![0; output_len], 0);
    loop {
        let end = bytes.len().min(taken + input_len);
        let step = decoder.step(&bytes[taken..end], &mut buf)?;
        all.extend_from_slice(&buf[..step.written]);
        taken += step.read;
        let is_stuck = step.read + step.written == 0;
        if is_stuck && step.is_done || taken == bytes.len() && step.written < output_len {
            decoder.end()?;
            return Ok(all);
        }
        assert!(!is_stuck, "it is stuck at {taken} of {}", bytes.len());
    }
}

/// Whatever the sizes of buffers, the same comes out that went in.
pub(crate) fn any_buffers_round_trip(format: &impl Format) {
    for bytes in inputs() {
        for (input_len, output_len) in [(1, 64), (7, 1), (100, 100), (1 << 20, 1 << 20)] {
            let small = encode_by(&mut format.encoder().unwrap(), &bytes, input_len, output_len);
            let back = decode_by(&mut format.decoder().unwrap(), &small, input_len, output_len).unwrap();
            assert!(back == bytes, "{} bytes by {input_len} and {output_len}", bytes.len());
        }
    }
}

/// Whole buffers, readers and writers, on the pool and inline, agree.
pub(crate) fn all_ways_round_trip(format: &impl Format) {
    for limits in
        [small_pieces(), CompressLimits { inline_below: 1000, ..small_pieces() }, CompressLimits::default()]
    {
        let (lp, _pool, compress) = joined(limits);
        for bytes in inputs() {
            let small = lp.block_on(compress.encode(format, bytes.clone()).into_future()).unwrap().unwrap();
            let back = lp.block_on(compress.decode(format, small.clone()).into_future()).unwrap().unwrap();
            assert!(back == bytes, "whole buffers of {} bytes", bytes.len());
            let (read, written) = lp
                .block_on(async {
                    let mut reader = compress.encode_reader(format, Drips::new(&bytes)).unwrap();
                    let small = read_all(&mut reader).await.unwrap();
                    let mut reader = compress.decode_reader(format, Drips::new(&small), 1 << 20).unwrap();
                    let read = read_all(&mut reader).await.unwrap();
                    let mut writer = compress.encode_writer(format, Sink::default()).unwrap();
                    write_all(&mut writer, &bytes).await.unwrap();
                    let small = writer.into_inner().bytes;
                    let mut writer = compress.decode_writer(format, Sink::default(), 1 << 20).unwrap();
                    write_all(&mut writer, &small).await.unwrap();
                    (read, writer.into_inner().bytes)
                })
                .unwrap();
            assert!(read == bytes, "readers of {} bytes", bytes.len());
            assert!(written == bytes, "writers of {} bytes", bytes.len());
        }
    }
}

/// Wherever the input is cut, it is told from a whole one.
pub(crate) fn cut_input_is_truncated(format: &impl Format) {
    let (lp, _pool, compress) = joined(small_pieces());
    let small = encode_by(&mut format.encoder().unwrap(), &inputs()[6], 1000, 1000);
    for len in 0..small.len() {
        let error = decode_by(&mut format.decoder().unwrap(), &small[..len], 100, 100).unwrap_err();
        assert!(
            matches!(error, CompressError::Truncated { read, .. } if read == len as u64),
            "{len}: {error}"
        );
    }
    for len in [0, 1, small.len() / 2, small.len() - 1] {
        let error =
            lp.block_on(compress.decode(format, small[..len].to_vec()).into_future()).unwrap().unwrap_err();
        assert!(matches!(error, CompressError::Truncated { .. }), "{len}: {error}");
        let (read, written) = lp
            .block_on(async {
                let mut reader = compress.decode_reader(format, &small[..len], 1 << 20).unwrap();
                let read = read_all(&mut reader).await.unwrap_err();
                let mut writer = compress.decode_writer(format, Sink::default(), 1 << 20).unwrap();
                (read, write_all(&mut writer, &small[..len]).await.unwrap_err())
            })
            .unwrap();
        let eof = io::ErrorKind::UnexpectedEof;
        assert_eq!((read.kind(), written.kind()), (eof, eof), "{len}: {read}; {written}");
    }
}

/// A bomb is cut off at the limit, and not one byte below it.
pub(crate) fn output_has_a_ceiling(format: &impl Format) {
    let bomb = encode_by(&mut format.encoder().unwrap(), &vec![0; 1 << 20], 1 << 20, 1 << 16);
    assert!(bomb.len() < 1 << 12, "{} bytes are no bomb", bomb.len());
    for (limit, is_enough) in [(0, false), (1000, false), ((1 << 20) - 1, false), (1 << 20, true)] {
        let limits = CompressLimits { output_len_max: limit, ..CompressLimits::default() };
        let (lp, _pool, compress) = joined(limits);
        let whole = lp.block_on(compress.decode(format, bomb.clone()).into_future()).unwrap();
        let stream = lp.block_on(async {
            let mut reader = compress.decode_reader(format, &bomb[..], limit).unwrap();
            read_all(&mut reader).await
        });
        let stream = stream.unwrap();
        if is_enough {
            assert_eq!((whole.unwrap().len(), stream.unwrap().len()), (1 << 20, 1 << 20));
        } else {
            let said = format!("there is more output than the {limit} bytes allowed");
            assert_eq!(whole.unwrap_err().to_string(), said);
            let error = stream.unwrap_err();
            assert_eq!((error.to_string(), error.kind()), (said, io::ErrorKind::FileTooLarge));
        }
    }
}

/// After a flush the other side has all that was written; after closing, nothing is taken.
pub(crate) fn flushing_brings_all_across(format: &impl Format) {
    for flush in [Flush::Sync, Flush::Full] {
        let (lp, _pool, compress) = joined(small_pieces());
        let ended = lp.block_on(async {
            let mut writer = compress.encode_writer(format, Sink::default()).unwrap().flush_mode(flush);
            let mut decoder = format.decoder().unwrap();
            let mut decoded = 0;
            for len in [1, 10, 300, 2000] {
                write_some(&mut writer, &vec![b'x'; len]).await.unwrap();
                flush_all(&mut writer).await.unwrap();
                let seen = writer.get_ref().bytes.len();
                flush_all(&mut writer).await.unwrap();
                assert_eq!(writer.get_ref().bytes.len(), seen, "nothing new, nothing written");
                let (mut buf, from) = ([0; 4096], decoded);
                let step = decoder.step(&writer.get_ref().bytes[from..], &mut buf).unwrap();
                assert_eq!((step.read, step.written), (seen - from, len));
                decoded = seen;
            }
            write_all(&mut writer, b"end").await.unwrap();
            let error = write_some(&mut writer, b"more").await.unwrap_err();
            assert_eq!(error.to_string(), "the encoder has finished and takes no more");
        });
        ended.unwrap();
    }
}

/// No input makes a decoder panic or hang, and nothing that was changed passes for another text without a checksum's consent.
pub(crate) fn noise_is_refused_or_harmless(format: &impl Format, has_checksum: bool) {
    let text = &inputs()[6];
    let good = encode_by(&mut format.encoder().unwrap(), text, 1000, 1000);
    let mut dice = Dice(11);
    for _ in 0..300 {
        let mut bad = good.clone();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(bad.len() as u64) as usize;
            bad[at] ^= 1 << dice.roll(8);
        }
        let mut decoder = format.decoder().unwrap().output_len_max(1 << 20);
        if let Ok(got) = decode_by(&mut decoder, &bad, 100, 1000) {
            // A changed field of the header that nobody looks at leaves the text alone; it can not be another one.
            assert!(!has_checksum || got == *text || bad == good, "another text passed");
        }
    }
    for len in 0..200 {
        let noise: Vec<u8> = (0..len).map(|_| dice.roll(256) as u8).collect();
        let _ = decode_by(&mut format.decoder().unwrap().output_len_max(1 << 20), &noise, 64, 64); // any end will do
    }
}

// --- streams ----------------------------------------------------------------------------------------------------------

/// A reader that gives a byte, then two, then four, and is pending in between.
pub(crate) struct Drips<'a> {
    rest: &'a [u8],
    len: usize,
    is_ready: bool,
}

impl<'a> Drips<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: 1, is_ready: false }
    }
}

impl AsyncRead for Drips<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = self.len.min(buf.len()).min(self.rest.len());
        buf[..len].copy_from_slice(&self.rest[..len]);
        self.rest = &self.rest[len..];
        self.len = (2 * self.len).min(1000);
        Poll::Ready(Ok(len))
    }
}

/// A writer that takes 100 bytes at a time, and is pending in between.
#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_closed: bool,
    is_ready: bool,
}

impl AsyncWrite for Sink {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = buf.len().min(100);
        self.bytes.extend_from_slice(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_closed = true;
        Poll::Ready(Ok(()))
    }
}

pub(crate) async fn read_all(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), [0; 777]);
    loop {
        let read = std::future::poll_fn(|cx| Pin::new(&mut *reader).poll_read(cx, &mut buf)).await?;
        if read == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&buf[..read]);
    }
}

pub(crate) async fn write_some(writer: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let piece = &bytes[..bytes.len().min(333)];
        let taken = std::future::poll_fn(|cx| Pin::new(&mut *writer).poll_write(cx, piece)).await?;
        bytes = &bytes[taken..];
    }
    Ok(())
}

pub(crate) async fn flush_all(writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    std::future::poll_fn(|cx| Pin::new(&mut *writer).poll_flush(cx)).await
}

/// Writes and closes.
pub(crate) async fn write_all(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    write_some(writer, bytes).await?;
    std::future::poll_fn(|cx| Pin::new(&mut *writer).poll_close(cx)).await
}
