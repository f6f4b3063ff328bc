//! A loop with files, for tests.
#![allow(dead_code)] // each test file uses a part

use std::path::{Path, PathBuf};
use std::{fmt, fs as blocking};

use fs_pool::fs::{Fs, FsError, Operation};
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use phaseloop::{EventLoop, Schedule};

use super::support::pool;

/// A loop, its files and a fresh folder, which goes at the end.
pub(crate) struct World {
    pub(crate) lp: EventLoop,
    pub(crate) pool: Pool,
    pub(crate) fs: Fs,
    pub(crate) folder: PathBuf,
}

impl World {
    pub(crate) fn new(schedule: Schedule) -> Self {
        let lp = EventLoop::builder().schedule(schedule).build().expect("it works");
        let pool = pool(1);
        let fs = Fs::new(&LoopPool::new(&lp, &pool));
        let folder = lp
            .block_on(fs.mkdtemp(std::env::temp_dir().join("phaseloop-")))
            .expect("it works")
            .expect("it works");
        Self { lp, pool, fs, folder }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    #[track_caller]
    pub(crate) fn ok<T: 'static>(&self, operation: Operation<T>) -> T {
        self.lp.block_on(operation).expect("it works").expect("it works")
    }

    #[track_caller]
    pub(crate) fn fails<T: fmt::Debug + 'static>(&self, operation: Operation<T>) -> FsError {
        self.lp.block_on(operation).expect("it works").expect_err("it fails")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        blocking::remove_dir_all(&self.folder).ok();
    }
}

pub(crate) fn world() -> World {
    World::new(Schedule::node26())
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lp.schedule().name)
    }
}

/// How many descriptors lead to a path.
pub(crate) fn descriptors(path: &Path) -> usize {
    let fds = blocking::read_dir("/proc/self/fd").expect("it works").flatten();
    fds.filter(|fd| blocking::read_link(fd.path()).is_ok_and(|to| to == path)).count()
}
