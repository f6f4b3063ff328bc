//! What does the pool add to hashing and compressing, and when is a buffer too small for it?
//!
//! A file is hashed, or compressed into another, by one job of the pool, and by the same crates called straight on one
//! thread, in chunks of the same size. Then a small buffer is compressed on the loop's thread, and by a job.

use std::fs::File;
use std::future::IntoFuture;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_pool::compress::{Compress, CompressLimits, Deflate};
use fs_pool::hash::{Algorithm, Hash, Hasher};
use fs_pool::pool::{Class, Pool};
use fs_pool::request::{LoopPool, Progress};
use phaseloop::EventLoop;
use sha2::{Digest, Sha256};

use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const GOAL: Bound = Bound::Times(1.1, "straight");

/// A file hashed, a file compressed, and small buffers.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "pool_sha_file",
        operation: "MiB of a file, SHA-256",
        unit: Unit::CpuUs,
        full: 256,
        brief: 1,
        goals: &[Goal { of: "phaseloop", bound: GOAL }],
        contestants: &[Contestant::ours("phaseloop", sha_pool), Contestant::peer("straight", sha_straight)],
    },
    Question {
        name: "pool_gzip_file",
        operation: "MiB of a file, gzip",
        unit: Unit::CpuUs,
        full: 256,
        brief: 1,
        goals: &[Goal { of: "phaseloop", bound: GOAL }],
        contestants: &[Contestant::ours("phaseloop", gzip_pool), Contestant::peer("straight", gzip_straight)],
    },
    Question {
        name: "pool_gzip_small",
        operation: "small buffer, gzip",
        unit: Unit::WallUs,
        full: 20_000,
        brief: 10,
        goals: &[],
        contestants: &[
            Contestant::floor("round-trip", round_trips),
            Contestant::ours("inline-64b", |count| small(count, 64, true)),
            Contestant::ours("inline-256b", |count| small(count, 256, true)),
            Contestant::ours("inline-1k", |count| small(count, 1024, true)),
            Contestant::ours("inline-4k", |count| small(count, 4096, true)),
            Contestant::ours("pool-64b", |count| small(count, 64, false)),
            Contestant::ours("pool-1k", |count| small(count, 1024, false)),
            Contestant::ours("pool-4k", |count| small(count, 4096, false)),
        ],
    },
];

// --- files ------------------------------------------------------------------------------------------------------------

/// As large as the chunks of `Hash` are by default.
const HASH_CHUNK_LEN: usize = 256 * 1024;
/// As large as the pieces of `Compress` are by default.
const GZIP_CHUNK_LEN: usize = 64 * 1024;

fn sha_pool(mib: u64) -> Sample {
    let input = Scratch::filled(mib);
    let (lp, pool) = joined();
    let hash = Hash::new(&pool);
    let watch = Stopwatch::start();
    let job = hash.file(Hasher::new(Algorithm::Sha256), &input.path, &Progress::default());
    let digest = lp.block_on(job.into_future()).expect("the loop runs").expect("the file can be read");
    let sample = watch.stop(mib);
    assert_eq!(digest.as_bytes(), sha_of(&input.path).expect("the file can be read"));
    sample
}

fn sha_straight(mib: u64) -> Sample {
    let input = Scratch::filled(mib);
    let watch = Stopwatch::start();
    let digest = sha_of(&input.path).expect("the file can be read");
    let sample = watch.stop(mib);
    assert_eq!(digest.len(), 32);
    sample
}

fn sha_of(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, mut buf, mut sha) = (File::open(path)?, vec![0; HASH_CHUNK_LEN], Sha256::new());
    loop {
        match file.read(&mut buf)? {
            0 => return Ok(sha.finalize().to_vec()),
            read => sha.update(&buf[..read]),
        }
    }
}

fn gzip_pool(mib: u64) -> Sample {
    let (input, output) = (Scratch::filled(mib), Scratch::named("pool.gz"));
    let (lp, pool) = joined();
    let compress = Compress::new(&pool);
    let watch = Stopwatch::start();
    let job = compress.encode_file(&Deflate::gzip(), &input.path, &output.path, &Progress::default());
    let totals = lp.block_on(job.into_future()).expect("the loop runs").expect("the files are there");
    let sample = watch.stop(mib);
    assert_eq!(totals.read, mib << 20);
    check_gzip(&input.path, &output.path);
    sample
}

fn gzip_straight(mib: u64) -> Sample {
    let (input, output) = (Scratch::filled(mib), Scratch::named("straight.gz"));
    let watch = Stopwatch::start();
    gzip_to(&input.path, &output.path).expect("the files are there");
    let sample = watch.stop(mib);
    check_gzip(&input.path, &output.path);
    sample
}

fn gzip_to(from: &Path, to: &Path) -> io::Result<()> {
    let (mut file, mut buf) = (File::open(from)?, vec![0; GZIP_CHUNK_LEN]);
    let mut gzip = GzEncoder::new(File::create(to)?, Compression::new(6));
    loop {
        match file.read(&mut buf)? {
            0 => return gzip.finish().map(drop),
            read => gzip.write_all(&buf[..read])?,
        }
    }
}

/// What is in the compressed file is what is in the other.
fn check_gzip(plain: &Path, small: &Path) {
    let mut decoder = flate2::read::GzDecoder::new(File::open(small).expect("it was written"));
    let mut plain = File::open(plain).expect("it is there");
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    while plain.read_exact(&mut left).is_ok() {
        decoder.read_exact(&mut right).expect("it is as long");
        assert!(left == right, "it is another text");
    }
    assert_eq!(decoder.read(&mut right).expect("its checksum is right"), 0);
}

/// A file in the folder for such things, removed when it goes.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn named(name: &str) -> Self {
        Self { path: std::env::temp_dir().join(format!("phaseloop-bench-{}-{name}", process::id())) }
    }

    /// A file of so many MiB that shrinks to about a third. It was just written, so reading it asks no disk.
    fn filled(mib: u64) -> Self {
        let scratch = Self::named("input");
        let mut file = File::create(&scratch.path).expect("the folder can be written");
        for number in 0..mib {
            file.write_all(&text(1 << 20, number)).expect("there is room on the disk");
        }
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path); // a leftover in the folder for such things
    }
}

/// Lines like a log's.
fn text(len: usize, seed: u64) -> Vec<u8> {
    let (mut text, mut dice) = (Vec::with_capacity(len + 100), seed.wrapping_mul(2).wrapping_add(1));
    while text.len() < len {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (path, status, took) =
            (dice >> 54, [200, 204, 304, 404][(dice >> 40 & 3) as usize], dice >> 44 & 4095);
        writeln!(text, "2026-11-23T15:00:00Z GET /items/{path} {status} {took} us")
            .expect("memory takes all");
    }
    text.truncate(len);
    text
}

// --- small buffers ----------------------------------------------------------------------------------------------------

fn round_trips(count: u64) -> Sample {
    let (lp, pool) = joined();
    let watch = Stopwatch::start();
    let ended = lp.block_on(async {
        for number in 0..count {
            let answer = pool.spawn(Class::CPU, move |_| number).await;
            assert_eq!(answer.expect("the pool runs"), number);
        }
    });
    ended.expect("the loop runs");
    watch.stop(count)
}

fn small(count: u64, len: usize, is_inline: bool) -> Sample {
    let (lp, pool) = joined();
    let limits =
        CompressLimits { inline_below: if is_inline { len + 1 } else { 0 }, ..CompressLimits::default() };
    let compress = Compress::with_limits(&pool, limits);
    let text = text(len, 1);
    let watch = Stopwatch::start();
    let ended = lp.block_on(async {
        for _ in 0..count {
            let small = compress.encode(&Deflate::gzip(), text.clone()).await;
            assert_eq!(small.expect("text can be compressed")[..2], [0x1f, 0x8b]);
        }
    });
    ended.expect("the loop runs");
    watch.stop(count)
}

fn joined() -> (EventLoop, LoopPool) {
    let lp = EventLoop::new().expect("a loop can be made");
    let pool = Pool::builder().env(|_| None).build().expect("the settings are valid");
    let pool = LoopPool::new(&lp, &pool);
    (lp, pool)
}
