//! How fast are files read through a pool, and by io_uring: small ones, one and 64 at a time, and a large one in chunks of 64 KiB?
//!
//! Files are hot: they were just written, so no disk is asked. A small file is 4 KiB, and is opened, read whole and closed, by
//! each peer as its users do it. All pools have four threads.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process;

use compio::io::AsyncReadAt as _;
use fs_pool::fs::{Fs, IoUring};
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use futures::io::AsyncReadExt as _;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::io::AsyncReadExt as _;

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const THREADS: usize = 4;
const FILE_LEN: usize = 4096;
const CHUNK_LEN: usize = 64 * 1024;
/// Files that there are; they are read over and over.
const FILES: u64 = 1000;

/// One small file after the other, 64 at a time, and chunks; by pools, and by io_uring.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "fs_small_files",
        operation: "file of 4 KiB, one at a time",
        unit: Unit::WallUs,
        full: 10_000,
        brief: 20,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.8) }],
        contestants: &[
            Contestant::floor("floor", floor),
            Contestant::ours("phaseloop", |files| phaseloop(1, files)),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", |files| libuv(1, files)),
            Contestant::peer("tokio", |files| tokio(1, files)),
            Contestant::peer("smol", |files| smol(1, files)),
        ],
    },
    Question {
        name: "fs_small_files_64",
        operation: "file of 4 KiB, 64 at a time",
        unit: Unit::WallUs,
        full: 50_000,
        brief: 100,
        goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.95) }],
        contestants: &[
            Contestant::floor("floor", floor),
            Contestant::ours("phaseloop", |files| phaseloop(64, files)),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", |files| libuv(64, files)),
            Contestant::peer("tokio", |files| tokio(64, files)),
            Contestant::peer("smol", |files| smol(64, files)),
        ],
    },
    Question {
        name: "fs_chunks_64k",
        operation: "chunk of 64 KiB",
        unit: Unit::WallUs,
        full: 4096,
        brief: 16,
        goals: &[Goal { of: "phaseloop", bound: Bound::Times(0.5, "libuv") }],
        contestants: &[
            Contestant::ours("phaseloop", chunks_phaseloop),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", chunks_libuv),
            Contestant::peer("tokio", chunks_tokio),
            Contestant::peer("smol", chunks_smol),
        ],
    },
    Question {
        name: "fs_small_files_io_uring",
        operation: "file of 4 KiB by io_uring, one at a time",
        unit: Unit::WallUs,
        full: 50_000,
        brief: 100,
        goals: &[Goal { of: "phaseloop", bound: Bound::Times(1.1, "monoio") }],
        contestants: &[
            Contestant::floor("floor", floor),
            Contestant::ours("phaseloop", |files| phaseloop_by(IoUring::Require, 1, files)),
            Contestant::peer("monoio", |files| monoio(1, files)),
            Contestant::peer("compio", |files| compio(1, files)),
        ],
    },
    Question {
        name: "fs_small_files_io_uring_64",
        operation: "file of 4 KiB by io_uring, 64 at a time",
        unit: Unit::WallUs,
        full: 50_000,
        brief: 100,
        goals: &[],
        contestants: &[
            Contestant::floor("floor", floor),
            Contestant::ours("phaseloop", |files| phaseloop_by(IoUring::Require, 64, files)),
            Contestant::peer("monoio", |files| monoio(64, files)),
            Contestant::peer("compio", |files| compio(64, files)),
        ],
    },
    Question {
        name: "fs_chunks_64k_io_uring",
        operation: "chunk of 64 KiB by io_uring",
        unit: Unit::WallUs,
        full: 4096,
        brief: 16,
        goals: &[Goal { of: "phaseloop", bound: Bound::Times(1.1, "compio") }],
        contestants: &[
            Contestant::ours("phaseloop", |count| chunks_phaseloop_by(IoUring::Require, count)),
            Contestant::peer("monoio", chunks_monoio),
            Contestant::peer("compio", chunks_compio),
        ],
    },
];

// --- small files ------------------------------------------------------------------------------------------------------

/// Files of one length in a folder of their own, which goes at the end.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("phaseloop-bench-{}-files", process::id()));
        std::fs::create_dir(&folder).expect("the folder is new");
        Self { folder }
    }

    /// So many paths of small files, most of them more than once.
    fn small(&self, count: u64) -> Vec<PathBuf> {
        let paths: Vec<_> =
            (0..FILES.min(count)).map(|number| self.folder.join(number.to_string())).collect();
        paths.iter().for_each(|path| std::fs::write(path, [7; FILE_LEN]).expect("there is room"));
        paths.iter().cycle().take(count as usize).cloned().collect()
    }

    fn large(&self, len: u64) -> PathBuf {
        let path = self.folder.join("large");
        let mut file = File::create(&path).expect("the folder is ours");
        (0..len / CHUNK_LEN as u64).for_each(|_| file.write_all(&[7; CHUNK_LEN]).expect("there is room"));
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder); // a leftover in the folder for such things
    }
}

/// Reads each of the files with `read`, `window` at a time, on whatever runs this.
async fn read_all<F>(paths: &[PathBuf], window: usize, read: impl Fn(PathBuf) -> F)
where
    F: Future<Output = Vec<u8>>,
{
    let mut paths = paths.iter().cloned();
    let mut under_way: FuturesUnordered<F> = paths.by_ref().take(window).map(&read).collect();
    while let Some(bytes) = under_way.next().await {
        assert_eq!(bytes.len(), FILE_LEN);
        under_way.extend(paths.next().map(&read));
    }
}

fn floor(count: u64) -> Sample {
    let scratch = Scratch::new();
    let paths = scratch.small(count);
    let watch = Stopwatch::start();
    for path in &paths {
        assert_eq!(std::fs::read(path).expect("it is there").len(), FILE_LEN);
    }
    watch.stop(count)
}

fn phaseloop(window: usize, count: u64) -> Sample {
    phaseloop_by(IoUring::Off, window, count)
}

fn phaseloop_by(io_uring: IoUring, window: usize, count: u64) -> Sample {
    let scratch = Scratch::new();
    let paths = scratch.small(count);
    let lp = peers::phaseloop::new_loop();
    let pool = Pool::builder().workers(THREADS).build().expect("the settings are valid");
    let fs = Fs::builder(&LoopPool::new(&lp, &pool)).io_uring(io_uring).build().expect("there is io_uring");
    let watch = Stopwatch::start();
    let reading = read_all(&paths, window, async |path| fs.read_file(path).await.expect("it is there"));
    lp.block_on(reading).expect("the driver waits");
    watch.stop(count)
}

#[cfg(feature = "libuv")]
fn libuv(window: usize, count: u64) -> Sample {
    let scratch = Scratch::new();
    let paths = scratch.small(count);
    let watch = Stopwatch::start();
    // One byte more, so that one read sees that the file has ended.
    let bytes = peers::libuv_pool::read_files(THREADS, window, &paths, FILE_LEN + 1);
    let sample = watch.stop(count);
    assert_eq!(bytes, count * FILE_LEN as u64);
    sample
}

fn tokio(window: usize, count: u64) -> Sample {
    let scratch = Scratch::new();
    let paths = scratch.small(count);
    let runtime = blocking_tokio();
    let watch = Stopwatch::start();
    let read = async |path| tokio::fs::read(path).await.expect("it is there");
    runtime.block_on(read_all(&paths, window, read));
    watch.stop(count)
}

fn smol(window: usize, count: u64) -> Sample {
    let scratch = Scratch::new();
    let paths = scratch.small(count);
    let watch = Stopwatch::start();
    let read = async |path| async_fs::read(path).await.expect("it is there");
    async_io::block_on(read_all(&paths, window, read));
    watch.stop(count)
}

fn monoio(window: usize, count: u64) -> Sample {
    let scratch = Scratch::new();
    let paths = scratch.small(count);
    let watch = Stopwatch::start();
    let read = async |path| monoio::fs::read(path).await.expect("it is there");
    peers::monoio::block_on(read_all(&paths, window, read));
    watch.stop(count)
}

fn compio(window: usize, count: u64) -> Sample {
    let scratch = Scratch::new();
    let paths = scratch.small(count);
    let watch = Stopwatch::start();
    let read = async |path| compio::fs::read(path).await.expect("it is there");
    peers::compio::block_on(read_all(&paths, window, read));
    watch.stop(count)
}

fn blocking_tokio() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.max_blocking_threads(THREADS).enable_all().build().expect("tokio starts")
}

// --- chunks -----------------------------------------------------------------------------------------------------------

fn chunks_phaseloop(count: u64) -> Sample {
    chunks_phaseloop_by(IoUring::Off, count)
}

fn chunks_phaseloop_by(io_uring: IoUring, count: u64) -> Sample {
    let (scratch, len) = (Scratch::new(), count * CHUNK_LEN as u64);
    let path = scratch.large(len);
    let lp = peers::phaseloop::new_loop();
    let pool = Pool::builder().workers(THREADS).build().expect("the settings are valid");
    let fs = Fs::builder(&LoopPool::new(&lp, &pool)).io_uring(io_uring).build().expect("there is io_uring");
    let watch = Stopwatch::start();
    let reading = async {
        let file = fs.open(&path).await.expect("it is there");
        let (mut all, mut buf) = (0, vec![0; CHUNK_LEN]);
        while all < len {
            let read;
            (read, buf) = file.read_into_at(buf, all).await.expect("it can be read");
            all += read as u64;
        }
        all
    };
    let all = lp.block_on(reading).expect("the driver waits");
    let sample = watch.stop(count);
    assert_eq!(all, len);
    sample
}

#[cfg(feature = "libuv")]
fn chunks_libuv(count: u64) -> Sample {
    let (scratch, len) = (Scratch::new(), count * CHUNK_LEN as u64);
    let path: &std::path::Path = &scratch.large(len);
    let watch = Stopwatch::start();
    let all = peers::libuv_pool::read_chunks(THREADS, path, len, CHUNK_LEN);
    let sample = watch.stop(count);
    assert_eq!(all, len);
    sample
}

fn chunks_tokio(count: u64) -> Sample {
    let (scratch, len) = (Scratch::new(), count * CHUNK_LEN as u64);
    let path = scratch.large(len);
    let runtime = blocking_tokio();
    let watch = Stopwatch::start();
    let all = runtime.block_on(async {
        let mut file = tokio::fs::File::open(&path).await.expect("it is there");
        let (mut all, mut buf) = (0, vec![0; CHUNK_LEN]);
        while all < len {
            all += file.read(&mut buf).await.expect("it can be read") as u64;
        }
        all
    });
    let sample = watch.stop(count);
    assert_eq!(all, len);
    sample
}

fn chunks_smol(count: u64) -> Sample {
    let (scratch, len) = (Scratch::new(), count * CHUNK_LEN as u64);
    let path = scratch.large(len);
    let watch = Stopwatch::start();
    let all = async_io::block_on(async {
        let mut file = async_fs::File::open(&path).await.expect("it is there");
        let (mut all, mut buf) = (0, vec![0; CHUNK_LEN]);
        while all < len {
            all += file.read(&mut buf).await.expect("it can be read") as u64;
        }
        all
    });
    let sample = watch.stop(count);
    assert_eq!(all, len);
    sample
}

fn chunks_monoio(count: u64) -> Sample {
    let (scratch, len) = (Scratch::new(), count * CHUNK_LEN as u64);
    let path = scratch.large(len);
    let watch = Stopwatch::start();
    let all = peers::monoio::block_on(async {
        let file = monoio::fs::File::open(&path).await.expect("it is there");
        let (mut all, mut buf) = (0, vec![0; CHUNK_LEN]);
        while all < len {
            let read;
            (read, buf) = file.read_at(buf, all).await;
            all += read.expect("it can be read") as u64;
        }
        all
    });
    let sample = watch.stop(count);
    assert_eq!(all, len);
    sample
}

fn chunks_compio(count: u64) -> Sample {
    let (scratch, len) = (Scratch::new(), count * CHUNK_LEN as u64);
    let path = scratch.large(len);
    let watch = Stopwatch::start();
    let all = peers::compio::block_on(async {
        let file = compio::fs::File::open(&path).await.expect("it is there");
        let (mut all, mut buf) = (0, Vec::with_capacity(CHUNK_LEN));
        while all < len {
            buf.clear();
            let compio::BufResult(read, filled) = file.read_at(buf, all).await;
            buf = filled;
            all += read.expect("it can be read") as u64;
        }
        all
    });
    let sample = watch.stop(count);
    assert_eq!(all, len);
    sample
}
