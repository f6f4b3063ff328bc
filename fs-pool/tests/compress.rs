//! Deflate in its three wrappings, and how compression runs on the pool.
#![allow(clippy::unwrap_used)]

#[path = "support/coding.rs"]
mod coding;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;

use std::cell::Cell;
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use coding::{decode_by, encode_by, inputs, joined, small_pieces};
use fs_pool::compress::{Compress, CompressError, CompressLimits, Deflate, FileTotals, Flush, Format};
use fs_pool::pool::{Class, Shutdown};
use fs_pool::request::{LoopPool, Progress, RequestError};
use on_loop::{Gate, run};
use phaseloop::EventLoop;
use support::{PATIENCE, pool};

fn wrappings() -> [Deflate; 3] {
    [Deflate::gzip(), Deflate::zlib(), Deflate::raw()]
}

/// A fresh folder, removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("phaseloop-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // a leftover in the folder for such things
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    encode_by(&mut Deflate::gzip().encoder().unwrap(), bytes, 1000, 1000)
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, CompressError> {
    let whole = decode_by(&mut Deflate::gzip().decoder().unwrap(), bytes, 1000, 1000);
    let single = decode_by(&mut Deflate::gzip().decoder().unwrap(), bytes, 1, 1000);
    assert_eq!(whole.as_ref().ok(), single.as_ref().ok(), "the sizes of buffers do not matter");
    whole
}

// --- the formats ------------------------------------------------------------------------------------------------------

#[test]
fn what_went_in_comes_out_whatever_the_buffers() {
    for format in wrappings() {
        coding::any_buffers_round_trip(&format);
    }
}

#[test]
fn buffers_readers_and_writers_agree() {
    for format in wrappings() {
        coding::all_ways_round_trip(&format);
    }
}

#[test]
fn every_level_and_window_round_trips_and_others_are_refused() {
    let text = &inputs()[6];
    for format in wrappings() {
        for setting in (0..=9)
            .map(|level| format.clone().level(level))
            .chain((9..=15).map(|bits| format.clone().window_bits(bits)))
        {
            let small = encode_by(&mut setting.encoder().unwrap(), text, 100, 100);
            assert!(decode_by(&mut format.decoder().unwrap(), &small, 100, 100).unwrap() == *text);
        }
        assert!(matches!(
            format.clone().level(10).encoder(),
            Err(CompressError::Parameter { value: 10, .. })
        ));
        assert!(matches!(
            format.clone().window_bits(8).encoder(),
            Err(CompressError::Parameter { value: 8, .. })
        ));
        assert!(matches!(
            format.clone().window_bits(16).encoder(),
            Err(CompressError::Parameter { value: 16, .. })
        ));
    }
    let stored = encode_by(&mut Deflate::raw().level(0).encoder().unwrap(), text, 9000, 9000);
    let best = encode_by(&mut Deflate::raw().level(9).encoder().unwrap(), text, 9000, 9000);
    assert!(stored.len() > text.len() && best.len() < text.len() / 4, "{} and {}", stored.len(), best.len());
}

#[test]
fn cut_input_is_truncated_wherever_it_is_cut() {
    for format in wrappings() {
        coding::cut_input_is_truncated(&format);
    }
}

#[test]
fn a_bomb_is_cut_off() {
    for format in wrappings() {
        coding::output_has_a_ceiling(&format);
    }
}

#[test]
fn flushing_brings_all_across() {
    for format in wrappings() {
        coding::flushing_brings_all_across(&format);
    }
}

#[test]
fn noise_neither_panics_nor_passes_a_checksum() {
    for (format, has_checksum) in wrappings().into_iter().zip([true, true, false]) {
        coding::noise_is_refused_or_harmless(&format, has_checksum);
    }
}

#[test]
fn what_follows_a_full_flush_decodes_alone() {
    let (mut encoder, mut buf) = (Deflate::raw().encoder().unwrap(), [0; 1000]);
    let first = encoder.step(b"hello, hello, hello", &mut buf, Flush::Full).unwrap();
    assert!(first.is_done);
    let begin = first.written;
    let second = encoder.step(b"hello, hello, world", &mut buf[begin..], Flush::Finish).unwrap();
    let alone = &buf[begin..begin + second.written];
    assert_eq!(
        decode_by(&mut Deflate::raw().decoder().unwrap(), alone, 100, 100).unwrap(),
        b"hello, hello, world"
    );
}

#[test]
fn corrupt_input_says_what_and_where() {
    let mut bad = gzip(b"abc");
    let len = bad.len();
    bad[len - 6] ^= 1;
    assert_eq!(
        gunzip(&bad).unwrap_err().to_string(),
        format!("bad gzip after {} bytes: incorrect data check", len - 4)
    );
    let zlib = encode_by(&mut Deflate::zlib().encoder().unwrap(), b"abc", 100, 100);
    assert!(gunzip(&zlib).unwrap_err().to_string().ends_with("incorrect header check"));
}

#[test]
fn gzip_members_are_one_stream_and_zeros_end_it() {
    // The same as node 20 answers; other bytes than zero are an error there, too.
    let (first, second) = (gzip(b"abc"), gzip(b"def"));
    let joined = |parts: &[&[u8]]| parts.concat();
    assert_eq!(gunzip(&joined(&[&first, &second])).unwrap(), b"abcdef");
    assert_eq!(gunzip(&joined(&[&first, &second, &[0; 10]])).unwrap(), b"abcdef");
    assert_eq!(gunzip(&joined(&[&first, &[0; 10], &second])).unwrap(), b"abc");
    assert_eq!(gunzip(&joined(&[&first, &gzip(b""), &second])).unwrap(), b"abcdef");
    let error = gunzip(&joined(&[&first, &second, &[0x50; 10]])).unwrap_err().to_string();
    assert!(error.ends_with("incorrect header check"), "{error}");
    let error = gunzip(&joined(&[&first, &[0x1f, 0x8b, 0xff, 0xff]])).unwrap_err().to_string();
    assert!(error.ends_with("unknown compression method"), "{error}");
    for cut in [&[0x1f][..], &[0x1f, 0x8b], &second[..second.len() - 4]] {
        assert!(matches!(gunzip(&joined(&[&first, cut])), Err(CompressError::Truncated { .. })));
    }
}

#[test]
fn what_follows_zlib_and_raw_deflate_is_left_alone() {
    for format in [Deflate::zlib(), Deflate::raw()] {
        let small = encode_by(&mut format.encoder().unwrap(), b"abc", 100, 100);
        let long = [&small[..], b"garbage"].concat();
        let (mut decoder, mut buf) = (format.decoder().unwrap(), [0; 100]);
        let step = decoder.step(&long, &mut buf).unwrap();
        assert_eq!((step.read, step.written, step.is_done), (small.len(), 3, true));
        let (lp, _pool, compress) = joined(small_pieces());
        assert_eq!(
            lp.block_on(compress.decode(&format, long.clone()).into_future()).unwrap().unwrap(),
            b"abc"
        );
        let read = lp.block_on(async {
            coding::read_all(&mut compress.decode_reader(&format, &long[..], 100).unwrap()).await
        });
        assert_eq!(read.unwrap().unwrap(), b"abc");
    }
}

#[test]
fn a_dictionary_is_needed_on_both_sides() {
    let (words, text) = ("a dictionary of the words to come", "the words to come of a dictionary");
    for format in [Deflate::zlib(), Deflate::raw()] {
        let with = format.clone().dictionary(words.as_bytes());
        let plain = encode_by(&mut format.encoder().unwrap(), text.as_bytes(), 100, 100);
        let small = encode_by(&mut with.encoder().unwrap(), text.as_bytes(), 100, 100);
        assert!(small.len() < plain.len(), "{} < {}", small.len(), plain.len());
        for input_len in [1, 3, 1000] {
            let back = decode_by(&mut with.decoder().unwrap(), &small, input_len, 7).unwrap();
            assert_eq!(back, text.as_bytes());
        }
    }
    let with = Deflate::zlib().dictionary(words.as_bytes());
    let small = encode_by(&mut with.encoder().unwrap(), text.as_bytes(), 100, 100);
    let error = |format: Deflate| decode_by(&mut format.decoder().unwrap(), &small, 100, 100).unwrap_err();
    assert!(matches!(error(Deflate::zlib()), CompressError::Dictionary { given: false, .. }));
    let other = error(Deflate::zlib().dictionary(&b"others"[..]));
    assert!(matches!(other, CompressError::Dictionary { given: true, .. }), "{other}");
    let refused = Deflate::gzip().dictionary(&b"abc"[..]).encoder().unwrap_err();
    assert_eq!(refused.to_string(), "gzip dictionary length is 3: it must be absent: gzip has none");
}

#[test]
fn an_encoder_that_has_finished_takes_no_more() {
    let (mut encoder, mut buf) = (Deflate::gzip().encoder().unwrap(), [0; 100]);
    assert!(encoder.step(b"abc", &mut buf, Flush::Finish).unwrap().is_done);
    assert!(matches!(encoder.step(b"d", &mut buf, Flush::None), Err(CompressError::Finished)));
    assert_eq!(encoder.step(b"", &mut buf, Flush::Finish).unwrap().written, 0);
}

// --- on the pool ------------------------------------------------------------------------------------------------------

#[test]
fn small_buffers_are_done_on_the_loop_and_others_on_the_pool() {
    for (inline_below, len, is_inline) in [(0, 0, false), (100, 99, true), (100, 100, false)] {
        let limits = CompressLimits { inline_below, ..CompressLimits::default() };
        let (lp, _pool, compress) = joined(limits);
        let is_done = Rc::new(Cell::new(false));
        let seen = Rc::clone(&is_done);
        let job = compress.encode(&Deflate::gzip(), vec![b'x'; len]);
        let id = job.run(move |_, result| seen.set(result.is_ok())).unwrap();
        assert_eq!((id.is_none(), is_done.get()), (is_inline, false), "never inside the call");
        run(&lp);
        assert!(is_done.get());
    }
}

#[test]
fn a_small_buffer_that_makes_a_lot_goes_to_the_pool_half_way() {
    let limits = CompressLimits { inline_below: 10_000, ..CompressLimits::default() };
    let (lp, _pool, compress) = joined(limits);
    let bomb = gzip(&vec![7; 1 << 20]);
    assert!(bomb.len() < 10_000);
    let len = Rc::new(Cell::new(0));
    let seen = Rc::clone(&len);
    let id = compress
        .decode(&Deflate::gzip(), bomb)
        .run(move |_, result| seen.set(result.unwrap().len()))
        .unwrap();
    assert!(id.is_some());
    run(&lp);
    assert_eq!(len.get(), 1 << 20);
}

#[test]
fn a_file_becomes_another_and_comes_back() {
    let folder = Folder::new("compress");
    let (lp, _pool, compress) = joined(small_pieces());
    for (number, bytes) in inputs().into_iter().enumerate() {
        let [from, small, back] =
            ["from", "small", "back"].map(|name| folder.0.join(format!("{name}{number}")));
        std::fs::write(&from, &bytes).unwrap();
        let progress = Progress::default();
        let (out, returned) = lp
            .block_on(async {
                let out = compress.encode_file(&Deflate::gzip(), &from, &small, &progress).await?;
                let limit = bytes.len() as u64;
                let returned = compress
                    .decode_file(&Deflate::gzip(), &small, &back, limit, &Progress::default())
                    .await?;
                Ok::<_, CompressError>((out, returned))
            })
            .unwrap()
            .unwrap();
        let (len, small_len) = (bytes.len() as u64, std::fs::metadata(&small).unwrap().len());
        assert_eq!((out, progress.count()), (FileTotals { read: len, written: small_len }, len));
        assert_eq!(returned, FileTotals { read: small_len, written: len });
        assert!(
            std::fs::read(&back).unwrap() == bytes
                && gunzip(&std::fs::read(&small).unwrap()).unwrap() == bytes
        );
    }
}

#[test]
fn a_file_that_fails_leaves_nothing_behind_and_the_old_one_alone() {
    let folder = Folder::new("compress-fails");
    let (lp, _pool, compress) = joined(small_pieces());
    let [bad, out] = ["bad", "out"].map(|name| folder.0.join(name));
    let noise = gzip(&inputs()[7]);
    std::fs::write(&bad, &noise[..noise.len() - 1]).unwrap();
    std::fs::write(&out, "old").unwrap();
    let fails = |from: &Path, to: &Path, limit| {
        let job = compress.decode_file(&Deflate::gzip(), from, to, limit, &Progress::default());
        lp.block_on(job.into_future()).unwrap().unwrap_err()
    };
    assert!(matches!(fails(&bad, &out, 1 << 20), CompressError::Truncated { .. }));
    assert!(matches!(fails(&bad, &out, 1000), CompressError::TooLong { limit: 1000 }));
    let missing = folder.0.join("missing");
    assert!(matches!(fails(&missing, &out, 1), CompressError::File { path, .. } if path == missing));
    let nowhere = missing.join("out");
    assert!(matches!(fails(&bad, &nowhere, 1), CompressError::File { path, .. } if path == nowhere));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "old");
    assert_eq!(folder.names(), ["bad", "out"]);
}

#[test]
fn dropping_the_future_ends_an_endless_file_and_removes_it() {
    let folder = Folder::new("compress-dropped");
    let (lp, pool, compress) = joined(CompressLimits::default());
    let progress = Progress::default();
    let job = compress.encode_file(&Deflate::gzip(), "/dev/zero", folder.0.join("out"), &progress).spawn();
    let begin = Instant::now();
    while progress.count() == 0 {
        assert!(begin.elapsed() < PATIENCE, "it never starts");
        std::thread::yield_now();
    }
    drop(job);
    assert_eq!(pool.shutdown(Shutdown::Cancel).left, 0, "this waits for the job");
    assert!(folder.names().is_empty());
    run(&lp);
}

#[test]
fn a_timeout_ends_an_endless_file() {
    let folder = Folder::new("compress-late");
    let (lp, pool, compress) = joined(CompressLimits::default());
    let job = compress.encode_file(&Deflate::gzip(), "/dev/zero", folder.0.join("out"), &Progress::default());
    let ended = lp.block_on(job.timeout(Duration::from_millis(5)).into_future()).unwrap();
    assert!(matches!(ended, Err(CompressError::Request(RequestError::TimedOut))), "{ended:?}");
    assert_eq!(pool.shutdown(Shutdown::Cancel).left, 0);
    assert!(folder.names().is_empty());
}

#[test]
fn a_reader_that_is_dropped_gives_its_piece_up() {
    let (lp, pool) = (EventLoop::new().unwrap(), pool(1));
    let requests = LoopPool::new(&lp, &pool);
    let (gate, blocker) = Gate::new();
    requests.run(Class::USER, blocker, |_, _| {}).unwrap();
    gate.wait_started();
    let compress = Compress::with_limits(&requests, small_pieces());
    let bytes = vec![b'x'; 1000];
    let mut reader = compress.encode_reader(&Deflate::gzip(), &bytes[..]).unwrap();
    let mut buf = [0; 10];
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let read = futures_io::AsyncRead::poll_read(std::pin::Pin::new(&mut reader), &mut cx, &mut buf);
    assert!(read.is_pending() && requests.under_way().0 == 2);
    drop(reader);
    gate.open();
    run(&lp);
    assert_eq!(pool.snapshot().class(Class::CPU).completed, 0, "it never ran");
}

#[test]
fn a_shut_pool_is_an_error_and_no_hang() {
    let (lp, pool, compress) = joined(small_pieces());
    pool.shutdown(Shutdown::Finish);
    let whole = lp.block_on(compress.encode(&Deflate::gzip(), "abc").into_future()).unwrap();
    assert!(matches!(whole, Err(CompressError::Request(RequestError::Closed))));
    let stream = lp.block_on(async {
        let mut reader = compress.encode_reader(&Deflate::gzip(), &b"abc"[..]).unwrap();
        let first = coding::read_all(&mut reader).await.unwrap_err().to_string();
        (first, coding::read_all(&mut reader).await.unwrap_err().to_string())
    });
    let closed = "the pool has been shut down, or the loop is gone".to_owned();
    assert_eq!(stream.unwrap(), (closed, "an earlier error ended it".to_owned()));
}
