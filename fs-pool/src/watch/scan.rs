//! Taking a tree into view: a watch on each folder, and a list of what was there. Runs on the pool.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::sys::{Inotify, WatchId, is_limit};
use crate::pool::JobContext;

/// A folder that is to be taken into view, with all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanRequest {
    pub(super) path: PathBuf,
    /// The folder's own place, or none for the root.
    pub(super) place: Option<(WatchId, OsString)>,
}

/// What a scan found, parents before children.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) folders: Vec<ScannedFolder>,
    pub(super) failures: Vec<(PathBuf, io::Error)>,
}

#[derive(Debug)]
pub(super) struct ScannedFolder {
    pub(super) id: WatchId,
    /// None for the root.
    pub(super) place: Option<(WatchId, OsString)>,
    pub(super) path: PathBuf,
    /// The names in it.
    pub(super) names: Vec<OsString>,
}

/// Watches each folder before it lists it: what appears in between is both listed and told, and nothing is missed.
pub(super) fn scan(inotify: &Inotify, request: ScanRequest, cx: &JobContext<'_>) -> Scanned {
    let mut scanned = Scanned::default();
    let mut waiting = vec![request];
    while let Some(ScanRequest { path, place }) = waiting.pop() {
        if cx.is_cancelled() {
            break;
        }
        match folder(inotify, &path, place.clone()) {
            Ok((found, folders)) => {
                let below = |name| ScanRequest { path: path.join(&name), place: Some((found.id, name)) };
                waiting.extend(folders.into_iter().map(below));
                scanned.folders.push(found);
            }
            Err(error) if has_vanished(&error) => {}
            Err(error) => {
                let over = is_limit(&error);
                scanned.failures.push((path, error));
                if over {
                    break;
                }
            }
        }
    }
    scanned
}

/// Takes one folder into view. Gives the names of the folders in it, too.
fn folder(
    inotify: &Inotify,
    path: &Path,
    place: Option<(WatchId, OsString)>,
) -> io::Result<(ScannedFolder, Vec<OsString>)> {
    let id = if place.is_some() { inotify.add_folder(path)? } else { inotify.add_root(path)? };
    let (mut names, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            folders.push(entry.file_name());
        }
        names.push(entry.file_name());
    }
    names.sort_unstable();
    Ok((ScannedFolder { id, place, path: path.to_owned(), names }, folders))
}

/// It went away, or something else took its place: the events say so, too.
fn has_vanished(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
