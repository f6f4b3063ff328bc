//! The digests of all files of a tree, in an order that is always the same, with a bounded number of files under way.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use fs_pool::fs::{Fs, FsError};
use fs_pool::hash::{Algorithm, Hash, Hasher};
use fs_pool::pool::Pool;
use fs_pool::request::{LoopPool, Progress};
use phaseloop::EventLoop;

use crate::page::Page;

/// Files that are being hashed, or are hashed and wait for their place in the order: as many for each worker. A buffer
/// belongs to one that runs, so this bounds names and digests.
const FILES_PER_WORKER: usize = 4;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that were hashed.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files and folders that could not be read.
    pub failed: usize,
    /// The most files that were under way at once.
    pub under_way_max: usize,
}

/// Writes a line for each file below `root`, in the form that `sha256sum --check` reads. Links are not followed.
///
/// # Errors
/// When a loop or a pool can not be made. What can not be read is named on `errors`.
pub fn run(page: &Page, errors: &Page, root: &Path) -> io::Result<Summary> {
    let (lp, pool) = (EventLoop::new()?, Pool::builder().build().map_err(io::Error::other)?);
    let loop_pool = LoopPool::new(&lp, &pool);
    let (hash, limit) = (Hash::new(&loop_pool), FILES_PER_WORKER * pool.workers());
    lp.block_on(async {
        let mut walk = Walk::new(&Fs::new(&loop_pool), root);
        let (mut summary, progress) = (Summary::default(), Progress::default());
        let mut under_way = VecDeque::new();
        loop {
            while under_way.len() < limit
                && let Some(found) = walk.next().await
            {
                match found {
                    Ok(path) => {
                        let digest = hash.file(Hasher::new(Algorithm::Sha256), &path, &progress);
                        under_way.push_back((path, digest.spawn())); // it is on its way to a worker now
                    }
                    Err(error) => summary.fail(errors, error),
                }
                summary.under_way_max = summary.under_way_max.max(under_way.len());
            }
            let Some((path, digest)) = under_way.pop_front() else { break };
            match digest.await {
                Ok(digest) => {
                    summary.files += 1;
                    page.line(check_line(&digest.to_string(), &path));
                }
                Err(error) => summary.fail(errors, error),
            }
        }
        summary.bytes = progress.count();
        summary
    })
}

impl Summary {
    fn fail(&mut self, errors: &Page, error: impl std::fmt::Display) {
        self.failed += 1;
        errors.line(format!("sha_tree: {error}"));
    }
}

/// The files below a folder, by name. Holds the listings of the folders on the way to where it is, and no more.
struct Walk {
    fs: Fs,
    root: Option<PathBuf>,
    /// What is still to be visited, the next one last; folders by `true`.
    rest: Vec<(PathBuf, bool)>,
}

impl Walk {
    fn new(fs: &Fs, root: &Path) -> Self {
        Self { fs: fs.clone(), root: Some(root.to_path_buf()), rest: Vec::new() }
    }

    async fn next(&mut self) -> Option<Result<PathBuf, FsError>> {
        if let Some(root) = self.root.take() {
            match self.fs.stat(&root).await {
                Ok(metadata) => self.rest.push((root, metadata.is_dir())),
                Err(error) => return Some(Err(error)),
            }
        }
        while let Some((path, is_folder)) = self.rest.pop() {
            if !is_folder {
                return Some(Ok(path));
            }
            match self.fs.readdir(&path).await {
                Ok(entries) => {
                    let wanted = entries.iter().rev().filter(|entry| !entry.file_type().is_symlink());
                    self.rest.extend(wanted.filter_map(|entry| {
                        let (kind, path) = (entry.file_type(), path.join(entry.name()));
                        (kind.is_dir() || kind.is_file()).then_some((path, kind.is_dir()))
                    }));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

/// One line of `sha256sum`, which marks names with a line break or a backslash. Bytes that are no UTF-8 are replaced.
fn check_line(digest: &str, path: &Path) -> String {
    let name = path.to_string_lossy();
    let escaped = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    let mark = if escaped == name { "" } else { "\\" };
    format!("{mark}{digest}  {escaped}")
}
