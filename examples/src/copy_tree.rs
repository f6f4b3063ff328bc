//! A tree that is copied, with a bar, and that can be given up without leaving half a file.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;

use fs_pool::fs::{Copied, CpOptions, Fs, FsError};
use fs_pool::pool::{Pool, Shutdown};
use fs_pool::request::{LoopPool, Progress};
use futures::future::{Either, select};
use phaseloop::{EventLoop, LoopHandle};

use crate::page::Page;
use crate::progress_bar::{beside, bytes};

/// How a copy has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is there.
    Done(Copied),
    /// Whole files are there, and some are missing.
    Cancelled,
}

/// Files that are asked for their length in one trip to the pool.
const BATCH_LEN: usize = 256;

/// Copies `from` to `to`, and draws a bar on `status`. Once `cancelled` is done, copying stops, and the file that was under way
/// is removed before this returns.
///
/// # Errors
/// When something can not be read or written, with its path; or when no pool can be made.
pub fn run(
    lp: &EventLoop,
    page: &Page,
    status: &Page,
    (from, to): (&Path, &Path),
    cancelled: impl Future,
) -> io::Result<End> {
    let pool = Pool::builder().build().map_err(io::Error::other)?;
    let fs = Fs::new(&LoopPool::new(lp, &pool));
    let end = lp.block_on(async {
        let copying = pin!(copy(lp, &fs, status, from, to));
        match select(pin!(cancelled), copying).await {
            Either::Left(_) => Ok(End::Cancelled), // the operation is dropped, and so given up
            Either::Right((copied, _)) => copied.map(End::Done),
        }
    })?;
    // The worker notices between two pieces, and removes what it has begun. A process that ended now would leave it there.
    pool.shutdown(Shutdown::Cancel);
    let end = end.map_err(io::Error::from)?;
    match end {
        End::Done(copied) => page.line(report(copied)),
        End::Cancelled => page.line("cancelled: what is there is whole"),
    }
    Ok(end)
}

async fn copy(lp: &LoopHandle, fs: &Fs, status: &Page, from: &Path, to: &Path) -> Result<Copied, FsError> {
    let total = measure(fs, from).await?;
    let progress = Progress::default();
    let copying = fs.cp_with(from, to, CpOptions::new().recursive(true).progress(&progress));
    beside(lp, status, (&progress, total), copying).await
}

/// How many bytes there are to be copied. They may change meanwhile: it is for the bar.
async fn measure(fs: &Fs, from: &Path) -> Result<u64, FsError> {
    let root = fs.lstat(from).await?;
    if !root.is_dir() {
        return Ok(root.len());
    }
    let entries = fs.readdir_recursive(from).await?;
    let files = entries.iter().filter(|entry| entry.file_type().is_file());
    let paths: Vec<PathBuf> = files.map(|entry| from.join(entry.path())).collect();
    let mut total = 0;
    for group in paths.chunks(BATCH_LEN) {
        let asked: Vec<_> = fs.batch(|fs| group.iter().map(|path| fs.lstat(path)).collect());
        for metadata in asked {
            total += metadata.await.map_or(0, |metadata| metadata.len()); // it may have gone
        }
    }
    Ok(total)
}

fn report(copied: Copied) -> String {
    let Copied { files, folders, links, bytes: len, .. } = copied;
    format!("{files} files, {folders} folders, {links} links, {}", bytes(len))
}
