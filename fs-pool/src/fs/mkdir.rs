//! Folders with all that leads to them.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::front::subject;
use super::operation::Chain;
use super::{Fs, Operation};
use crate::pool::JobContext;

impl Fs {
    /// Makes a folder and those on the way to it. It is no error if it is there.
    ///
    /// # Ordering
    /// One job for each attempt: for three new levels two that fail and three that succeed. Source: Node, `MKDirpAsync`;
    /// SEMANTICS W3, in all versions.
    #[track_caller]
    pub fn mkdir_recursive(&self, path: impl AsRef<Path>) -> Operation<()> {
        let missing = vec![path.as_ref().to_path_buf()];
        Operation::start(&self.trips, subject("mkdir_recursive", path), |chain| make(chain, missing))
    }
}

/// Makes the last of the missing folders, or finds out that its parent is missing, too.
fn make(chain: &Rc<Chain<()>>, mut missing: Vec<PathBuf>) {
    let job = move |_: &JobContext<'_>| {
        let Some(folder) = missing.last() else { return Ok(missing) };
        match std::fs::create_dir(folder) {
            Ok(()) => _ = missing.pop(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match folder.parent() {
                Some(parent) if parent != Path::new("") => missing.push(parent.to_path_buf()),
                _ => return Err(error),
            },
            Err(_) if folder.is_dir() => _ = missing.pop(),
            Err(error) => return Err(error),
        }
        Ok(missing)
    };
    chain.step(
        job,
        |chain, lp, missing| {
            if missing.is_empty() { chain.finish(lp, Ok(())) } else { make(chain, missing) }
        },
    );
}
