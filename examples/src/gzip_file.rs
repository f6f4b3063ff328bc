//! A file, compressed into another or back, by one job on the pool.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use fs_pool::compress::{Compress, Deflate, FileTotals};
use fs_pool::fs::Fs;
use fs_pool::pool::Pool;
use fs_pool::request::{LoopPool, Progress};
use phaseloop::EventLoop;

use crate::page::Page;
use crate::progress_bar::{beside, bytes};

/// What may come out when a file is decompressed: 64 GiB. A small file can hold far more than a disk.
const OUTPUT_LEN_MAX: u64 = 64 << 30;

/// Which way, and whether a file that is there is replaced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// From `FILE.gz` to `FILE`.
    pub decompress: bool,
    /// Replaces what is there.
    pub force: bool,
}

/// Compresses `file` into `file.gz`, or the other way. The source stays. Gives the new file's path.
///
/// The new file has its name when it is whole, and not before.
///
/// # Errors
/// When it can not be done, with the path; `AlreadyExists` if there is a file already; `InvalidInput` if the name of what is
/// to be decompressed does not end in `.gz`.
pub fn run(page: &Page, status: &Page, file: &Path, options: Options) -> io::Result<PathBuf> {
    let to = target(file, options.decompress)?;
    let (lp, pool) = (EventLoop::new()?, Pool::builder().build().map_err(io::Error::other)?);
    let loop_pool = LoopPool::new(&lp, &pool);
    let (fs, compress) = (Fs::new(&loop_pool), Compress::new(&loop_pool));
    let totals = lp.block_on(async {
        if !options.force && fs.exists(&to).await? {
            return Err(refused(io::ErrorKind::AlreadyExists, &to, "is there already; see --force"));
        }
        let (progress, len) = (Progress::default(), fs.stat(file).await?.len());
        let job = match options.decompress {
            true => compress.decode_file(&Deflate::gzip(), file, &to, OUTPUT_LEN_MAX, &progress),
            false => compress.encode_file(&Deflate::gzip(), file, &to, &progress),
        };
        let done = beside(&lp, status, (&progress, len), job.spawn()).await;
        done.map_err(io::Error::from)
    })??;
    page.line(report(file, &to, totals));
    Ok(to)
}

fn target(file: &Path, decompress: bool) -> io::Result<PathBuf> {
    if !decompress {
        let mut name = OsString::from(file);
        name.push(".gz");
        return Ok(name.into());
    }
    match file.extension() {
        Some(extension) if extension == "gz" => Ok(file.with_extension("")),
        _ => Err(refused(io::ErrorKind::InvalidInput, file, "does not end in .gz")),
    }
}

fn refused(kind: io::ErrorKind, file: &Path, why: &str) -> io::Error {
    io::Error::new(kind, format!("{} {why}", file.display()))
}

fn report(from: &Path, to: &Path, totals: FileTotals) -> String {
    let FileTotals { read, written } = totals;
    let percent = 100.0 * written as f64 / read.max(1) as f64;
    let (before, after) = (bytes(read), bytes(written));
    format!("{} -> {}: {before} -> {after} ({percent:.1} %)", from.display(), to.display())
}
