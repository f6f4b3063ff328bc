//! The regular file of 64 bytes that `stat` and `readFile` use.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes the file has.
pub(super) const LEN: usize = 64;

/// A file that is removed when it is dropped.
pub(super) struct SmallFile(PathBuf);

impl SmallFile {
    pub(super) fn create() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only uniqueness matters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("phaseloop-scenario-{}-{number}", std::process::id()));
        fs::write(&path, [b'.'; LEN])?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallFile {
    fn drop(&mut self) {
        // A file that is left behind in the temporary folder harms nobody.
        let _ = fs::remove_file(&self.0);
    }
}
