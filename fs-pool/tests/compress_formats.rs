//! Brotli and zstd: what holds for every format, and what is theirs.
#![allow(clippy::unwrap_used)]

#[path = "support/coding.rs"]
mod coding;
mod support;

use std::future::IntoFuture;

use coding::{decode_by, encode_by, inputs, joined, small_pieces};
use fs_pool::compress::{Brotli, CompressError, Format, Zstd};

#[test]
fn brotli_round_trips_whatever_the_buffers() {
    for quality in [0, 1, 5] {
        coding::any_buffers_round_trip(&Brotli::new().quality(quality).window_bits(16));
    }
    coding::all_ways_round_trip(&Brotli::new().quality(4).window_bits(16));
}

#[test]
fn zstd_round_trips_whatever_the_buffers() {
    for format in [Zstd::new(), Zstd::new().checksum(true).level(-5)] {
        coding::any_buffers_round_trip(&format);
        coding::all_ways_round_trip(&format);
    }
}

#[test]
fn cut_input_is_truncated_wherever_it_is_cut() {
    coding::cut_input_is_truncated(&Brotli::new().quality(5).window_bits(16));
    coding::cut_input_is_truncated(&Zstd::new());
}

#[test]
fn a_bomb_is_cut_off() {
    coding::output_has_a_ceiling(&Brotli::new().quality(5));
    coding::output_has_a_ceiling(&Zstd::new());
}

#[test]
fn flushing_brings_all_across() {
    coding::flushing_brings_all_across(&Brotli::new().quality(5).window_bits(16));
    coding::flushing_brings_all_across(&Zstd::new());
}

#[test]
fn noise_neither_panics_nor_passes_a_checksum() {
    coding::noise_is_refused_or_harmless(&Brotli::new().quality(5).window_bits(16), false);
    coding::noise_is_refused_or_harmless(&Zstd::new().checksum(true), true);
}

#[test]
fn every_quality_and_level_round_trips_and_others_are_refused() {
    let text = &inputs()[6];
    for quality in 0..=11 {
        let format = Brotli::new().quality(quality).window_bits(18);
        let small = encode_by(&mut format.encoder().unwrap(), text, 1000, 1000);
        assert!(decode_by(&mut format.decoder().unwrap(), &small, 100, 100).unwrap() == *text, "{quality}");
    }
    for level in (-3..=19).chain([-131_072]) {
        let small = encode_by(&mut Zstd::new().level(level).encoder().unwrap(), text, 1000, 1000);
        assert!(
            decode_by(&mut Zstd::new().decoder().unwrap(), &small, 100, 100).unwrap() == *text,
            "{level}"
        );
    }
    let refused = |result: Result<_, CompressError>| result.err().unwrap().to_string();
    assert_eq!(refused(Brotli::new().quality(12).encoder()), "brotli quality is 12: it must be from 0 to 11");
    assert_eq!(
        refused(Brotli::new().window_bits(9).encoder()),
        "brotli window_bits is 9: it must be from 10 to 24"
    );
    assert_eq!(refused(Zstd::new().level(23).encoder()), "zstd level is 23: it must be from -131072 to 22");
    let refused = Zstd::new().window_bits_max(9).decoder().unwrap_err().to_string();
    assert_eq!(refused, "zstd window_bits_max is 9: it must be from 10 to 30");
}

#[test]
fn zstd_frames_are_one_stream_and_other_bytes_are_an_error() {
    let frame = |text: &[u8]| encode_by(&mut Zstd::new().encoder().unwrap(), text, 100, 100);
    let two = [frame(b"abc"), frame(b"def")].concat();
    for input_len in [1, 5, 1000] {
        assert_eq!(decode_by(&mut Zstd::new().decoder().unwrap(), &two, input_len, 10).unwrap(), b"abcdef");
    }
    let long = [&two[..], &[0x50; 10]].concat();
    let error = decode_by(&mut Zstd::new().decoder().unwrap(), &long, 1000, 10).unwrap_err();
    assert!(matches!(error, CompressError::Corrupt { format: "zstd", .. }), "{error}");
}

#[test]
fn what_follows_brotli_is_left_alone() {
    let small = encode_by(&mut Brotli::new().quality(3).encoder().unwrap(), b"abc", 100, 100);
    let long = [&small[..], b"garbage"].concat();
    let (lp, _pool, compress) = joined(small_pieces());
    assert_eq!(lp.block_on(compress.decode(&Brotli::new(), long).into_future()).unwrap().unwrap(), b"abc");
}

#[test]
fn zstd_takes_a_dictionary_and_a_ceiling_on_the_window() {
    let (words, text) = (b"a dictionary of the words to come", b"the words to come of a dictionary");
    let with = Zstd::new().dictionary(&words[..]);
    let plain = encode_by(&mut Zstd::new().encoder().unwrap(), text, 100, 100);
    let small = encode_by(&mut with.encoder().unwrap(), text, 100, 100);
    assert!(small.len() < plain.len());
    assert_eq!(decode_by(&mut with.decoder().unwrap(), &small, 3, 7).unwrap(), text);
    assert!(decode_by(&mut Zstd::new().decoder().unwrap(), &small, 3, 7).is_err());

    let large = encode_by(&mut Zstd::new().level(19).encoder().unwrap(), &vec![1; 1 << 20], 1000, 1000);
    assert!(decode_by(&mut Zstd::new().decoder().unwrap(), &large, 1000, 1000).is_ok());
    let error =
        decode_by(&mut Zstd::new().window_bits_max(10).decoder().unwrap(), &large, 1000, 1000).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}
