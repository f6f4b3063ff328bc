//! Replays what the fuzz targets begin with and what they found, and mutants of it, without a fuzzer.
//!
//! `tests/fuzz/README.md` says how the fuzzer itself is run.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::fs;
use std::path::Path;

use phaseloop::ipc::fuzzing::framing;
use phaseloop_server::fuzzing as server;
use phaseloop_tests::random::Random;

type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("cookies", server::cookies),
    ("deflate", server::deflate),
    ("engineio", server::engineio),
    ("event_stream", server::event_stream),
    ("framing", framing),
    ("http2_frames", server::http2_frames),
    ("paths", server::paths),
    ("preface", server::preface),
    ("ranges", server::ranges),
    ("socketio", server::socketio),
    ("websocket", server::websocket),
];

/// Mutants of each seed.
const MUTANTS: u64 = 300;

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|file| {
            let path = file.unwrap().path();
            (path.display().to_string(), fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn no_seed_breaks_its_parser() {
    for (target, run) in TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (path, data) in &seeds {
            let survived = std::panic::catch_unwind(|| run(data));
            assert!(survived.is_ok(), "{path}");
        }
    }
}

#[test]
fn no_mutant_of_a_seed_breaks_its_parser() {
    let mut random = Random::new(20_261_128);
    for (target, run) in TARGETS {
        for (path, data) in &seeds(target) {
            for _ in 0..MUTANTS {
                let mutant = mutant(data, &mut random);
                let survived = std::panic::catch_unwind(|| run(&mutant));
                assert!(survived.is_ok(), "{target}: {mutant:?}, from {path}");
            }
        }
    }
}

/// A few bytes changed, put in, taken out or doubled.
fn mutant(data: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() as u64 + 1) as usize;
        match random.below(4) {
            0 if at < data.len() => data[at] = random.below(256) as u8,
            1 => data.insert(at, random.below(256) as u8),
            2 if at < data.len() => drop(data.remove(at)),
            _ => data.extend_from_within(at..),
        }
        data.truncate(4096);
    }
    data
}

#[test]
fn every_target_is_a_file_and_every_file_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|file| file.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(files, TARGETS.iter().map(|(target, _)| *target).collect::<Vec<_>>());
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    assert!(files.iter().all(|file| manifest.contains(&format!("path = \"{file}.rs\""))));
}
